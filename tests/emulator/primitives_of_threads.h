// Part of primitives.cu: what the threads of a grid, a block and a warp do together.
#pragma once

#include <cstdint>
#include <vector>

#include "simt/host.h"

namespace {

using simt::DeviceBuffer;
using simt::launch;

// ---- Indices

__global__ void write_indices(int* y) {
  const int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  y[block * static_cast<int>(blockDim.x * blockDim.y * blockDim.z) + thread] = block * 1000 + thread;
}

bool indices() {
  DeviceBuffer<int> y(2 * 3 * 4 * 5 * 6 * 2);
  launch(write_indices, dim3(2, 3, 4), dim3(5, 6, 2), 0, 0, y.data());
  const auto values = y.to_host();
  for (int i = 0; i < static_cast<int>(values.size()); ++i) {
    if (values[i] != i / 60 * 1000 + i % 60) return false;
  }
  return true;
}

// ---- Barriers and shared memory

__global__ void votes(int* y) {
  const int i = static_cast<int>(threadIdx.x);
  const int results[] = {__syncthreads_or(i == 70), __syncthreads_or(i == 700), __syncthreads_and(i >= 0),
                         __syncthreads_and(i != 70), __syncthreads_count(i % 3 == 0)};
  for (int k = 0; k < 5; ++k) y[i * 5 + k] = k == 4 ? results[k] : results[k] != 0;
}

bool barrier_votes() {
  DeviceBuffer<int> y(100 * 5);
  launch(votes, 1, 100, 0, 0, y.data());
  const auto values = y.to_host();
  const int expected[] = {1, 0, 1, 0, 34};
  for (int i = 0; i < 500; ++i) {
    if (values[i] != expected[i % 5]) return false;
  }
  return true;
}

constexpr int kTile = 32;

__global__ void transpose(const float* x, float* y) {
  SIMT_SHARED(tile, float[kTile][kTile + 1]);
  tile[threadIdx.y][threadIdx.x] = x[threadIdx.y * kTile + threadIdx.x];
  __syncthreads();
  y[threadIdx.y * kTile + threadIdx.x] = tile[threadIdx.x][threadIdx.y];
}

bool static_shared_memory() {
  std::vector<float> x(kTile * kTile);
  for (int i = 0; i < kTile * kTile; ++i) x[i] = static_cast<float>(i);
  const DeviceBuffer<float> input(x);
  DeviceBuffer<float> output(x.size());
  launch(transpose, 1, dim3(kTile, kTile), 0, 0, input.data(), output.data());
  const auto y = output.to_host();
  for (int i = 0; i < kTile * kTile; ++i) {
    if (y[i] != x[i % kTile * kTile + i / kTile]) return false;
  }
  return true;
}

struct Large {
  alignas(1024) int first[12 * 1024];  // 48 KB, and a little more
  int second[256];
};

__global__ void reverse_in_large(int* y) {
  SIMT_DYN_SHARED(large, Large);
  const int i = static_cast<int>(threadIdx.x);
  large.first[12 * 1024 - 1 - i] = i;
  large.second[i] = reinterpret_cast<std::uintptr_t>(&large) % 1024 == 0;
  __syncthreads();
  y[i] = large.first[12 * 1024 - 256 + i] * large.second[255 - i];
}

bool dynamic_shared_memory_above_48_kb() {
  DeviceBuffer<int> y(256);
  launch(reverse_in_large, 1, 256, sizeof(Large), 0, y.data());
  const auto values = y.to_host();
  return values[0] == 255 && values[255] == 0 && values[100] == 155;
}

// Warp 0 fills the slots, the others take them; barrier 1 says "full", barrier 2 says "empty".
__global__ void pass_on(int* y, int rounds) {
  SIMT_SHARED(slots, int[32]);
  const int lane = static_cast<int>(threadIdx.x % 32);
  int sum = 0;
  for (int round = 0; round < rounds; ++round) {
    if (threadIdx.x < 32) {
      if (round > 0) simt::barrier_sync<2>(96);
      slots[lane] = round * 32 + lane;
      simt::barrier_arrive<1>(96);
    } else {
      simt::barrier_sync<1>(96);
      sum += slots[31 - lane];
      if (round + 1 < rounds) simt::barrier_arrive<2>(96);
    }
  }
  if (threadIdx.x >= 32) y[threadIdx.x - 32] = sum;
}

bool named_barriers() {
  DeviceBuffer<int> y(64);
  launch(pass_on, 1, 96, 0, 0, y.data(), 5);
  const auto values = y.to_host();
  for (int i = 0; i < 64; ++i) {
    if (values[i] != 32 * (0 + 1 + 2 + 3 + 4) + 5 * (31 - i % 32)) return false;
  }
  return true;
}

// ---- Warps. Lane l holds the value 100 + l.

template <class T>
__global__ void shuffles(T* y, int argument, int width) {
  const int lane = static_cast<int>(threadIdx.x);
  const T value = static_cast<T>(100 + lane);
  y[lane] = __shfl_sync(~0u, value, argument, width);
  y[32 + lane] = __shfl_up_sync(~0u, value, argument, width);
  y[64 + lane] = __shfl_down_sync(~0u, value, argument, width);
  y[96 + lane] = __shfl_xor_sync(~0u, value, argument, width);
}

template <class T>
bool shuffle_right(int argument, int width) {
  DeviceBuffer<T> y(128);
  launch(shuffles<T>, 1, 32, 0, 0, y.data(), argument, width);
  const auto values = y.to_host();
  for (int lane = 0; lane < 32; ++lane) {
    const int begin = lane - lane % width;
    const int end = begin + width;
    const int up = lane - argument >= begin ? lane - argument : lane;
    const int down = lane + argument < end ? lane + argument : lane;
    const int across = (lane ^ argument) < end ? lane ^ argument : lane;
    const int sources[] = {begin + argument % width, up, down, across};
    for (int k = 0; k < 4; ++k) {
      if (values[32 * k + lane] != static_cast<T>(100 + sources[k])) return false;
    }
  }
  return true;
}

bool shuffles_of_all_widths() {
  for (int width = 1; width <= 32; width *= 2) {
    for (int argument = 0; argument < 32; ++argument) {
      if (!shuffle_right<int>(argument, width)) return false;
    }
  }
  return shuffle_right<float>(5, 16) && shuffle_right<double>(5, 16) &&
         shuffle_right<unsigned long long>(9, 32);
}

// Even and odd lanes go separate ways; the last warp of the block has 8 lanes.
__global__ void operations_of_parts(unsigned* y) {
  const unsigned i = threadIdx.x;
  const unsigned lane = i % 32;
  const unsigned even = 0x55555555u & (i < 32 ? ~0u : 0xffu);
  unsigned result = 0;
  if (lane % 2 == 0) {
    result = __ballot_sync(even, lane >= 4);
    __syncwarp(even);
  } else {
    result = __shfl_xor_sync(even << 1 & (i < 32 ? ~0u : 0xffu), lane, 2);
  }
  __syncwarp();
  y[i] = result * 4 + (__any_sync(~0u, lane == 3) != 0) * 2 + (__all_sync(~0u, lane < 8) != 0);
}

bool masks() {
  DeviceBuffer<unsigned> y(40);
  launch(operations_of_parts, 1, 40, 0, 0, y.data());
  const auto values = y.to_host();
  for (unsigned i = 0; i < 40; ++i) {
    const unsigned lane = i % 32;
    const unsigned whole = i < 32 ? 0xffffffffu : 0xffu;
    const unsigned result = lane % 2 == 0 ? 0x55555555u & whole & ~0xfu : lane ^ 2;
    if (values[i] != result * 4 + 2 + (i >= 32)) return false;
  }
  return true;
}

// ---- Atomics: every thread of every block works on the same seven numbers.

template <class T>
__global__ void atomics(T* y, T* old) {
  const T i = static_cast<T>(blockIdx.x * blockDim.x + threadIdx.x);
  old[i] = atomicAdd(&y[0], 1);
  atomicMin(&y[1], i);
  atomicMax(&y[2], i);
  atomicAnd(&y[3], ~(T{1} << (i % 16)));
  atomicOr(&y[4], T{1} << (i % 16));
  atomicExch(&y[5], i);
  T seen = 0;
  for (T expected = 1; seen != expected;) {  // adds 3, by hand
    expected = seen;
    seen = atomicCAS(&y[6], expected, expected + 3);
  }
}

template <class T>
bool atomics_of() {
  constexpr int kThreads = 300;
  DeviceBuffer<T> y(std::vector<T>{0, 1000, 0, 0x7fffffff, 0, 9999, 0});
  DeviceBuffer<T> old(kThreads);
  launch(atomics<T>, 3, kThreads / 3, 0, 0, y.data(), old.data());
  const auto v = y.to_host();
  std::vector<int> met(kThreads);
  for (const T value : old.to_host()) ++met[static_cast<std::size_t>(value)];
  for (const int times : met) {
    if (times != 1) return false;
  }
  return v[0] == kThreads && v[1] == 0 && v[2] == kThreads - 1 && v[3] == 0x7fff0000 && v[4] == 0xffff &&
         v[5] < kThreads && v[6] == 3 * kThreads;
}

bool atomics_of_all_types() {
  return atomics_of<int>() && atomics_of<unsigned>() && atomics_of<unsigned long long>();
}

}  // namespace
