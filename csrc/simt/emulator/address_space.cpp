// The regions of all devices, and the reports of memory that a kernel must not touch.

#include "simt/emulator/address_space.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <new>

#include "simt/emulator/sanitizer.h"
#include "simt/emulator/text.h"

namespace simt::emulator {
namespace {

constexpr unsigned char kFill = 0xff;
constexpr std::size_t kBufferAlignment = 256;  // cudaMalloc's
constexpr std::size_t kBufferRedZone = kBufferAlignment;
constexpr std::size_t kMostFreedBytes = 64 << 20;
constexpr std::size_t kMostFreed = 256;  // each costs a look at its red zones after every launch

unsigned char* bytes_at(std::uintptr_t at) { return reinterpret_cast<unsigned char*>(at); }

bool untouched(std::uintptr_t zone) {
  const auto* begin = bytes_at(zone);
  return std::all_of(begin, begin + kBufferRedZone, [](unsigned char byte) { return byte == kFill; });
}

void give_back(const Region& region) {
  allow(bytes_at(region.begin - region.red_zone), region.bytes + 2 * region.red_zone);
  ::operator delete(bytes_at(region.begin - region.red_zone), std::align_val_t{kBufferAlignment});
}

// What is wrong with a pointer to `region` in a kernel that runs on `device`; empty when nothing is.
std::string objection(const Region& region, int device) {
  if (region.freed) return region.name + ", which was freed before the kernel ran";
  if (region.device == device) return "";
  return region.name + " of " + device_name(region.device) + ", and the kernel runs on " +
         device_name(device) + "; copy the data over, or set the device before the launch";
}

}  // namespace

std::string device_name(int device) {
  return device == kNoDevice ? "no device" : "emulated:" + std::to_string(device);
}

AddressSpace& AddressSpace::instance() {
  static AddressSpace space;
  return space;
}

void register_memory(const void* memory, std::size_t bytes, int device, const std::string& name) {
  Region region;
  region.begin = reinterpret_cast<std::uintptr_t>(memory);
  region.bytes = bytes;
  region.device = device;
  region.name = name;
  AddressSpace::instance().add(std::move(region));
}

void unregister_memory(const void* memory) {
  AddressSpace::instance().remove(reinterpret_cast<std::uintptr_t>(memory));
}

AddressSpace::~AddressSpace() {
  for (const std::uintptr_t begin : freed_) give_back(regions_.at(begin));
}

const Region* AddressSpace::lookup(std::uintptr_t at) const {
  // The region may begin before the address, or after it when the address is in the red zone in front.
  auto next = regions_.upper_bound(at);
  if (next != regions_.begin()) {
    const Region& before = std::prev(next)->second;
    if (before.near(at)) return &before;
  }
  if (next != regions_.end() && next->second.red_zone > 0 && next->second.near(at)) return &next->second;
  return nullptr;
}

void AddressSpace::add(Region region) {
  const std::unique_lock lock(mutex_);
  const auto next = regions_.lower_bound(region.begin);
  const Region* other = nullptr;
  if (next != regions_.end() && next->first < region.begin + region.bytes) other = &next->second;
  if (next != regions_.begin()) {
    const Region& before = std::prev(next)->second;
    if (before.begin + before.bytes > region.begin) other = &before;
  }
  if (other != nullptr) {
    throw Error("register_memory: " + region.name + " overlaps " + other->name + " of " +
                device_name(other->device) + "; unregister that first");
  }
  region.id = ++last_id_;
  ++version_;
  regions_[region.begin] = std::move(region);
}

void AddressSpace::remove(std::uintptr_t begin) {
  const std::unique_lock lock(mutex_);
  ++version_;
  if (regions_.erase(begin) == 0) throw Error("unregister_memory: no memory was registered at this address");
}

void* AddressSpace::allocate(std::size_t bytes, int device, const std::string& name) {
  const std::size_t whole = bytes + 2 * kBufferRedZone;
  auto* memory = static_cast<unsigned char*>(::operator new(whole, std::align_val_t{kBufferAlignment}));
  std::memset(memory, kFill, whole);
  forbid(memory, kBufferRedZone);
  forbid(memory + kBufferRedZone + bytes, kBufferRedZone);
  Region region;
  region.begin = reinterpret_cast<std::uintptr_t>(memory + kBufferRedZone);
  region.bytes = bytes;
  region.red_zone = kBufferRedZone;
  region.device = device;
  region.name = name;
  add(std::move(region));
  return memory + kBufferRedZone;
}

void AddressSpace::release(void* memory) {
  const std::unique_lock lock(mutex_);
  const auto found = regions_.find(reinterpret_cast<std::uintptr_t>(memory));
  if (found == regions_.end()) return;
  ++version_;
  found->second.freed = true;
  forbid(memory, found->second.bytes);
  freed_.push_back(found->first);
  freed_bytes_ += found->second.bytes;
  while (freed_bytes_ > kMostFreedBytes || freed_.size() > kMostFreed) {
    const auto oldest = regions_.find(freed_.front());
    freed_bytes_ -= oldest->second.bytes;
    give_back(oldest->second);
    regions_.erase(oldest);
    freed_.erase(freed_.begin());
  }
}

bool AddressSpace::find(const void* address, Region& region) const {
  const std::shared_lock lock(mutex_);
  const Region* found = lookup(reinterpret_cast<std::uintptr_t>(address));
  if (found != nullptr) region = *found;
  return found != nullptr;
}

std::set<std::uint64_t> AddressSpace::ids() const {
  const std::shared_lock lock(mutex_);
  std::set<std::uint64_t> ids;
  for (const auto& [begin, region] : regions_) ids.insert(region.id);
  return ids;
}

void AddressSpace::check_arguments(const Call& call, int device, Site launch) const {
  const std::shared_lock lock(mutex_);
  if (regions_.empty() && device == kNoDevice) return;
  int number = 0;
  for (const Argument& argument : call.arguments()) {
    ++number;
    // A struct may hold pointers too: every aligned word of it is looked at.
    for (std::size_t at = 0; at + sizeof(std::uintptr_t) <= argument.bytes; at += sizeof(std::uintptr_t)) {
      std::uintptr_t word = 0;
      std::memcpy(&word, argument.members + at, sizeof word);
      if (word != ~std::uintptr_t{0}) continue;  // padding is in it, so no pointer
      std::memcpy(&word, static_cast<const unsigned char*>(argument.value) + at, sizeof word);
      const Region* region = lookup(word);
      std::string problem;
      if (region != nullptr) {
        problem = objection(*region, device);
      } else if (argument.is_pointer && word != 0 && device != kNoDevice) {
        problem = "memory that no device owns, and the kernel runs on " + device_name(device) +
                  "; register it, or allocate it on the device";
      }
      if (problem.empty()) continue;
      throw Error("kernel launch at " + where(launch) + ": argument " + std::to_string(number) +
                  " points to " + problem);
    }
  }
}

void AddressSpace::check_red_zones(const std::string& after) const {
  if constexpr (kAddressSanitizer) return;  // it has seen the write itself
  const std::shared_lock lock(mutex_);
  for (const auto& [begin, region] : regions_) {
    if (region.red_zone == 0) continue;
    const bool front = untouched(begin - region.red_zone);
    if (front && untouched(begin + region.bytes)) continue;
    std::memset(bytes_at(begin - region.red_zone), kFill, region.red_zone);
    std::memset(bytes_at(begin + region.bytes), kFill, region.red_zone);
    throw Error(after + " wrote " + (front ? "past the end of " : "before the beginning of ") + region.name +
                " (" + std::to_string(region.bytes) + " bytes); the sanitizer and race builds name the line");
  }
}

}  // namespace simt::emulator
