// The frame of operations that treat every element alone: y[i] = f(x[i]), or y[i] = f(a[i], b[i]).
//
// It is relu.cu's grid-stride loop, with f as a template argument. An Operation is a struct with
//
//     __device__ float operator()(float x) const;      or      (float a, float b) const;
//
// and knows nothing of the elements' type T, float or bf16: it computes on floats, and its result is rounded
// to T.
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
#include "kernels/common/pack.h"
#include "simt/simt.h"

namespace alexnet {

namespace pointwise {

// f on each element of one or two packs.
template <class T, int kWidth, class Operation, class... Packs>
__device__ __forceinline__ Pack<T, kWidth> apply(const Operation& f, const Packs&... x) {
  Pack<T, kWidth> y;
  SIMT_UNROLL
  for (int i = 0; i < kWidth; ++i) y.at[i] = from_float<T>(f(to_float(x.at[i])...));
  return y;
}

// The contract of both kernels: grid and block one-dimensional, any size; every array has `count` elements; y
// may be an input. kWidth is 1, or as many as 16 bytes hold where all addresses are multiples of 16. A thread
// owns the packs first, first + step, first + 2 * step, ... and of the last count % kWidth elements those
// with the same numbers.

template <class T, int kWidth, class Operation>
__global__ void unary_kernel(const T* x, T* y, std::int64_t count, Operation f) {
  const std::int64_t first = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t step = std::int64_t(gridDim.x) * blockDim.x;
  const std::int64_t packs = count / kWidth;
  const auto* x_packs = reinterpret_cast<const Pack<T, kWidth>*>(x);
  auto* y_packs = reinterpret_cast<Pack<T, kWidth>*>(y);

  for (std::int64_t i = first; i < packs; i += kPacks * step) {
    Pack<T, kWidth> value[kPacks] = {};
    SIMT_UNROLL
    for (int j = 0; j < kPacks; ++j) {
      if (i + j * step < packs) value[j] = x_packs[i + j * step];
    }
    SIMT_UNROLL
    for (int j = 0; j < kPacks; ++j) {
      if (i + j * step < packs) y_packs[i + j * step] = apply<T, kWidth>(f, value[j]);
    }
  }
  for (std::int64_t i = packs * kWidth + first; i < count; i += step) y[i] = from_float<T>(f(to_float(x[i])));
}

template <class T, int kWidth, class Operation>
__global__ void binary_kernel(const T* a, const T* b, T* y, std::int64_t count, Operation f) {
  const std::int64_t first = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t step = std::int64_t(gridDim.x) * blockDim.x;
  const std::int64_t packs = count / kWidth;
  const auto* a_packs = reinterpret_cast<const Pack<T, kWidth>*>(a);
  const auto* b_packs = reinterpret_cast<const Pack<T, kWidth>*>(b);
  auto* y_packs = reinterpret_cast<Pack<T, kWidth>*>(y);

  for (std::int64_t i = first; i < packs; i += kPacks * step) {
    Pack<T, kWidth> left[kPacks] = {};
    Pack<T, kWidth> right[kPacks] = {};
    SIMT_UNROLL
    for (int j = 0; j < kPacks; ++j) {
      if (i + j * step < packs) {
        left[j] = a_packs[i + j * step];
        right[j] = b_packs[i + j * step];
      }
    }
    SIMT_UNROLL
    for (int j = 0; j < kPacks; ++j) {
      if (i + j * step < packs) y_packs[i + j * step] = apply<T, kWidth>(f, left[j], right[j]);
    }
  }
  for (std::int64_t i = packs * kWidth + first; i < count; i += step) {
    y[i] = from_float<T>(f(to_float(a[i]), to_float(b[i])));
  }
}

}  // namespace pointwise

// y[i] = f(x[i]) for 0 <= i < count. y may be x; otherwise they must not overlap. `name` is for messages.
template <class T, class Operation>
void launch_unary(const std::string& name, const T* x, T* y, std::int64_t count, Operation f,
                  simt::stream_t stream) {
  require(count >= 0, name + ": count is negative: " + std::to_string(count));
  if (count == 0) return;
  require_same_or_apart(x, y, count, name + ": the input and the output");
  const bool aligned = is_aligned(x, kPackBytes) && is_aligned(y, kPackBytes);
  const PointwiseConfig config = choose_pointwise(count, sizeof(T), aligned);
  const auto kernel = config.width > 1 ? pointwise::unary_kernel<T, kPackWidth<T>, Operation>
                                       : pointwise::unary_kernel<T, 1, Operation>;
  simt::launch(kernel, dim3(config.blocks), dim3(config.threads), 0, stream, x, y, count, f);
}

// y[i] = f(a[i], b[i]) for 0 <= i < count. y may be a or b; otherwise they must not overlap it.
template <class T, class Operation>
void launch_binary(const std::string& name, const T* a, const T* b, T* y, std::int64_t count, Operation f,
                   simt::stream_t stream) {
  require(count >= 0, name + ": count is negative: " + std::to_string(count));
  if (count == 0) return;
  require_same_or_apart(a, y, count, name + ": the first input and the output");
  require_same_or_apart(b, y, count, name + ": the second input and the output");
  const bool aligned = is_aligned(a, kPackBytes) && is_aligned(b, kPackBytes) && is_aligned(y, kPackBytes);
  const PointwiseConfig config = choose_pointwise(count, sizeof(T), aligned);
  const auto kernel = config.width > 1 ? pointwise::binary_kernel<T, kPackWidth<T>, Operation>
                                       : pointwise::binary_kernel<T, 1, Operation>;
  simt::launch(kernel, dim3(config.blocks), dim3(config.threads), 0, stream, a, b, y, count, f);
}

}  // namespace alexnet
