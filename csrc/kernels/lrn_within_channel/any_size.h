// Normalisation within a channel for windows of any size. Right for any, meant for those nobody trains with.
//
// Mapping: a thread owns one pixel of one map of one image, a warp 32 neighbouring images of it. Every thread
// sums over its window anew. No shared memory.
//
// What limits it: instructions. size^2 loads forward, size^4 backward, nearly all from the caches, and as
// many powers as windows.
#pragma once

#include <algorithm>

#include "kernels/common/element.h"
#include "kernels/common/launch_tiles.h"
#include "kernels/lrn/power.h"
#include "kernels/lrn_within_channel/lrn_within_channel.h"
#include "simt/simt.h"

namespace alexnet {
namespace {

constexpr int kAnySizeThreads = 256;

// One image of one map; pixels are N apart.
template <class T>
struct Map {
  const T* first;
  int H, W, N;

  __device__ __forceinline__ float at(int h, int w) const {
    return to_float(first[(std::int64_t{h} * W + w) * N]);
  }
};

template <class T>
__device__ __forceinline__ float scale_at(const Map<T>& x, int h, int w, const LrnConstants& constants) {
  const int before = constants.size / 2;
  float sum = 0.0f;
  for (int i = max(h - before, 0); i < min(h - before + constants.size, x.H); ++i) {
    for (int j = max(w - before, 0); j < min(w - before + constants.size, x.W); ++j) {
      sum = fmaf(x.at(i, j), x.at(i, j), sum);
    }
  }
  return fmaf(constants.alpha, sum, constants.k);
}

// Grid and block of both kernels: those of `tiles`, which cover the maps one image at a time.

template <class T>
__global__ void lrn_within_any_size_forward_kernel(const T* x, T* y, MapShape shape, LrnConstants constants,
                                                   MapTiles tiles) {
  MapPlace place;
  if (!locate(tiles, place)) return;
  const std::int64_t map = std::int64_t{place.c} * shape.H * shape.W * shape.N + place.pack;
  const Map<T> x_map{x + map, shape.H, shape.W, shape.N};
  const float scale = scale_at(x_map, place.row, place.col, constants);
  y[map + (std::int64_t{place.row} * shape.W + place.col) * shape.N] =
      from_float<T>(x_map.at(place.row, place.col) * powers_of_any_beta(scale, constants.beta).minus_beta);
}

template <class T>
__global__ void lrn_within_any_size_backward_kernel(const T* x, const T* dy, T* dx, MapShape shape,
                                                    LrnConstants constants, MapTiles tiles) {
  MapPlace place;
  if (!locate(tiles, place)) return;
  const std::int64_t map = std::int64_t{place.c} * shape.H * shape.W * shape.N + place.pack;
  const Map<T> x_map{x + map, shape.H, shape.W, shape.N};
  const Map<T> dy_map{dy + map, shape.H, shape.W, shape.N};
  const int before = constants.size / 2;
  const int after = constants.size - 1 - before;
  const float direct =
      dy_map.at(place.row, place.col) *
      powers_of_any_beta(scale_at(x_map, place.row, place.col, constants), constants.beta).minus_beta;
  float sum = 0.0f;
  // The pixels whose windows hold this one.
  for (int i = max(place.row - after, 0); i <= min(place.row + before, shape.H - 1); ++i) {
    for (int j = max(place.col - after, 0); j <= min(place.col + before, shape.W - 1); ++j) {
      const float scale = scale_at(x_map, i, j, constants);
      sum = fmaf(dy_map.at(i, j) * x_map.at(i, j),
                 powers_of_any_beta(scale, constants.beta).minus_beta_minus_1, sum);
    }
  }
  const float factor = 2.0f * constants.alpha * constants.beta;
  dx[map + (std::int64_t{place.row} * shape.W + place.col) * shape.N] =
      from_float<T>(fmaf(-factor * x_map.at(place.row, place.col), sum, direct));
}

template <class T>
void lrn_within_any_size_forward(const T* x, T* y, const MapShape& shape, const LrnConstants& constants,
                                 simt::stream_t stream) {
  const MapTiles tiles = choose_map_tiles(shape.C, shape.H, shape.W, shape.N, kAnySizeThreads);
  launch_tiles("lrn_within_channel_forward", lrn_within_any_size_forward_kernel<T>, tiles, stream, x, y,
               shape, constants);
}

template <class T>
void lrn_within_any_size_backward(const T* x, const T* dy, T* dx, const MapShape& shape,
                                  const LrnConstants& constants, simt::stream_t stream) {
  const MapTiles tiles = choose_map_tiles(shape.C, shape.H, shape.W, shape.N, kAnySizeThreads);
  launch_tiles("lrn_within_channel_backward", lrn_within_any_size_backward_kernel<T>, tiles, stream, x, dy,
               dx, shape, constants);
}

}  // namespace
}  // namespace alexnet
