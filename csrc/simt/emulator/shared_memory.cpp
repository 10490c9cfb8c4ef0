// Shared memory: where its objects lie, what surrounds them, and the reports of a bad address.

#include "simt/emulator/shared_memory.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "simt/emulator/sanitizer.h"
#include "simt/emulator/text.h"

namespace simt::emulator {
namespace {

constexpr unsigned char kPoison = 0xff;
constexpr std::size_t kRedZone = 128;
constexpr std::size_t kAlignment = 1024;           // of the dynamic part, as SIMT_DYN_SHARED promises
constexpr std::size_t kDynamicBegin = kAlignment;  // a red zone comes first
constexpr std::size_t kStaticLimit = 48 * 1024;    // on every GPU
constexpr std::size_t kBlockLimit = 227 * 1024;    // static and dynamic together, compute capability 9.0

std::size_t round_up(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

SharedMemory::SharedMemory()
    : arena_(static_cast<unsigned char*>(::operator new(kArenaBytes, std::align_val_t{kAlignment}))) {}

SharedMemory::~SharedMemory() {
  allow(arena_, kArenaBytes);
  ::operator delete(arena_, std::align_val_t{kAlignment});
}

void SharedMemory::begin_block(std::size_t dynamic_bytes) {
  dynamic_bytes_ = dynamic_bytes;
  objects_.clear();
  objects_.push_back({nullptr, kDynamicBegin, dynamic_bytes, "dynamic shared memory"});
  used_ = kDynamicBegin + dynamic_bytes + kRedZone;
  allow(arena_, kArenaBytes);
  std::memset(arena_ + kDynamicBegin - kRedZone, kPoison, dynamic_bytes + 2 * kRedZone);
  forbid(arena_, kArenaBytes);
  allow(arena_ + kDynamicBegin, dynamic_bytes);
}

std::string SharedMemory::end_block() {
  allow(arena_, kArenaBytes);
  const auto written = [](unsigned char byte) { return byte != kPoison; };
  std::size_t zone = kDynamicBegin - kRedZone;
  const std::string* before = nullptr;
  for (std::size_t i = 0; i <= objects_.size(); ++i) {
    const std::size_t zone_end = i < objects_.size() ? objects_[i].offset : used_;
    const auto* found = std::find_if(arena_ + zone, arena_ + zone_end, written);
    if (found != arena_ + zone_end) {
      const std::string place =
          before != nullptr ? "past the end of " + *before : "before " + objects_[0].name;
      return "shared memory: something wrote " + place + "; the sanitizer and race builds name the line";
    }
    if (i == objects_.size()) break;
    zone = objects_[i].offset + objects_[i].bytes;
    before = &objects_[i].name;
  }
  return "";
}

void* SharedMemory::object(const void* key, std::size_t bytes, std::size_t align, const char* name,
                           Site site) {
  std::size_t total = bytes;
  for (std::size_t i = 1; i < objects_.size(); ++i) {
    if (objects_[i].key == key) return arena_ + objects_[i].offset;
    total += objects_[i].bytes;
  }
  const auto refuse = [&](const std::string& what, std::size_t limit) {
    throw Error(std::string("shared memory: with '") + name + "' at " + where(site) + " the block has " +
                what + ", more than " + std::to_string(limit));
  };
  if (total > kStaticLimit) {
    refuse(std::to_string(total) + " static bytes (use SIMT_DYN_SHARED)", kStaticLimit);
  }
  if (total + dynamic_bytes_ > kBlockLimit) {
    refuse(std::to_string(total + dynamic_bytes_) + " static and dynamic bytes", kBlockLimit);
  }
  const std::size_t offset = round_up(used_, align);
  const std::size_t end = offset + bytes + kRedZone;
  allow(arena_ + used_, end - used_);
  std::memset(arena_ + used_, kPoison, end - used_);
  forbid(arena_ + used_, offset - used_);
  forbid(arena_ + offset + bytes, kRedZone);
  used_ = end;
  objects_.push_back({key, offset, bytes, name});
  return arena_ + offset;
}

void* SharedMemory::dynamic(std::size_t bytes, std::size_t align, const char* name, Site site) {
  const std::string place = std::string("shared memory: '") + name + "' at " + where(site);
  if (bytes > dynamic_bytes_) {
    throw Error(place + " takes " + std::to_string(bytes) + " bytes, the launch gave " +
                std::to_string(dynamic_bytes_) + "; pass sizeof of the struct to launch()");
  }
  if (align > kAlignment) throw Error(place + ": alignment " + std::to_string(align) + ", at most 1024");
  return arena_ + kDynamicBegin;
}

bool SharedMemory::contains(const void* address) const {
  const auto* byte = static_cast<const unsigned char*>(address);
  return byte >= arena_ && byte < arena_ + kArenaBytes;
}

std::size_t SharedMemory::offset(const void* address) const {
  return static_cast<std::size_t>(static_cast<const unsigned char*>(address) - arena_);
}

bool SharedMemory::inside(const void* address, std::size_t bytes) const {
  const std::size_t at = offset(address);
  for (const Object& object : objects_) {
    if (at >= object.offset && at + bytes <= object.offset + object.bytes) return true;
  }
  return false;
}

std::string SharedMemory::describe(const void* address) const {
  const std::size_t at = offset(address);
  const Object* object = nullptr;
  for (const Object& candidate : objects_) {
    if (at >= candidate.offset) object = &candidate;
  }
  if (object == nullptr) return "the space before shared memory";
  const std::size_t distance = at - object->offset;
  if (distance < object->bytes) return "byte " + std::to_string(distance) + " of " + object->name;
  return std::to_string(distance - object->bytes) + " bytes past the end of " + object->name;
}

}  // namespace simt::emulator
