// Pooling by mean: y[c,p,q,n] = mean over the window's pixels; padding adds nothing to the sum nor to the
// divisor.
//
// Mapping and limits are those of max_pool.cu: a thread owns one window (backward: one pixel) of a pack of
// neighbouring images, a block a patch of them, and memory is what limits it. Sums are float32 and run over
// positions (backward: over windows) row by row, in one thread, so their order is fixed.

#include "kernels/avg_pool/avg_pool.h"

#include "kernels/common/check.h"
#include "kernels/common/launch_tiles.h"
#include "kernels/common/pack.h"
#include "simt/simt.h"

namespace alexnet {
namespace {

constexpr int kThreads = 512;  // a patch of 4 x 4 positions for 128 images, as in max_pool.cu

// Grid and block: those of `tiles`, which cover y. x is [C, H, W, N], y [C, P, Q, N]. N is a
// multiple of kWidth, addresses of as many elements.
template <class T, int kWidth>
__global__ void avg_pool_forward_kernel(const T* x, T* y, Windows w, MapTiles tiles) {
  MapPlace place;
  if (!locate(tiles, place)) return;
  const int top = place.row * w.stride_h - w.pad_h;
  const int left = place.col * w.stride_w - w.pad_w;
  const Range rows = positions_inside(top, w.R, w.H);
  const Range cols = positions_inside(left, w.S, w.W);
  const auto* x_packs = reinterpret_cast<const Pack<T, kWidth>*>(x);

  Pack<float, kWidth> sum = {};
  for (int r = rows.first; r < rows.last; ++r) {
    const std::int64_t row = (std::int64_t{place.c} * w.H + top + r) * w.W + left;
    for (int s = cols.first; s < cols.last; ++s) {
      const Pack<T, kWidth> pixel = x_packs[(row + s) * tiles.packs + place.pack];
      SIMT_UNROLL
      for (int i = 0; i < kWidth; ++i) sum.at[i] += to_float(pixel.at[i]);
    }
  }
  const auto pixels = static_cast<float>((rows.last - rows.first) * (cols.last - cols.first));
  SIMT_UNROLL
  for (int i = 0; i < kWidth; ++i) sum.at[i] /= pixels;
  const std::int64_t at =
      ((std::int64_t{place.c} * w.P + place.row) * w.Q + place.col) * tiles.packs + place.pack;
  reinterpret_cast<Pack<T, kWidth>*>(y)[at] = from_floats<T>(sum);
}

// Grid and block: those of `tiles`, which cover dx. dy is [C, P, Q, N], dx [C, H, W, N]. N and
// addresses: as above.
template <class T, int kWidth>
__global__ void avg_pool_backward_kernel(const T* dy, T* dx, Windows w, MapTiles tiles) {
  MapPlace place;
  if (!locate(tiles, place)) return;
  const Range p_range = windows_holding(place.row, w.R, w.stride_h, w.pad_h, w.P);
  const Range q_range = windows_holding(place.col, w.S, w.stride_w, w.pad_w, w.Q);
  const auto* dy_packs = reinterpret_cast<const Pack<T, kWidth>*>(dy);

  Pack<float, kWidth> sum = {};
  for (int p = p_range.first; p < p_range.last; ++p) {
    const Range rows = positions_inside(p * w.stride_h - w.pad_h, w.R, w.H);
    for (int q = q_range.first; q < q_range.last; ++q) {
      const Range cols = positions_inside(q * w.stride_w - w.pad_w, w.S, w.W);
      const auto pixels = static_cast<float>((rows.last - rows.first) * (cols.last - cols.first));
      const std::int64_t at = ((std::int64_t{place.c} * w.P + p) * w.Q + q) * tiles.packs + place.pack;
      const Pack<T, kWidth> gradient = dy_packs[at];
      SIMT_UNROLL
      for (int i = 0; i < kWidth; ++i) sum.at[i] += to_float(gradient.at[i]) / pixels;
    }
  }
  const std::int64_t at =
      ((std::int64_t{place.c} * w.H + place.row) * w.W + place.col) * tiles.packs + place.pack;
  reinterpret_cast<Pack<T, kWidth>*>(dx)[at] = from_floats<T>(sum);
}

int width_of(const Windows& w, std::size_t element_size, bool aligned) {
  const int in_a_pack = kPackBytes / static_cast<int>(element_size);
  return aligned && w.N % in_a_pack == 0 ? in_a_pack : 1;
}

}  // namespace

AvgPoolConfig choose_avg_pool(const Windows& w, std::size_t element_size, bool aligned) {
  const int width = width_of(w, element_size, aligned);
  return {width, choose_map_tiles(w.C, w.P, w.Q, w.N / width, kThreads)};
}

AvgPoolConfig choose_avg_pool_backward(const Windows& w, std::size_t element_size, bool aligned) {
  const int width = width_of(w, element_size, aligned);
  return {width, choose_map_tiles(w.C, w.H, w.W, w.N / width, kThreads)};
}

std::string to_string(const AvgPoolConfig& config) {
  return to_string(config.tiles) + ", " + std::to_string(config.width) +
         (config.width == 1 ? " image" : " images") + " at a time";
}

template <class T>
void avg_pool_forward(const T* x, T* y, const Windows& w, simt::stream_t stream) {
  check_windows("avg_pool_forward", w);
  const bool aligned = is_aligned(x, kPackBytes) && is_aligned(y, kPackBytes);
  const AvgPoolConfig config = choose_avg_pool(w, sizeof(T), aligned);
  const auto kernel =
      config.width > 1 ? avg_pool_forward_kernel<T, kPackWidth<T>> : avg_pool_forward_kernel<T, 1>;
  launch_tiles("avg_pool_forward", kernel, config.tiles, stream, x, y, w);
}

template <class T>
void avg_pool_backward(const T* dy, T* dx, const Windows& w, simt::stream_t stream) {
  check_windows("avg_pool_backward", w);
  const bool aligned = is_aligned(dy, kPackBytes) && is_aligned(dx, kPackBytes);
  const AvgPoolConfig config = choose_avg_pool_backward(w, sizeof(T), aligned);
  const auto kernel =
      config.width > 1 ? avg_pool_backward_kernel<T, kPackWidth<T>> : avg_pool_backward_kernel<T, 1>;
  launch_tiles("avg_pool_backward", kernel, config.tiles, stream, dy, dx, w);
}

template void avg_pool_forward(const float*, float*, const Windows&, simt::stream_t);
template void avg_pool_forward(const simt::bf16*, simt::bf16*, const Windows&, simt::stream_t);
template void avg_pool_backward(const float*, float*, const Windows&, simt::stream_t);
template void avg_pool_backward(const simt::bf16*, simt::bf16*, const Windows&, simt::stream_t);

}  // namespace alexnet
