// What conv_fprop.cu and conv_first_layer.cu share: their arguments, how sums become y, and the launch.
#pragma once

#include "kernels/common/check.h"
#include "kernels/conv/lanes.h"

namespace alexnet {

template <class Element>
struct ForwardArguments {
  Pixels<Element> pixels;  // x; channels: those of one group
  const Element* w;
  const float* b;  // or null
  Element* y;
  LaneGrid grid;  // the positions and images of y
  int R, S, K;
  int filters;       // of one group
  int filter_tiles;  // of one group
  bool relu;
  bool aligned;  // every quad of lanes of y lies at a multiple of 4 elements
};

// The launch of `kernel`, an instance that suits `config`.
template <class Element>
void launch_forward(void (*kernel)(ForwardArguments<Element>), const Element* x, const Element* w,
                    const float* b, Element* y, const ConvShape& shape, bool relu, const ConvConfig& config,
                    simt::stream_t stream) {
  ForwardArguments<Element> f{};
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
  f.aligned = is_aligned(y, 4 * sizeof(Element)) && shape.N % 4 == 0;
  const dim3 grid(static_cast<unsigned>(config.tiles / shape.groups), shape.groups);
  simt::launch(kernel, grid, dim3(config.threads), 0, stream, f);
}

// Tiles of at most `most` rows.
inline ConvConfig choose_forward(const ConvShape& shape, std::size_t element_size, bool aligned, int most) {
  const int filters = shape.K / shape.groups;
  const std::int64_t lane_tiles = ceil_div(std::int64_t(shape.P) * shape.Q * shape.N, kLanes);
  const auto tiles_of = [&](int rows) { return ceil_div(filters, rows) * shape.groups * lane_tiles; };
  const int rows = choose_tile_rows(element_size, tiles_of, most);
  const bool quads = aligned && shape.N % 4 == 0 && filters % 4 == 0;
  return {rows, 2 * rows, quads, element_size, tiles_of(rows), 1};
}

// x of the block's group, which is blockIdx.y.
template <class Element>
__device__ __forceinline__ Pixels<Element> pixels_of_group(const ForwardArguments<Element>& f) {
  Pixels<Element> pixels = f.pixels;
  pixels.data += std::int64_t(blockIdx.y) * pixels.channels * pixels.height * pixels.width * pixels.images;
  return pixels;
}

template <class T, class Element>
__device__ __forceinline__ void write_forward(const ForwardArguments<Element>& f, int first_filter,
                                              int first_lane, const Place<T>& place, const Sums<T>& sums) {
  const int lanes = f.grid.count();
  SIMT_UNROLL
  for (int i = 0; i < T::kThreadRows; ++i) {
    const int filter = first_filter + place.row_of(i);
    if (filter >= f.filters) continue;
    const int k = blockIdx.y * f.filters + filter;
    const float bias = f.b != nullptr ? f.b[k] : 0.0f;
    Element* y = f.y + std::int64_t(k) * lanes;
    SIMT_UNROLL
    for (int j = 0; j < T::kThreadColumns; j += 4) {
      const int lane = first_lane + place.column_of(j);
      Pack<float, 4> values;
      SIMT_UNROLL
      for (int n = 0; n < 4; ++n) {
        const float value = sums.at[i][j + n] + bias;
        values.at[n] = f.relu && value <= 0.0f ? 0.0f : value;  // a comparison, so that NaN goes through
      }
      write_quad(y + lane, values, lanes - lane, f.aligned);
    }
  }
}

}  // namespace alexnet
