// The shared memory of one block: an arena with the dynamic part first and static arrays as kernels reach
// them.
//
// Every block finds it filled with 0xff bytes (NaN in float and bfloat16, -1 in integers), so that a value
// read before it was written spoils the result. Between objects lie red zones: AddressSanitizer and the race
// build see an access to one, the plain build finds at the block's end that one was written.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "simt/emulator/vocabulary.h"

namespace simt::emulator {

class SharedMemory {
 public:
  static constexpr std::size_t kArenaBytes = 512 * 1024;  // 227 KB and room for red zones

  SharedMemory();
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  void begin_block(std::size_t dynamic_bytes);
  // What is wrong when a red zone was written, or nothing.
  std::string end_block();

  // See shared_static() and shared_dynamic() in runtime.h.
  void* object(const void* key, std::size_t bytes, std::size_t align, const char* name, Site site);
  void* dynamic(std::size_t bytes, std::size_t align, const char* name, Site site);

  bool contains(const void* address) const;
  std::size_t offset(const void* address) const;
  unsigned char* at(std::size_t offset) const { return arena_ + offset; }

  bool inside(const void* address, std::size_t bytes) const;  // of one object
  // "byte 12 of tile", or "4 bytes past the end of tile".
  std::string describe(const void* address) const;

 private:
  struct Object {
    const void* key;
    std::size_t offset, bytes;
    std::string name;
  };

  unsigned char* arena_;
  std::size_t dynamic_bytes_ = 0;
  std::size_t used_ = 0;
  std::vector<Object> objects_;  // by offset; the first is the dynamic part
};

}  // namespace simt::emulator
