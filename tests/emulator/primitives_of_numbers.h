// Part of primitives.cu: numbers, vectors, buffers and streams.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "simt/host.h"

namespace {

using simt::DeviceBuffer;
using simt::launch;

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

}  // namespace
