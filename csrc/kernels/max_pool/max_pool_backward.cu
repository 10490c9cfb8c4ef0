// The gradient of pooling by maximum: a pixel gets the sum of dy over the windows whose maximum it was.
//
// Mapping (common/map_tiles.h), as in max_pool.cu, but a thread owns pixels, of a pack of images, and gathers
// from the windows that hold them: there are no atomics, and the order of the sum is fixed.
//
//     with strides of 2, the pixels of a 2 x 2 patch are in the same 2 x 2 windows at most:
//
//     pixel (2a + i, 2b + j) is position (i, j) of window (a, b), (i + 2, j) of window (a - 1, b), and so on
//
// What limits it: memory, and instructions as much: a multiprocessor has time for about 550 of them while the
// 84 bytes of a thread come and go. That is why a thread takes a patch and not a pixel, and all of the
// patch's four windows are under way before the first is used (1024 threads * 4 * 20 bytes = 82 KB a
// multiprocessor, of bf16 4 * 24).

#include "kernels/common/launch_tiles.h"
#include "kernels/common/pack.h"
#include "kernels/max_pool/choose.h"
#include "kernels/max_pool/max_pool.h"
#include "simt/simt.h"

namespace alexnet {
namespace {

// Adds to the pixel at (r, s) of a window the window's gradient where that pixel was the maximum.
template <int kWidth, class T, class Position>
__device__ __forceinline__ void gather(Pack<float, kWidth>& sum, const Pack<T, kWidth>& gradient,
                                       const Pack<Position, kWidth>& maximum, const Windows& w, int r,
                                       int s) {
  const int here = r * w.S + s;
  SIMT_UNROLL
  for (int i = 0; i < kWidth; ++i) {
    if (maximum.at[i] == here) sum.at[i] += to_float(gradient.at[i]);
  }
}

// The contract of the two kernels. dy and arg are [C, P, Q, N], dx [C, H, W, N]. N is a multiple of kWidth,
// addresses are as in choose_max_pool_backward.

// Grid and block: those of `tiles`, which cover dx.
template <class T, int kWidth, class Position>
__global__ void __launch_bounds__(kThreads, 2)
    max_pool_backward_kernel(const T* dy, const Position* arg, T* dx, Windows w, MapTiles tiles) {
  MapPlace place;
  if (!locate(tiles, place)) return;
  const Range p_range = windows_holding(place.row, w.R, w.stride_h, w.pad_h, w.P);
  const Range q_range = windows_holding(place.col, w.S, w.stride_w, w.pad_w, w.Q);
  Pack<float, kWidth> sum = {};
  for (int p = p_range.first; p < p_range.last; ++p) {
    for (int q = q_range.first; q < q_range.last; ++q) {
      const std::int64_t at = ((std::int64_t{place.c} * w.P + p) * w.Q + q) * tiles.packs + place.pack;
      const Pack<T, kWidth> gradient = reinterpret_cast<const Pack<T, kWidth>*>(dy)[at];
      const Pack<Position, kWidth> maximum = reinterpret_cast<const Pack<Position, kWidth>*>(arg)[at];
      gather(sum, gradient, maximum, w, place.row + w.pad_h - p * w.stride_h,
             place.col + w.pad_w - q * w.stride_w);
    }
  }
  const std::int64_t at =
      ((std::int64_t{place.c} * w.H + place.row) * w.W + place.col) * tiles.packs + place.pack;
  reinterpret_cast<Pack<T, kWidth>*>(dx)[at] = from_floats<T>(sum);
}

// Strides are 2, windows at most 4 x 4, a map has less than 2^31 elements. Grid and block: those of `tiles`,
// which cover the 2 x 2 patches of dx that begin at pixel (2 * row - pad_h, 2 * col - pad_w). The four pixels
// of patch (a, b) are in no windows but (a-1, b-1), (a-1, b), (a, b-1) and (a, b). Where one of them does not
// exist, its neighbour is loaded for nothing.
template <class T, int kWidth, class Position>
__global__ void max_pool_backward_stride_2_kernel(const T* dy, const Position* arg, T* dx, Windows w,
                                                  MapTiles tiles) {
  MapPlace place;
  if (!locate(tiles, place)) return;
  const std::int64_t y_map = std::int64_t{place.c} * (w.P * w.Q * tiles.packs) + place.pack;
  const auto* dy_map = reinterpret_cast<const Pack<T, kWidth>*>(dy) + y_map;
  const auto* arg_map = reinterpret_cast<const Pack<Position, kWidth>*>(arg) + y_map;
  auto* dx_map =
      reinterpret_cast<Pack<T, kWidth>*>(dx) + std::int64_t{place.c} * (w.H * w.W * tiles.packs) + place.pack;

  Pack<T, kWidth> gradient[2][2];
  Pack<Position, kWidth> maximum[2][2];
  bool exists[2][2];
  SIMT_UNROLL
  for (int i = 0; i < 2; ++i) {
    SIMT_UNROLL
    for (int j = 0; j < 2; ++j) {
      const int p = place.row - 1 + i, q = place.col - 1 + j;
      const int near_p = min(max(p, 0), w.P - 1), near_q = min(max(q, 0), w.Q - 1);
      exists[i][j] = p == near_p && q == near_q;
      gradient[i][j] = dy_map[(near_p * w.Q + near_q) * tiles.packs];
      maximum[i][j] = arg_map[(near_p * w.Q + near_q) * tiles.packs];
    }
  }
  SIMT_UNROLL
  for (int pixel = 0; pixel < 4; ++pixel) {
    const int h = 2 * place.row - w.pad_h + pixel / 2;
    const int col = 2 * place.col - w.pad_w + pixel % 2;
    Pack<float, kWidth> sum = {};
    SIMT_UNROLL
    for (int i = 0; i < 2; ++i) {
      SIMT_UNROLL
      for (int j = 0; j < 2; ++j) {
        const int r = pixel / 2 + 2 * (1 - i), s = pixel % 2 + 2 * (1 - j);
        const bool holds = exists[i][j] && r < w.R && s < w.S;
        if (holds) gather(sum, gradient[i][j], maximum[i][j], w, r, s);
      }
    }
    if (h >= 0 && h < w.H && col >= 0 && col < w.W) {
      dx_map[(h * w.W + col) * tiles.packs] = from_floats<T>(sum);
    }
  }
}

}  // namespace

MaxPoolConfig choose_max_pool_backward(const Windows& w, std::size_t element_size, bool aligned) {
  MaxPoolConfig config{};
  config.width = width_of(w, element_size, aligned);
  config.unrolled = w.stride_h == 2 && w.stride_w == 2 && w.R <= 4 && w.S <= 4 && small_maps(w);
  const auto patches = [&](int length, int pad) {
    return config.unrolled ? (length + pad - 1) / 2 + 1 : length;
  };
  config.tiles =
      choose_map_tiles(w.C, patches(w.H, w.pad_h), patches(w.W, w.pad_w), w.N / config.width, kThreads);
  return config;
}

template <class T>
void max_pool_backward(const T* dy, const std::uint8_t* arg, T* dx, const Windows& w, simt::stream_t stream) {
  check_positions("max_pool_backward", w, 256);
  const MaxPoolConfig config = choose_max_pool_backward(w, sizeof(T), all_aligned(dy, dx, arg));
  constexpr int kWide = kPackWidth<T>;
  auto* kernel = config.width > 1 ? max_pool_backward_kernel<T, kWide, std::uint8_t>
                                  : max_pool_backward_kernel<T, 1, std::uint8_t>;
  if (config.unrolled) {
    kernel = config.width > 1 ? max_pool_backward_stride_2_kernel<T, kWide, std::uint8_t>
                              : max_pool_backward_stride_2_kernel<T, 1, std::uint8_t>;
  }
  launch_tiles("max_pool_backward", kernel, config.tiles, stream, dy, arg, dx, w);
}

template <class T>
void max_pool_backward(const T* dy, const std::uint16_t* arg, T* dx, const Windows& w,
                       simt::stream_t stream) {
  check_positions("max_pool_backward", w, 65536);
  const MaxPoolConfig config = choose_max_pool_backward(w, sizeof(T), false);
  launch_tiles("max_pool_backward", max_pool_backward_kernel<T, 1, std::uint16_t>, config.tiles, stream, dy,
               arg, dx, w);
}

template void max_pool_backward(const float*, const std::uint8_t*, float*, const Windows&, simt::stream_t);
template void max_pool_backward(const float*, const std::uint16_t*, float*, const Windows&, simt::stream_t);
template void max_pool_backward(const simt::bf16*, const std::uint8_t*, simt::bf16*, const Windows&,
                                simt::stream_t);
template void max_pool_backward(const simt::bf16*, const std::uint16_t*, simt::bf16*, const Windows&,
                                simt::stream_t);

}  // namespace alexnet
