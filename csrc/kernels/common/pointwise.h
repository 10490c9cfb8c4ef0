// The frame of operations that treat every element alone: y[i] = f(x[i]), or y[i] = f(a[i], b[i]).
//
// It is relu.cu's grid-stride loop, with f as a template argument. An Operation is a struct with
//
//     __device__ float operator()(float x) const;      or      (float a, float b) const;
//
// What limits it: memory. To keep it busy, an H200 wants about 25 KB of loads under way on each
// multiprocessor (4.3 TB/s, 0.7 us, 132 multiprocessors). So a thread starts the loads of kPacks packs before
// it uses the first: 2048 threads * 2 * 16 bytes = 64 KB, and still enough where f needs so many registers
// that fewer threads fit.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/common/check.h"
#include "kernels/common/choose_pointwise.h"
#include "simt/simt.h"

namespace alexnet {

namespace pointwise {

template <class Operation>
__device__ __forceinline__ float apply(const Operation& f, float x) {
  return f(x);
}
template <class Operation>
__device__ __forceinline__ float4 apply(const Operation& f, float4 x) {
  return make_float4(f(x.x), f(x.y), f(x.z), f(x.w));
}
template <class Operation>
__device__ __forceinline__ float apply(const Operation& f, float a, float b) {
  return f(a, b);
}
template <class Operation>
__device__ __forceinline__ float4 apply(const Operation& f, float4 a, float4 b) {
  return make_float4(f(a.x, b.x), f(a.y, b.y), f(a.z, b.z), f(a.w, b.w));
}

// The contract of both kernels: grid and block one-dimensional, any size; every array has `count` elements; y
// may be an input. Pack is float, or float4 where all addresses are multiples of 16. A thread owns the packs
// first, first + step, first + 2 * step, ... and of the last count % 4 elements those with the same numbers.

template <class Pack, class Operation>
__global__ void unary_kernel(const float* x, float* y, std::int64_t count, Operation f) {
  constexpr int kWidth = sizeof(Pack) / sizeof(float);
  const std::int64_t first = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t step = std::int64_t(gridDim.x) * blockDim.x;
  const std::int64_t packs = count / kWidth;
  const auto* x_packs = reinterpret_cast<const Pack*>(x);
  auto* y_packs = reinterpret_cast<Pack*>(y);

  for (std::int64_t i = first; i < packs; i += kPacks * step) {
    Pack value[kPacks] = {};
    SIMT_UNROLL
    for (int j = 0; j < kPacks; ++j) {
      if (i + j * step < packs) value[j] = x_packs[i + j * step];
    }
    SIMT_UNROLL
    for (int j = 0; j < kPacks; ++j) {
      if (i + j * step < packs) y_packs[i + j * step] = apply(f, value[j]);
    }
  }
  for (std::int64_t i = packs * kWidth + first; i < count; i += step) y[i] = f(x[i]);
}

template <class Pack, class Operation>
__global__ void binary_kernel(const float* a, const float* b, float* y, std::int64_t count, Operation f) {
  constexpr int kWidth = sizeof(Pack) / sizeof(float);
  const std::int64_t first = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t step = std::int64_t(gridDim.x) * blockDim.x;
  const std::int64_t packs = count / kWidth;
  const auto* a_packs = reinterpret_cast<const Pack*>(a);
  const auto* b_packs = reinterpret_cast<const Pack*>(b);
  auto* y_packs = reinterpret_cast<Pack*>(y);

  for (std::int64_t i = first; i < packs; i += kPacks * step) {
    Pack left[kPacks] = {};
    Pack right[kPacks] = {};
    SIMT_UNROLL
    for (int j = 0; j < kPacks; ++j) {
      if (i + j * step < packs) {
        left[j] = a_packs[i + j * step];
        right[j] = b_packs[i + j * step];
      }
    }
    SIMT_UNROLL
    for (int j = 0; j < kPacks; ++j) {
      if (i + j * step < packs) y_packs[i + j * step] = apply(f, left[j], right[j]);
    }
  }
  for (std::int64_t i = packs * kWidth + first; i < count; i += step) y[i] = f(a[i], b[i]);
}

}  // namespace pointwise

// y[i] = f(x[i]) for 0 <= i < count. y may be x; otherwise they must not overlap. `name` is for messages.
template <class Operation>
void launch_unary(const std::string& name, const float* x, float* y, std::int64_t count, Operation f,
                  simt::stream_t stream) {
  require(count >= 0, name + ": count is negative: " + std::to_string(count));
  if (count == 0) return;
  require_same_or_apart(x, y, count, name + ": the input and the output");
  const PointwiseConfig config = choose_pointwise(count, is_aligned(x, 16) && is_aligned(y, 16));
  const auto kernel = config.width == 4 ? pointwise::unary_kernel<float4, Operation>
                                        : pointwise::unary_kernel<float, Operation>;
  simt::launch(kernel, dim3(config.blocks), dim3(config.threads), 0, stream, x, y, count, f);
}

// y[i] = f(a[i], b[i]) for 0 <= i < count. y may be a or b; otherwise they must not overlap it.
template <class Operation>
void launch_binary(const std::string& name, const float* a, const float* b, float* y, std::int64_t count,
                   Operation f, simt::stream_t stream) {
  require(count >= 0, name + ": count is negative: " + std::to_string(count));
  if (count == 0) return;
  require_same_or_apart(a, y, count, name + ": the first input and the output");
  require_same_or_apart(b, y, count, name + ": the second input and the output");
  const bool aligned = is_aligned(a, 16) && is_aligned(b, 16) && is_aligned(y, 16);
  const PointwiseConfig config = choose_pointwise(count, aligned);
  const auto kernel = config.width == 4 ? pointwise::binary_kernel<float4, Operation>
                                        : pointwise::binary_kernel<float, Operation>;
  simt::launch(kernel, dim3(config.blocks), dim3(config.threads), 0, stream, a, b, y, count, f);
}

}  // namespace alexnet
