// Pooling by mean: y[c,p,q,n] = mean over the window's pixels; padding adds nothing to the sum nor to the
// divisor.
//
// Mapping and limits are those of max_pool.cu: a thread owns one window (backward: one pixel) of four
// neighbouring images, a block a patch of them, and memory is what limits it. Sums run over positions
// (backward: over windows) row by row, in one thread, so their order is fixed.

#include "kernels/avg_pool/avg_pool.h"

#include "kernels/common/check.h"
#include "kernels/common/launch_tiles.h"
#include "kernels/common/pack.h"
#include "simt/simt.h"

namespace alexnet {
namespace {

constexpr int kThreads = 512;  // a patch of 4 x 4 positions for 128 images, as in max_pool.cu

// Grid and block: those of `tiles`, which cover y. x is [C, H, W, N], y [C, P, Q, N]. kWidth 4: N is a
// multiple of 4, addresses of 16.
template <int kWidth>
__global__ void avg_pool_forward_kernel(const float* x, float* y, Windows w, MapTiles tiles) {
  MapPlace place;
  if (!locate(tiles, place)) return;
  const int top = place.row * w.stride_h - w.pad_h;
  const int left = place.col * w.stride_w - w.pad_w;
  const Range rows = positions_inside(top, w.R, w.H);
  const Range cols = positions_inside(left, w.S, w.W);
  const auto* x_packs = reinterpret_cast<const Pack<float, kWidth>*>(x);

  Pack<float, kWidth> sum = {};
  for (int r = rows.first; r < rows.last; ++r) {
    const std::int64_t row = (std::int64_t{place.c} * w.H + top + r) * w.W + left;
    for (int s = cols.first; s < cols.last; ++s) {
      const Pack<float, kWidth> pixel = x_packs[(row + s) * tiles.packs + place.pack];
      SIMT_UNROLL
      for (int i = 0; i < kWidth; ++i) sum.at[i] += pixel.at[i];
    }
  }
  const auto pixels = static_cast<float>((rows.last - rows.first) * (cols.last - cols.first));
  SIMT_UNROLL
  for (int i = 0; i < kWidth; ++i) sum.at[i] /= pixels;
  const std::int64_t at =
      ((std::int64_t{place.c} * w.P + place.row) * w.Q + place.col) * tiles.packs + place.pack;
  reinterpret_cast<Pack<float, kWidth>*>(y)[at] = sum;
}

// Grid and block: those of `tiles`, which cover dx. dy is [C, P, Q, N], dx [C, H, W, N]. kWidth 4: as above.
template <int kWidth>
__global__ void avg_pool_backward_kernel(const float* dy, float* dx, Windows w, MapTiles tiles) {
  MapPlace place;
  if (!locate(tiles, place)) return;
  const Range p_range = windows_holding(place.row, w.R, w.stride_h, w.pad_h, w.P);
  const Range q_range = windows_holding(place.col, w.S, w.stride_w, w.pad_w, w.Q);
  const auto* dy_packs = reinterpret_cast<const Pack<float, kWidth>*>(dy);

  Pack<float, kWidth> sum = {};
  for (int p = p_range.first; p < p_range.last; ++p) {
    const Range rows = positions_inside(p * w.stride_h - w.pad_h, w.R, w.H);
    for (int q = q_range.first; q < q_range.last; ++q) {
      const Range cols = positions_inside(q * w.stride_w - w.pad_w, w.S, w.W);
      const auto pixels = static_cast<float>((rows.last - rows.first) * (cols.last - cols.first));
      const std::int64_t at = ((std::int64_t{place.c} * w.P + p) * w.Q + q) * tiles.packs + place.pack;
      const Pack<float, kWidth> gradient = dy_packs[at];
      SIMT_UNROLL
      for (int i = 0; i < kWidth; ++i) sum.at[i] += gradient.at[i] / pixels;
    }
  }
  const std::int64_t at =
      ((std::int64_t{place.c} * w.H + place.row) * w.W + place.col) * tiles.packs + place.pack;
  reinterpret_cast<Pack<float, kWidth>*>(dx)[at] = sum;
}

}  // namespace

AvgPoolConfig choose_avg_pool(const Windows& w, bool aligned) {
  const int width = aligned && w.N % 4 == 0 ? 4 : 1;
  return {width, choose_map_tiles(w.C, w.P, w.Q, w.N / width, kThreads)};
}

AvgPoolConfig choose_avg_pool_backward(const Windows& w, bool aligned) {
  const int width = aligned && w.N % 4 == 0 ? 4 : 1;
  return {width, choose_map_tiles(w.C, w.H, w.W, w.N / width, kThreads)};
}

std::string to_string(const AvgPoolConfig& config) {
  return to_string(config.tiles) + ", " + std::to_string(config.width) +
         (config.width == 1 ? " image" : " images") + " at a time";
}

void avg_pool_forward(const float* x, float* y, const Windows& w, simt::stream_t stream) {
  check_windows("avg_pool_forward", w);
  const AvgPoolConfig config = choose_avg_pool(w, is_aligned(x, 16) && is_aligned(y, 16));
  const auto kernel = config.width == 4 ? avg_pool_forward_kernel<4> : avg_pool_forward_kernel<1>;
  launch_tiles("avg_pool_forward", kernel, config.tiles, stream, x, y, w);
}

void avg_pool_backward(const float* dy, float* dx, const Windows& w, simt::stream_t stream) {
  check_windows("avg_pool_backward", w);
  const AvgPoolConfig config = choose_avg_pool_backward(w, is_aligned(dy, 16) && is_aligned(dx, 16));
  const auto kernel = config.width == 4 ? avg_pool_backward_kernel<4> : avg_pool_backward_kernel<1>;
  launch_tiles("avg_pool_backward", kernel, config.tiles, stream, dy, dx, w);
}

}  // namespace alexnet
