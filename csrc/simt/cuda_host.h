// The CUDA half of host.h.
#pragma once

#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "simt/cuda.h"

namespace simt {

inline void set_device(int device) { check(cudaSetDevice(device), "set_device"); }

inline int device() {
  int device = 0;
  check(cudaGetDevice(&device), "device");
  return device;
}

// Copies on `stream`, between any two devices.
inline void copy(void* to, const void* from, std::size_t bytes, stream_t stream) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream), "copy");
}

inline void synchronize(stream_t stream) { check(cudaStreamSynchronize(stream), "synchronize"); }
inline void synchronize() { check(cudaDeviceSynchronize(), "synchronize"); }

// `count` elements of device memory, which begin as 0xff bytes (NaN). The copies do not wait for streams:
// synchronise first.
template <class T>
class DeviceBuffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  explicit DeviceBuffer(std::size_t count) : size_(count) {
    check(cudaMalloc(&data_, count * sizeof(T)), "allocating a buffer");
    check(cudaMemset(data_, 0xff, count * sizeof(T)), "filling a buffer");
  }
  explicit DeviceBuffer(const std::vector<T>& values) : DeviceBuffer(values.size()) { copy_from(values); }
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
    cudaFree(data_);  // also in the destructor, which has nobody to tell
    data_ = nullptr;
    size_ = 0;
  }

  void copy_from(const std::vector<T>& values) {
    if (values.size() != size_) {
      throw Error("DeviceBuffer::copy_from: " + std::to_string(values.size()) + " values for " +
                  std::to_string(size_) + " elements");
    }
    check(cudaMemcpy(data_, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice), "copying in");
  }
  std::vector<T> to_host() const {
    std::vector<T> values(size_);
    check(cudaMemcpy(values.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost), "copying out");
    return values;
  }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

class Event {
 public:
  Event() { check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "making an event"); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  // Stands for all that is queued on the stream so far.
  void record(stream_t stream) { check(cudaEventRecord(event_, stream), "recording an event"); }
  void synchronize() const { check(cudaEventSynchronize(event_), "waiting for an event"); }

 private:
  friend class Stream;
  cudaEvent_t event_ = nullptr;
};

// Does not wait for stream 0, nor it for this one.
class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream"); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  operator stream_t() const { return stream_; }
  void synchronize() const { simt::synchronize(stream_); }
  // What is queued from here on runs after the work that the event has recorded. Nothing recorded: no wait.
  void wait(const Event& event) const {
    check(cudaStreamWaitEvent(stream_, event.event_, 0), "waiting for an event");
  }

 private:
  cudaStream_t stream_ = nullptr;
};

}  // namespace simt
