// Planted bugs in which memory a kernel touches, and when.

#include "bugs.h"
#include "simt/emulator/address_space.h"

using simt::DeviceBuffer;
using simt::launch;

namespace {

constexpr int kCount = 64;

template <bool kBug>
__global__ void write_behind_shared(float* y) {
  SIMT_SHARED(tile, float[kCount]);
  SIMT_SHARED(other, float[kCount]);
  const int i = static_cast<int>(threadIdx.x);
  float* element = tile + i;
  element[kBug ? 1 : 0] = 1.0f;  // <- shared_write_out_of_bounds
  other[i] = 2.0f;
  __syncthreads();
  y[i] = other[i];
}

bool shared_write_out_of_bounds(bool bug) {
  DeviceBuffer<float> y(kCount);
  launch(bug ? write_behind_shared<true> : write_behind_shared<false>, 1, kCount, 0, 0, y.data());
  return y.to_host()[0] == 2.0f;
}

template <bool kBug>
__global__ void read_behind_shared(float* y) {
  SIMT_SHARED(tile, float[kCount]);
  const int i = static_cast<int>(threadIdx.x);
  tile[i] = 1.0f;
  __syncthreads();
  const float* element = tile + i;
  y[i] = element[kBug ? 1 : 0];  // <- shared_read_out_of_bounds
}

bool shared_read_out_of_bounds(bool bug) {
  DeviceBuffer<float> y(kCount);
  launch(bug ? read_behind_shared<true> : read_behind_shared<false>, 1, kCount, 0, 0, y.data());
  return y.to_host()[kCount - 1] == 1.0f;
}

struct Tiles {
  float a[kCount];
  float b[kCount];
};

__global__ void two_tiles(float* y) {
  SIMT_DYN_SHARED(tiles, Tiles);  // <- too_little_dynamic_shared
  tiles.b[threadIdx.x] = 1.0f;
  y[threadIdx.x] = tiles.b[threadIdx.x];
}

bool too_little_dynamic_shared(bool bug) {
  DeviceBuffer<float> y(kCount);
  launch(two_tiles, 1, kCount, bug ? sizeof(Tiles) / 2 : sizeof(Tiles), 0, y.data());
  return y.to_host()[0] == 1.0f;
}

template <bool kBug>
__global__ void sum_of_tile(float* y) {
  SIMT_SHARED(tile, float[kCount]);
  const int i = static_cast<int>(threadIdx.x);
  if (!kBug || i != 7) tile[i] = 1.0f;
  __syncthreads();
  float sum = 0;
  for (const float value : tile) sum += value;  // <- uninitialised_shared_read
  y[i] = sum;
}

bool uninitialised_shared_read(bool bug) {
  DeviceBuffer<float> y(kCount);
  launch(bug ? sum_of_tile<true> : sum_of_tile<false>, 1, kCount, 0, 0, y.data());
  return y.to_host()[0] == static_cast<float>(kCount);
}

__global__ void plus_one(const float* x, float* y, int count) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) y[i] = x[i] + 1.0f;  // <- global_write_out_of_bounds global_read_out_of_bounds
}

bool global_write_out_of_bounds(bool bug) {
  const DeviceBuffer<float> x(std::vector<float>(kCount, 1.0f));
  DeviceBuffer<float> y(static_cast<std::size_t>(bug ? kCount - 1 : kCount));
  launch(plus_one, 1, kCount, 0, 0, x.data(), y.data(), kCount);
  return y.to_host()[0] == 2.0f;
}

bool global_read_out_of_bounds(bool bug) {
  const DeviceBuffer<float> x(std::vector<float>(static_cast<std::size_t>(bug ? kCount - 1 : kCount), 1.0f));
  DeviceBuffer<float> y(kCount);
  launch(plus_one, 1, kCount, 0, 0, x.data(), y.data(), kCount);
  return y.to_host()[kCount - 1] == 2.0f;
}

__global__ void copy_elements(const float* x, float* y) {
  y[threadIdx.x] = x[threadIdx.x];  // <- uninitialised_global_read
}

bool uninitialised_global_read(bool bug) {
  DeviceBuffer<float> x(kCount);
  DeviceBuffer<float> y(kCount);
  if (!bug) x.copy_from(std::vector<float>(kCount, 3.0f));
  launch(copy_elements, 1, kCount, 0, 0, x.data(), y.data());
  return y.to_host()[0] == 3.0f;
}

__global__ void copy_packs(const float* x, float* y) {
  *reinterpret_cast<float4*>(y) = *reinterpret_cast<const float4*>(x);  // <- misaligned_float4
}

bool misaligned_float4(bool bug) {
  const DeviceBuffer<float> x(std::vector<float>(8, 1.0f));
  DeviceBuffer<float> y(4);
  launch(copy_packs, 1, 1, 0, 0, x.data() + (bug ? 1 : 4), y.data());
  return y.to_host()[3] == 1.0f;
}

// ---- Devices

__global__ void scale(const float* x, float* y, float factor) { y[threadIdx.x] = factor * x[threadIdx.x]; }

bool wrong_device_pointer(bool bug) {
  simt::set_device(1);
  DeviceBuffer<float> other(std::vector<float>(kCount, 1.0f));
  simt::set_device(0);
  DeviceBuffer<float> own(kCount);
  DeviceBuffer<float> y(kCount);
  simt::copy(own.data(), other.data(), kCount * sizeof(float), 0);
  const float* x = bug ? other.data() : own.data();
  launch(scale, 1, kCount, 0, 0, x, y.data(), 2.0f);  // <- wrong_device_pointer
  return y.to_host()[0] == 2.0f;
}

__global__ void follow(const float* const* pointers, float* y) {
  y[threadIdx.x] = pointers[0][threadIdx.x];  // <- wrong_device_pointer_in_memory
}

bool wrong_device_pointer_in_memory(bool bug) {
  simt::set_device(1);
  const DeviceBuffer<float> other(std::vector<float>(kCount, 1.0f));
  simt::set_device(0);
  const DeviceBuffer<float> own(std::vector<float>(kCount, 1.0f));
  const DeviceBuffer<const float*> pointers(std::vector<const float*>{bug ? other.data() : own.data()});
  DeviceBuffer<float> y(kCount);
  launch(follow, 1, kCount, 0, 0, pointers.data(), y.data());
  return y.to_host()[0] == 1.0f;
}

bool unregistered_memory(bool bug) {
  simt::set_device(0);
  std::vector<float> x(kCount, 1.0f);
  std::vector<float> y(kCount);
  simt::emulator::register_memory(x.data(), kCount * sizeof(float), 0, "x");
  if (!bug) simt::emulator::register_memory(y.data(), kCount * sizeof(float), 0, "y");
  launch(scale, 1, kCount, 0, 0, x.data(), y.data(), 2.0f);  // <- unregistered_memory
  simt::emulator::unregister_memory(x.data());
  if (!bug) simt::emulator::unregister_memory(y.data());
  return y[0] == 2.0f;
}

// ---- Streams

__global__ void produce(float* x) { x[threadIdx.x] = 1.0f; }  // <- missing_event_wait

__global__ void consume(const float* x, float* y) {
  y[threadIdx.x] = x[threadIdx.x] + 1.0f;  // <- missing_event_wait
}

bool missing_event_wait(bool bug) {
  DeviceBuffer<float> x(std::vector<float>(kCount, 0.0f));
  DeviceBuffer<float> y(kCount);
  const simt::Stream first, second;
  simt::Event produced;
  launch(produce, 1, kCount, 0, first, x.data());
  produced.record(first);
  if (!bug) second.wait(produced);
  launch(consume, 1, kCount, 0, second, x.data(), y.data());
  second.synchronize();
  first.synchronize();
  return y.to_host()[0] == 2.0f;
}

bool event_recorded_too_early(bool bug) {
  DeviceBuffer<float> x(std::vector<float>(kCount, 0.0f));
  DeviceBuffer<float> y(kCount);
  const simt::Stream first, second;
  simt::Event produced;
  if (bug) produced.record(first);
  launch(produce, 1, kCount, 0, first, x.data());  // <- event_recorded_too_early
  if (!bug) produced.record(first);
  second.wait(produced);
  simt::copy(y.data(), x.data(), kCount * sizeof(float), second);  // <- event_recorded_too_early
  simt::synchronize();
  return y.to_host()[0] == 1.0f;
}

bool host_reads_before_synchronising(bool bug) {
  DeviceBuffer<float> x(std::vector<float>(kCount, 0.0f));
  const simt::Stream stream, other;
  launch(produce, 1, kCount, 0, stream, x.data());  // <- host_reads_before_synchronising
  if (bug) {
    other.synchronize();
  } else {
    stream.synchronize();
  }
  const bool right = x.to_host()[0] == 1.0f;  // <- host_reads_before_synchronising
  stream.synchronize();
  return right;
}

bool freed_before_the_stream_ran(bool bug) {
  DeviceBuffer<float> x(std::vector<float>(kCount, 1.0f));
  DeviceBuffer<float> y(kCount);
  const simt::Stream stream;
  launch(consume, 1, kCount, 0, stream, x.data(), y.data());  // <- freed_before_the_stream_ran
  if (bug) x.reset();
  stream.synchronize();
  return y.to_host()[0] == 2.0f;
}

}  // namespace

int main(int count, char** arguments) {
  return run_cases(
      {
          {"shared_write_out_of_bounds", shared_write_out_of_bounds},
          {"shared_read_out_of_bounds", shared_read_out_of_bounds},
          {"too_little_dynamic_shared", too_little_dynamic_shared},
          {"uninitialised_shared_read", uninitialised_shared_read},
          {"global_write_out_of_bounds", global_write_out_of_bounds},
          {"global_read_out_of_bounds", global_read_out_of_bounds},
          {"uninitialised_global_read", uninitialised_global_read},
          {"misaligned_float4", misaligned_float4},
          {"missing_event_wait", missing_event_wait},
          {"event_recorded_too_early", event_recorded_too_early},
          {"host_reads_before_synchronising", host_reads_before_synchronising},
          {"freed_before_the_stream_ran", freed_before_the_stream_ran},
          {"wrong_device_pointer", wrong_device_pointer},
          {"wrong_device_pointer_in_memory", wrong_device_pointer_in_memory},
          {"unregistered_memory", unregistered_memory},
      },
      count, arguments);
}
