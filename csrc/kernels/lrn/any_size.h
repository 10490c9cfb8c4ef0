// Normalisation across channels for windows that are not AlexNet's: any size, any beta.
//
// Mapping: as in lrn.cu, but a thread owns one column (a pixel of an image) of a segment of channels, and no
// ring: for each channel it reads the window anew. No shared memory.
//
// What limits it: instructions. Neighbours are read again, size (forward) and size^2 (backward) times, from
// the caches, and each window costs a power. Right for any size, meant for those nobody trains with.
#pragma once

#include <cstdint>

#include "kernels/lrn/column.h"
#include "kernels/lrn/power.h"
#include "simt/simt.h"

namespace alexnet {
namespace {

// Grid and block are those of the kernels in lrn.cu, with kWidth = 1.

template <class T>
__device__ __forceinline__ float scale_at(const Column<T, 1>& x, int c, const LrnConstants& constants) {
  const int begin = max(c - constants.size / 2, x.group_first);
  const int end = min(c - constants.size / 2 + constants.size, x.group_last);
  float sum = 0.0f;
  for (int j = begin; j < end; ++j) {
    const float value = to_float(x[j].at[0]);
    sum = fmaf(value, value, sum);
  }
  return fmaf(constants.alpha, sum, constants.k);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    lrn_forward_any_size_kernel(const T* x, T* y, LrnShape shape, LrnConstants constants, int segment) {
  const std::int64_t position = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (position >= shape.positions) return;
  const Segment channels = segment_of(blockIdx.y, segment, shape);
  const Column<T, 1> column{reinterpret_cast<const Pack<T, 1>*>(x) + position, shape.positions,
                            channels.group_first, channels.group_last};
  for (int c = channels.first; c < channels.last; ++c) {
    const float scale = scale_at(column, c, constants);
    y[c * shape.positions + position] =
        from_float<T>(to_float(column[c].at[0]) * powers_of_any_beta(scale, constants.beta).minus_beta);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    lrn_backward_any_size_kernel(const T* x, const T* dy, T* dx, LrnShape shape, LrnConstants constants,
                                 int segment) {
  const std::int64_t position = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (position >= shape.positions) return;
  const Segment channels = segment_of(blockIdx.y, segment, shape);
  const Column<T, 1> x_column{reinterpret_cast<const Pack<T, 1>*>(x) + position, shape.positions,
                              channels.group_first, channels.group_last};
  const Column<T, 1> dy_column{reinterpret_cast<const Pack<T, 1>*>(dy) + position, shape.positions,
                               channels.group_first, channels.group_last};
  const float factor = 2.0f * constants.alpha * constants.beta;
  const int before = constants.size / 2;

  for (int c = channels.first; c < channels.last; ++c) {
    float direct = 0.0f;
    float sum = 0.0f;
    // The channels whose windows hold c.
    const int begin = max(c + before - constants.size + 1, channels.group_first);
    const int end = min(c + before + 1, channels.group_last);
    for (int j = begin; j < end; ++j) {
      const Powers power = powers_of_any_beta(scale_at(x_column, j, constants), constants.beta);
      const float gradient = to_float(dy_column[j].at[0]);
      sum = fmaf(gradient * to_float(x_column[j].at[0]), power.minus_beta_minus_1, sum);
      if (j == c) direct = gradient * power.minus_beta;
    }
    dx[c * shape.positions + position] =
        from_float<T>(fmaf(-factor * to_float(x_column[c].at[0]), sum, direct));
  }
}

}  // namespace
}  // namespace alexnet
