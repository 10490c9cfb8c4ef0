// Every primitive of simt.h against a plain statement of what it does. One source for the emulator and for a
// GPU:
//
//   nvcc -std=c++20 -arch=native -I csrc tests/emulator/primitives.cu -o primitives && ./primitives

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "simt/host.h"

using simt::DeviceBuffer;
using simt::launch;

namespace {

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

// ---- Numbers

// Each thread takes one upper half of a float and several lower halves around the ties.
__global__ void to_bf16_and_back(std::uint16_t* y, const unsigned* low, int count) {
  const unsigned high = blockIdx.x * blockDim.x + threadIdx.x;
  for (int k = 0; k < count; ++k) {
    const simt::bf16 x = simt::to_bf16(__uint_as_float(high << 16 | low[k]));
    const bool exact = simt::to_float(x) == simt::to_float(simt::bf16_from_bits(simt::bf16_bits(x)));
    y[high * static_cast<unsigned>(count) + static_cast<unsigned>(k)] =
        exact || high % 0x8000 >= 0x7f80 ? simt::bf16_bits(x) : std::uint16_t{0};
  }
}

bool bf16_rounds_to_nearest_even() {
  const std::vector<unsigned> low = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
  const DeviceBuffer<unsigned> lows(low);
  DeviceBuffer<std::uint16_t> y(low.size() << 16);
  launch(to_bf16_and_back, 256, 256, 0, 0, y.data(), lows.data(), static_cast<int>(low.size()));
  const auto values = y.to_host();
  for (unsigned i = 0; i < values.size(); ++i) {
    const unsigned high = i / static_cast<unsigned>(low.size());
    const unsigned rest = low[i % low.size()];
    const bool nan = high % 0x8000 > 0x7f80 || (high % 0x8000 == 0x7f80 && rest != 0);
    const bool up = rest > 0x8000 || (rest == 0x8000 && high % 2 == 1);
    if (values[i] != (nan ? 0x7fff : high + up)) return false;
  }
  return true;
}

__global__ void integer_functions(unsigned* y) {
  y[0] = __umulhi(0xdeadbeefu, 0xcafebabeu);
  y[1] = static_cast<unsigned>(__popc(0xf0f00001u));
  y[2] = static_cast<unsigned>(__clz(0x00010000)) * 100 + static_cast<unsigned>(__clz(0));
  y[3] = static_cast<unsigned>(__ffs(0x00010000)) * 100 + static_cast<unsigned>(__ffs(0));
  y[4] = __float_as_uint(-2.0f) + static_cast<unsigned>(__float_as_int(1.0f));
  y[5] = static_cast<unsigned>(min(3, -4) * 10 + max(7, 2));
  y[6] = max(3u, 0x80000000u) + min(5u, 6u);
  y[7] = static_cast<unsigned>(max(std::int64_t{1} << 40, std::int64_t{5}) >> 20);
}

bool functions_of_integers() {
  DeviceBuffer<unsigned> y(8);
  launch(integer_functions, 1, 1, 0, 0, y.data());
  const std::vector<unsigned> expected = {static_cast<unsigned>(0xdeadbeefull * 0xcafebabeull >> 32),
                                          9,
                                          1532,
                                          1700,
                                          0xc0000000u + 0x3f800000u,
                                          static_cast<unsigned>(-33),
                                          0x80000005u,
                                          1u << 20};
  return y.to_host() == expected;
}

__global__ void float_functions(const float* x, float* y) {
  const float a = x[0], b = x[1], c = x[2];
  y[0] = __fadd_rn(a, b);
  y[1] = __fmul_rn(a, b);
  y[2] = __fmaf_rn(a, b, c);
  y[3] = __fdiv_rn(a, c);
  y[4] = __fsqrt_rn(a);
  y[5] = __uint_as_float(0x40490fdbu) + __int_as_float(0x3f800000);
  y[6] = __ldg(x + 1);
  y[7] = fmaf(a, b, c);
  y[8] = rsqrtf(a);
  y[9] = expf(b) + logf(a) + powf(a, b);
}

bool functions_of_floats() {
  const float a = 1.0f + 0x1p-12f, b = a, c = -(1.0f + 0x1p-11f);
  const DeviceBuffer<float> x(std::vector<float>{a, b, c});
  DeviceBuffer<float> y(10);
  launch(float_functions, 1, 1, 0, 0, x.data(), y.data());
  const auto v = y.to_host();
  const double sum = std::exp(double{b}) + std::log(double{a}) + std::pow(double{a}, double{b});
  // a * b + c is 2^-24 when it is rounded once, and 0 when the product is rounded first.
  return v[0] == 2.0f + 0x1p-11f && v[1] == -c && v[2] == 0x1p-24f &&
         v[3] == static_cast<float>(double{a} / double{c}) &&
         v[4] == static_cast<float>(std::sqrt(double{a})) && v[5] == 0x1.921fb6p+1f + 1.0f && v[6] == b &&
         v[7] == 0x1p-24f && std::abs(v[8] * v[8] * a - 1.0f) < 1e-6f && std::abs(v[9] - sum) < 1e-5;
}

__global__ void vectors(const float4* x, float4* y, uchar4* bytes) {
  const float4 v = x[threadIdx.x];
  y[threadIdx.x] = make_float4(v.w, v.z, v.y, v.x);
  const int4 i = make_int4(1, 2, 3, 4);
  const uint4 u = make_uint4(5, 6, 7, 8);
  const float2 f = make_float2(9.0f, 10.0f);
  bytes[threadIdx.x] =
      make_uchar4(static_cast<unsigned char>(i.x + i.w), static_cast<unsigned char>(u.y + u.z),
                  static_cast<unsigned char>(f.x), static_cast<unsigned char>(f.y));
}

bool vector_types() {
  const DeviceBuffer<float4> x(std::vector<float4>(8, make_float4(1, 2, 3, 4)));
  DeviceBuffer<float4> y(8);
  DeviceBuffer<uchar4> bytes(8);
  launch(vectors, 1, 8, 0, 0, x.data(), y.data(), bytes.data());
  const float4 v = y.to_host()[7];
  const uchar4 b = bytes.to_host()[7];
  return v.x == 4 && v.y == 3 && v.z == 2 && v.w == 1 && b.x == 5 && b.y == 13 && b.z == 9 && b.w == 10;
}

// ---- Buffers and streams

bool buffers_begin_as_nan() {
  const auto values = DeviceBuffer<float>(3).to_host();
  return std::isnan(values[0]) && std::isnan(values[2]);
}

__global__ void add_to(float* y, const float* x, float value) { y[threadIdx.x] = x[threadIdx.x] + value; }

// Two streams that hand a buffer to and fro.
bool streams_and_events() {
  constexpr int kCount = 32;
  DeviceBuffer<float> a(std::vector<float>(kCount, 0.0f)), b(kCount), c(kCount);
  const simt::Stream first, second;
  simt::Event there, back;
  for (int round = 0; round < 5; ++round) {
    first.wait(back);
    launch(add_to, 1, kCount, 0, first, b.data(), a.data(), 1.0f);
    there.record(first);
    second.wait(there);
    simt::copy(c.data(), b.data(), kCount * sizeof(float), second);
    launch(add_to, 1, kCount, 0, second, a.data(), c.data(), 10.0f);
    back.record(second);
  }
  second.synchronize();
  const float there_and_back = a.to_host()[kCount - 1];
  simt::synchronize();
  return there_and_back == 55.0f && b.to_host()[0] == 45.0f;
}

struct Test {
  const char* name;
  std::function<bool()> passes;
};

const std::vector<Test> kTests = {
    {"indices", indices},
    {"barrier_votes", barrier_votes},
    {"static_shared_memory", static_shared_memory},
    {"dynamic_shared_memory_above_48_kb", dynamic_shared_memory_above_48_kb},
    {"named_barriers", named_barriers},
    {"shuffles_of_all_widths", shuffles_of_all_widths},
    {"masks", masks},
    {"atomics_of_all_types", atomics_of_all_types},
    {"bf16_rounds_to_nearest_even", bf16_rounds_to_nearest_even},
    {"functions_of_integers", functions_of_integers},
    {"functions_of_floats", functions_of_floats},
    {"vector_types", vector_types},
    {"buffers_begin_as_nan", buffers_begin_as_nan},
    {"streams_and_events", streams_and_events},
};

}  // namespace

int main() {
  int failed = 0;
  for (const Test& test : kTests) {
    std::string outcome = "passed";
    try {
      if (!test.passes()) outcome = "FAILED";
    } catch (const std::exception& error) {
      outcome = std::string("FAILED: ") + error.what();
    }
    failed += outcome != "passed";
    std::printf("%s: %s\n", test.name, outcome.c_str());
  }
  return failed;
}
