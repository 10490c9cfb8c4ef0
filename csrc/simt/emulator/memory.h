// Memory of an emulated device for C++ programs: one spelling here and in simt/cuda_host.h, so that one test
// source runs on the emulator and on a GPU.
#pragma once

#include <cstring>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "simt/emulator/emulator.h"

namespace simt {

// The device of this CPU thread's launches on stream 0, buffers and new streams. Each device has an address
// space of its own. -1, the default: none, and a kernel may touch any memory.
void set_device(int device);
int device();

// Copies on `stream`, between any two devices. Memory of the host is for DeviceBuffer's copies.
void copy(void* to, const void* from, std::size_t bytes, StreamHere stream);

namespace emulator {

void* allocate(std::size_t bytes, Site site);
void release(void* memory);
// simt::copy with a name for reports: "the copy to x".
void copy(void* to, const void* from, std::size_t bytes, stream_t stream, std::string what);
// Between a buffer and host memory, at once.
void copy_in(void* to, const void* from, std::size_t bytes, Site site);
void copy_out(void* to, const void* from, std::size_t bytes, Site site);

}  // namespace emulator

// `count` elements of device memory, which begin as 0xff bytes (NaN). The copies do not wait for streams:
// synchronise first.
template <class T>
class DeviceBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  explicit DeviceBuffer(std::size_t count, SIMT_SITE)
      : data_(static_cast<T*>(emulator::allocate(count * sizeof(T), site))), size_(count) {}
  explicit DeviceBuffer(const std::vector<T>& values, SIMT_SITE) : DeviceBuffer(values.size(), site) {
    copy_from(values, site);
  }
  ~DeviceBuffer() { reset(); }
  DeviceBuffer(DeviceBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return size_; }

  void reset() {
    if (data_ != nullptr) emulator::release(data_);
    data_ = nullptr;
    size_ = 0;
  }

  void copy_from(const std::vector<T>& values, SIMT_SITE) {
    if (values.size() != size_) {
      throw Error("DeviceBuffer::copy_from: " + std::to_string(values.size()) + " values for " +
                  std::to_string(size_) + " elements");
    }
    emulator::copy_in(data_, values.data(), size_ * sizeof(T), site);
  }
  std::vector<T> to_host(SIMT_SITE) const {
    std::vector<T> values(size_);
    emulator::copy_out(values.data(), data_, size_ * sizeof(T), site);
    return values;
  }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace simt
