// Pooling by maximum: y[c,p,q,n] = max over (r,s) of x[c, p*sh-top+r, q*sw-left+s, n], and which (r,s) it
// was.
//
// Mapping (common/map_tiles.h): a thread owns one window of a pack of neighbouring images, four floats or
// eight bf16, a block a patch of windows of one channel; a warp is 128 images of one window (of bf16, of
// two), or fewer of several.
//
//     3 x 3, stride 2
//       x  . . . . .        window (0,0): rows 0-2
//          . . . . .        window (0,1): cols 2-4
//          . . . . .        column 2 is read twice
//
// What limits it: memory. Per output 4 pixels of x come in (stride 2), and a value and 1 byte go out. What
// overlapping windows share comes from the first-level cache. Instructions come close: a multiprocessor has
// time for about 550 of them while the 84 bytes of a thread come and go. (Eight bf16 are 88 bytes and take
// about 650.) That is why loads are unrolled: all nine of a 3 x 3 window are under way before the first is
// compared (1024 threads * 9 * 16 bytes = 147 KB a multiprocessor).
//
// NaN: `!(x <= best)` is true for a NaN x, and a NaN best stays. A pixel of -infinity is a pixel: the first
// position inside the image wins where nothing is larger.

#include "kernels/max_pool/max_pool.h"

#include "kernels/common/launch_tiles.h"
#include "kernels/common/pack.h"
#include "kernels/max_pool/choose.h"
#include "simt/simt.h"

namespace alexnet {
namespace {

template <int kWidth>
struct Best {
  float value[kWidth];
  int position[kWidth];

  __device__ __forceinline__ explicit Best(int first_position) {
    SIMT_UNROLL
    for (int i = 0; i < kWidth; ++i) {
      value[i] = -INFINITY;
      position[i] = first_position;
    }
  }

  template <class T>
  __device__ __forceinline__ void offer(const Pack<T, kWidth>& x, int at) {
    SIMT_UNROLL
    for (int i = 0; i < kWidth; ++i) {
      const float pixel = to_float(x.at[i]);
      const bool is_nan = value[i] != value[i];
      if (!(pixel <= value[i]) && !is_nan) {
        value[i] = pixel;
        position[i] = at;
      }
    }
  }
};

template <int kWidth, class T, class Position>
__device__ __forceinline__ void store(const Best<kWidth>& best, T* y, Position* arg, std::int64_t at) {
  Pack<T, kWidth> value;
  Pack<Position, kWidth> position;
  SIMT_UNROLL
  for (int i = 0; i < kWidth; ++i) {
    value.at[i] = from_float<T>(best.value[i]);  // exact: it was a T
    position.at[i] = static_cast<Position>(best.position[i]);
  }
  reinterpret_cast<Pack<T, kWidth>*>(y)[at] = value;
  if (arg != nullptr) reinterpret_cast<Pack<Position, kWidth>*>(arg)[at] = position;
}

// The contract of the two kernels. Grid and block: those of `tiles`, which cover y. x is [C, H, W, N], y and
// arg [C, P, Q, N]; arg may be null. N is a multiple of kWidth, addresses are as in choose_max_pool.

template <class T, int kWidth, class Position>
__global__ void __launch_bounds__(kThreads, 2)
    max_pool_forward_kernel(const T* x, T* y, Position* arg, Windows w, MapTiles tiles) {
  MapPlace place;
  if (!locate(tiles, place)) return;
  const int top = place.row * w.stride_h - w.pad_h;
  const int left = place.col * w.stride_w - w.pad_w;
  const Range rows = positions_inside(top, w.R, w.H);
  const Range cols = positions_inside(left, w.S, w.W);
  const auto* x_packs = reinterpret_cast<const Pack<T, kWidth>*>(x);
  Best<kWidth> best(rows.first * w.S + cols.first);
  for (int r = rows.first; r < rows.last; ++r) {
    const std::int64_t row = (std::int64_t{place.c} * w.H + top + r) * w.W + left;
    for (int s = cols.first; s < cols.last; ++s) {
      const Pack<T, kWidth> pixel = x_packs[(row + s) * tiles.packs + place.pack];
      best.offer(pixel, r * w.S + s);
    }
  }
  store(best, y, arg,
        ((std::int64_t{place.c} * w.P + place.row) * w.Q + place.col) * tiles.packs + place.pack);
}

// Windows are kSize x kSize, and a map, of x or y, has less than 2^31 elements. A position outside the image
// loads the pixel next to it, for nothing, so that no load waits for a condition.
template <class T, int kWidth, class Position, int kSize>
__global__ void max_pool_forward_unrolled_kernel(const T* x, T* y, Position* arg, Windows w, MapTiles tiles) {
  MapPlace place;
  if (!locate(tiles, place)) return;
  const int top = place.row * w.stride_h - w.pad_h;
  const int left = place.col * w.stride_w - w.pad_w;
  const Range rows = positions_inside(top, kSize, w.H);
  const Range cols = positions_inside(left, kSize, w.W);
  const auto* x_map = reinterpret_cast<const Pack<T, kWidth>*>(x) +
                      std::int64_t{place.c} * (w.H * w.W * tiles.packs) + place.pack;

  Pack<T, kWidth> pixel[kSize][kSize];
  SIMT_UNROLL
  for (int r = 0; r < kSize; ++r) {
    const int row = min(max(top + r, 0), w.H - 1) * w.W;
    SIMT_UNROLL
    for (int s = 0; s < kSize; ++s) {
      pixel[r][s] = x_map[(row + min(max(left + s, 0), w.W - 1)) * tiles.packs];
    }
  }
  Best<kWidth> best(rows.first * kSize + cols.first);
  SIMT_UNROLL
  for (int r = 0; r < kSize; ++r) {
    SIMT_UNROLL
    for (int s = 0; s < kSize; ++s) {
      const bool inside = r >= rows.first && r < rows.last && s >= cols.first && s < cols.last;
      if (inside) best.offer(pixel[r][s], r * kSize + s);
    }
  }
  const int in_map = (place.row * w.Q + place.col) * tiles.packs + place.pack;
  store(best, y, arg, std::int64_t{place.c} * (w.P * w.Q * tiles.packs) + in_map);
}

}  // namespace

MaxPoolConfig choose_max_pool(const Windows& w, std::size_t element_size, bool aligned) {
  const int width = width_of(w, element_size, aligned);
  return {width, w.R == 3 && w.S == 3 && small_maps(w),
          choose_map_tiles(w.C, w.P, w.Q, w.N / width, kThreads)};
}

std::string to_string(const MaxPoolConfig& config) {
  return to_string(config.tiles) + ", " + std::to_string(config.width) +
         (config.width == 1 ? " image" : " images") + " at a time" + (config.unrolled ? ", unrolled" : "");
}

template <class T>
void max_pool_forward(const T* x, T* y, std::uint8_t* arg, const Windows& w, simt::stream_t stream) {
  check_positions("max_pool_forward", w, 256);
  const MaxPoolConfig config = choose_max_pool(w, sizeof(T), all_aligned(x, y, arg));
  constexpr int kWide = kPackWidth<T>;
  auto* kernel = config.width > 1 ? max_pool_forward_kernel<T, kWide, std::uint8_t>
                                  : max_pool_forward_kernel<T, 1, std::uint8_t>;
  if (config.unrolled) {
    kernel = config.width > 1 ? max_pool_forward_unrolled_kernel<T, kWide, std::uint8_t, 3>
                              : max_pool_forward_unrolled_kernel<T, 1, std::uint8_t, 3>;
  }
  launch_tiles("max_pool_forward", kernel, config.tiles, stream, x, y, arg, w);
}

template <class T>
void max_pool_forward(const T* x, T* y, std::uint16_t* arg, const Windows& w, simt::stream_t stream) {
  check_positions("max_pool_forward", w, 65536);
  const MaxPoolConfig config = choose_max_pool(w, sizeof(T), false);
  launch_tiles("max_pool_forward", max_pool_forward_kernel<T, 1, std::uint16_t>, config.tiles, stream, x, y,
               arg, w);
}

template void max_pool_forward(const float*, float*, std::uint8_t*, const Windows&, simt::stream_t);
template void max_pool_forward(const float*, float*, std::uint16_t*, const Windows&, simt::stream_t);
template void max_pool_forward(const simt::bf16*, simt::bf16*, std::uint8_t*, const Windows&, simt::stream_t);
template void max_pool_forward(const simt::bf16*, simt::bf16*, std::uint16_t*, const Windows&,
                               simt::stream_t);

}  // namespace alexnet
