// Which memory belongs to which emulated device.
//
// Buffers of DeviceBuffer and memory that somebody registers (NumPy arrays) are known here with their exact
// size. A kernel runs on one device, and a buffer of another device, a freed one, or (once a device was set)
// memory that no device owns is refused when the kernel begins. As long as nobody sets a device, unknown
// memory is allowed.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <shared_mutex>
#include <string>
#include <vector>

#include "simt/emulator/runtime.h"

namespace simt::emulator {

constexpr int kNoDevice = -1;

// Makes `bytes` at `memory` known as memory of `device`. `name` appears in reports. Registered ranges may not
// overlap.
void register_memory(const void* memory, std::size_t bytes, int device, const std::string& name);
void unregister_memory(const void* memory);

// "emulated:1", or "no device".
std::string device_name(int device);

struct Region {
  std::uintptr_t begin = 0;
  std::size_t bytes = 0;
  std::size_t red_zone = 0;  // on each side; 0: the memory was registered, its surroundings are not ours
  int device = kNoDevice;
  bool freed = false;
  std::uint64_t id = 0;
  std::string name;

  bool inside(const void* address, std::size_t count) const {
    const auto at = reinterpret_cast<std::uintptr_t>(address);
    return at >= begin && at + count <= begin + bytes;
  }
  // With red zones, and with the address just past the end, which an empty slice may have.
  bool near(std::uintptr_t at) const { return at + red_zone >= begin && at <= begin + bytes + red_zone; }
};

class AddressSpace {
 public:
  static AddressSpace& instance();
  AddressSpace() = default;
  ~AddressSpace();
  AddressSpace(const AddressSpace&) = delete;
  AddressSpace& operator=(const AddressSpace&) = delete;

  void add(Region region);
  void remove(std::uintptr_t begin);

  // Memory with red zones around it, filled with 0xff, known as `name`.
  void* allocate(std::size_t bytes, int device, const std::string& name);
  // Marks it as freed; the memory itself goes when enough has been freed after it.
  void release(void* memory);

  // Another number after every change.
  std::uint64_t version() const { return version_; }
  // The region that holds the address, a red zone counting too.
  bool find(const void* address, Region& region) const;
  std::set<std::uint64_t> ids() const;  // of all regions

  // Throws simt::Error when an argument points to what a kernel on `device` must not touch.
  void check_arguments(const Call& call, int device, Site launch) const;
  // Throws simt::Error when a red zone was written; `after` says by whom.
  void check_red_zones(const std::string& after) const;

 private:
  const Region* lookup(std::uintptr_t at) const;

  mutable std::shared_mutex mutex_;
  std::map<std::uintptr_t, Region> regions_;  // by begin
  std::vector<std::uintptr_t> freed_;         // oldest first
  std::size_t freed_bytes_ = 0;
  std::uint64_t last_id_ = 0;
  std::atomic<std::uint64_t> version_{0};
};

}  // namespace simt::emulator
