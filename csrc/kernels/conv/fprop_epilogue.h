// What conv_fprop.cu and conv_first_layer.cu share: their arguments, and how sums become y.
#pragma once

#include "kernels/common/check.h"
#include "kernels/conv/lanes.h"

namespace alexnet {

struct ForwardArguments {
  Pixels pixels;  // x; channels: those of one group
  const float* w;
  const float* b;  // or null
  float* y;
  LaneGrid grid;  // the positions and images of y
  int R, S, K;
  int filters;       // of one group
  int filter_tiles;  // of one group
  bool relu;
  bool aligned;  // every quad of lanes of y lies at a multiple of 16 bytes
};

inline ForwardArguments forward_arguments(const float* x, const float* w, const float* b, float* y,
                                          const ConvShape& shape, bool relu, const ConvConfig& config) {
  ForwardArguments f{};
  f.pixels = {x, shape.C / shape.groups, shape.H, shape.W, shape.N};
  f.w = w;
  f.b = b;
  f.y = y;
  f.grid = {shape.P, shape.Q, shape.N, shape.stride_h, -shape.pad_top, shape.stride_w, -shape.pad_left};
  f.R = shape.R;
  f.S = shape.S;
  f.K = shape.K;
  f.filters = shape.K / shape.groups;
  f.filter_tiles = static_cast<int>(ceil_div(f.filters, config.tile_rows));
  f.relu = relu;
  f.aligned = is_aligned(y, 16) && shape.N % 4 == 0;
  return f;
}

// x of the block's group, which is blockIdx.y.
__device__ __forceinline__ Pixels pixels_of_group(const ForwardArguments& f) {
  Pixels pixels = f.pixels;
  pixels.data += std::int64_t(blockIdx.y) * pixels.channels * pixels.height * pixels.width * pixels.images;
  return pixels;
}

template <class T>
__device__ __forceinline__ void write_forward(const ForwardArguments& f, int first_filter, int first_lane,
                                              const Place<T>& place, const Sums<T>& sums) {
  const int lanes = f.grid.count();
  SIMT_UNROLL
  for (int i = 0; i < T::kThreadRows; ++i) {
    const int filter = first_filter + place.row_of(i);
    if (filter >= f.filters) continue;
    const int k = blockIdx.y * f.filters + filter;
    const float bias = f.b != nullptr ? f.b[k] : 0.0f;
    float* y = f.y + std::int64_t(k) * lanes;
    SIMT_UNROLL
    for (int j = 0; j < T::kThreadColumns; j += 4) {
      const int lane = first_lane + place.column_of(j);
      float values[4];
      SIMT_UNROLL
      for (int n = 0; n < 4; ++n) {
        const float value = sums.at[i][j + n] + bias;
        values[n] = f.relu && value <= 0.0f ? 0.0f : value;  // a comparison, so that NaN goes through
      }
      write_quad(y + lane, values, lanes - lane, f.aligned);
    }
  }
}

}  // namespace alexnet
