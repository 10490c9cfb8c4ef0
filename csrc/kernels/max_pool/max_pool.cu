// Pooling by maximum: y[c,p,q,n] = max over (r,s) of x[c, p*sh-top+r, q*sw-left+s, n], and which (r,s) it
// was.
//
// Mapping (common/map_tiles.h): a thread owns one window of four neighbouring images, a block a patch of
// windows of one channel; a warp is 128 images of one window, or fewer of several. Backward, a thread owns
// pixels and gathers from the windows that hold them, so there are no atomics, and the order of the sum is
// fixed.
//
//     forward, 3 x 3, stride 2                      backward: with strides of 2, the pixels of a 2 x 2 patch
//       x  . . . . .        window (0,0): rows 0-2    are in the same 2 x 2 windows at most:
//          . . . . .        window (0,1): cols 2-4
//          . . . . .        column 2 is read twice      pixel (2a + i, 2b + j) is position (i, j) of window
//          (a, b),
//                                                       (i + 2, j) of window (a - 1, b), and so on
//
// What limits it: memory. Per output 4 pixels of x come in (stride 2), 4 bytes and 1 byte go out; backward
// the other way round. What overlapping windows share comes from the first-level cache. Instructions come
// close: a multiprocessor has time for about 550 of them while the 84 bytes of a thread come and go. That is
// why backward a thread takes a patch and not a pixel, and why loads are unrolled: all nine of a 3 x 3 window
// are under way before the first is compared (1024 threads * 9 * 16 bytes = 147 KB a multiprocessor), and all
// of a patch's four windows (1024 * 4 * 20 = 82 KB).
//
// NaN: `!(x <= best)` is true for a NaN x, and a NaN best stays. A pixel of -infinity is a pixel: the first
// position inside the image wins where nothing is larger.

#include "kernels/max_pool/max_pool.h"

#include "kernels/common/check.h"
#include "kernels/common/launch_tiles.h"
#include "kernels/common/pack.h"
#include "simt/simt.h"

namespace alexnet {
namespace {

// Of a block. 512: a patch of 4 x 4 windows for 128 images; two such blocks fit a multiprocessor with the 64
// registers that nine loads under way need.
constexpr int kThreads = 512;

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

  __device__ __forceinline__ void offer(const Pack<float, kWidth>& x, int at) {
    SIMT_UNROLL
    for (int i = 0; i < kWidth; ++i) {
      const bool is_nan = value[i] != value[i];
      if (!(x.at[i] <= value[i]) && !is_nan) {
        value[i] = x.at[i];
        position[i] = at;
      }
    }
  }
};

template <int kWidth, class Position>
__device__ __forceinline__ void store(const Best<kWidth>& best, float* y, Position* arg, std::int64_t at) {
  Pack<float, kWidth> value;
  Pack<Position, kWidth> position;
  SIMT_UNROLL
  for (int i = 0; i < kWidth; ++i) {
    value.at[i] = best.value[i];
    position.at[i] = static_cast<Position>(best.position[i]);
  }
  reinterpret_cast<Pack<float, kWidth>*>(y)[at] = value;
  if (arg != nullptr) reinterpret_cast<Pack<Position, kWidth>*>(arg)[at] = position;
}

// The contract of the two forward kernels. Grid and block: those of `tiles`, which cover y. x is [C, H, W,
// N], y and arg [C, P, Q, N]; arg may be null. kWidth 4: N is a multiple of 4, addresses as in
// choose_max_pool.

template <int kWidth, class Position>
__global__ void max_pool_forward_kernel(const float* x, float* y, Position* arg, Windows w, MapTiles tiles) {
  MapPlace place;
  if (!locate(tiles, place)) return;
  const int top = place.row * w.stride_h - w.pad_h;
  const int left = place.col * w.stride_w - w.pad_w;
  const Range rows = positions_inside(top, w.R, w.H);
  const Range cols = positions_inside(left, w.S, w.W);
  const auto* x_packs = reinterpret_cast<const Pack<float, kWidth>*>(x);
  Best<kWidth> best(rows.first * w.S + cols.first);
  for (int r = rows.first; r < rows.last; ++r) {
    const std::int64_t row = (std::int64_t{place.c} * w.H + top + r) * w.W + left;
    for (int s = cols.first; s < cols.last; ++s)
      best.offer(x_packs[(row + s) * tiles.packs + place.pack], r * w.S + s);
  }
  store(best, y, arg,
        ((std::int64_t{place.c} * w.P + place.row) * w.Q + place.col) * tiles.packs + place.pack);
}

// Windows are kSize x kSize, and a map, of x or y, has less than 2^31 elements. A position outside the image
// loads the pixel next to it, for nothing, so that no load waits for a condition.
template <int kWidth, class Position, int kSize>
__global__ void max_pool_forward_unrolled_kernel(const float* x, float* y, Position* arg, Windows w,
                                                 MapTiles tiles) {
  MapPlace place;
  if (!locate(tiles, place)) return;
  const int top = place.row * w.stride_h - w.pad_h;
  const int left = place.col * w.stride_w - w.pad_w;
  const Range rows = positions_inside(top, kSize, w.H);
  const Range cols = positions_inside(left, kSize, w.W);
  const auto* x_map = reinterpret_cast<const Pack<float, kWidth>*>(x) +
                      std::int64_t{place.c} * (w.H * w.W * tiles.packs) + place.pack;

  Pack<float, kWidth> pixel[kSize][kSize];
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

// Adds to the pixel at (r, s) of a window the window's gradient where that pixel was the maximum.
template <int kWidth, class Position>
__device__ __forceinline__ void gather(Pack<float, kWidth>& sum, const Pack<float, kWidth>& gradient,
                                       const Pack<Position, kWidth>& maximum, const Windows& w, int r,
                                       int s) {
  const int here = r * w.S + s;
  SIMT_UNROLL
  for (int i = 0; i < kWidth; ++i) {
    if (maximum.at[i] == here) sum.at[i] += gradient.at[i];
  }
}

// The contract of the two backward kernels. dy and arg are [C, P, Q, N], dx [C, H, W, N]. kWidth 4: as above.

// Grid and block: those of `tiles`, which cover dx.
template <int kWidth, class Position>
__global__ void max_pool_backward_kernel(const float* dy, const Position* arg, float* dx, Windows w,
                                         MapTiles tiles) {
  MapPlace place;
  if (!locate(tiles, place)) return;
  const Range p_range = windows_holding(place.row, w.R, w.stride_h, w.pad_h, w.P);
  const Range q_range = windows_holding(place.col, w.S, w.stride_w, w.pad_w, w.Q);
  Pack<float, kWidth> sum = {};
  for (int p = p_range.first; p < p_range.last; ++p) {
    for (int q = q_range.first; q < q_range.last; ++q) {
      const std::int64_t at = ((std::int64_t{place.c} * w.P + p) * w.Q + q) * tiles.packs + place.pack;
      gather<kWidth, Position>(sum, reinterpret_cast<const Pack<float, kWidth>*>(dy)[at],
                               reinterpret_cast<const Pack<Position, kWidth>*>(arg)[at], w,
                               place.row + w.pad_h - p * w.stride_h, place.col + w.pad_w - q * w.stride_w);
    }
  }
  const std::int64_t at =
      ((std::int64_t{place.c} * w.H + place.row) * w.W + place.col) * tiles.packs + place.pack;
  reinterpret_cast<Pack<float, kWidth>*>(dx)[at] = sum;
}

// Strides are 2, windows at most 4 x 4, a map has less than 2^31 elements. Grid and block: those of `tiles`,
// which cover the 2 x 2 patches of dx that begin at pixel (2 * row - pad_h, 2 * col - pad_w). The four pixels
// of patch (a, b) are in no windows but (a-1, b-1), (a-1, b), (a, b-1) and (a, b). Where one of them does not
// exist, its neighbour is loaded for nothing.
template <int kWidth, class Position>
__global__ void max_pool_backward_stride_2_kernel(const float* dy, const Position* arg, float* dx, Windows w,
                                                  MapTiles tiles) {
  MapPlace place;
  if (!locate(tiles, place)) return;
  const std::int64_t y_map = std::int64_t{place.c} * (w.P * w.Q * tiles.packs) + place.pack;
  const auto* dy_map = reinterpret_cast<const Pack<float, kWidth>*>(dy) + y_map;
  const auto* arg_map = reinterpret_cast<const Pack<Position, kWidth>*>(arg) + y_map;
  auto* dx_map = reinterpret_cast<Pack<float, kWidth>*>(dx) +
                 std::int64_t{place.c} * (w.H * w.W * tiles.packs) + place.pack;

  Pack<float, kWidth> gradient[2][2];
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
        if (holds) gather<kWidth, Position>(sum, gradient[i][j], maximum[i][j], w, r, s);
      }
    }
    if (h >= 0 && h < w.H && col >= 0 && col < w.W) dx_map[(h * w.W + col) * tiles.packs] = sum;
  }
}

template <class Position>
bool all_aligned(const float* x, const float* y, const Position* arg) {
  return is_aligned(x, 16) && is_aligned(y, 16) && is_aligned(arg, 4);
}

// Whether positions in a map are 32-bit numbers.
bool small_maps(const Windows& w) {
  constexpr std::int64_t kLimit = std::int64_t{1} << 31;
  return std::int64_t{w.H} * w.W * w.N < kLimit && std::int64_t{w.P} * w.Q * w.N < kLimit;
}

void check_positions(const std::string& name, const Windows& w, int most) {
  check_windows(name, w);
  require(std::int64_t{w.R} * w.S <= most, name + ": windows of " + std::to_string(w.R) + " x " +
                                               std::to_string(w.S) + " have more than " +
                                               std::to_string(most) + " positions");
}

}  // namespace

MaxPoolConfig choose_max_pool(const Windows& w, bool aligned) {
  const bool few_positions = std::int64_t{w.R} * w.S <= 256;  // those of more are two bytes and go one by one
  const int width = aligned && w.N % 4 == 0 && few_positions ? 4 : 1;
  return {width, w.R == 3 && w.S == 3 && small_maps(w),
          choose_map_tiles(w.C, w.P, w.Q, w.N / width, kThreads)};
}

MaxPoolConfig choose_max_pool_backward(const Windows& w, bool aligned) {
  MaxPoolConfig config = choose_max_pool(w, aligned);
  config.unrolled = w.stride_h == 2 && w.stride_w == 2 && w.R <= 4 && w.S <= 4 && small_maps(w);
  const auto patches = [&](int length, int pad) {
    return config.unrolled ? (length + pad - 1) / 2 + 1 : length;
  };
  config.tiles =
      choose_map_tiles(w.C, patches(w.H, w.pad_h), patches(w.W, w.pad_w), w.N / config.width, kThreads);
  return config;
}

std::string to_string(const MaxPoolConfig& config) {
  return to_string(config.tiles) + ", " + std::to_string(config.width) +
         (config.width == 1 ? " image" : " images") + " at a time" + (config.unrolled ? ", unrolled" : "");
}

void max_pool_forward(const float* x, float* y, std::uint8_t* arg, const Windows& w, simt::stream_t stream) {
  check_positions("max_pool_forward", w, 256);
  const MaxPoolConfig config = choose_max_pool(w, all_aligned(x, y, arg));
  auto* kernel =
      config.width == 4 ? max_pool_forward_kernel<4, std::uint8_t> : max_pool_forward_kernel<1, std::uint8_t>;
  if (config.unrolled) {
    kernel = config.width == 4 ? max_pool_forward_unrolled_kernel<4, std::uint8_t, 3>
                               : max_pool_forward_unrolled_kernel<1, std::uint8_t, 3>;
  }
  launch_tiles("max_pool_forward", kernel, config.tiles, stream, x, y, arg, w);
}

void max_pool_forward(const float* x, float* y, std::uint16_t* arg, const Windows& w, simt::stream_t stream) {
  check_positions("max_pool_forward", w, 65536);
  const MaxPoolConfig config = choose_max_pool(w, false);
  launch_tiles("max_pool_forward", max_pool_forward_kernel<1, std::uint16_t>, config.tiles, stream, x, y, arg,
               w);
}

void max_pool_backward(const float* dy, const std::uint8_t* arg, float* dx, const Windows& w,
                       simt::stream_t stream) {
  check_positions("max_pool_backward", w, 256);
  const MaxPoolConfig config = choose_max_pool_backward(w, all_aligned(dy, dx, arg));
  auto* kernel = config.width == 4 ? max_pool_backward_kernel<4, std::uint8_t>
                                   : max_pool_backward_kernel<1, std::uint8_t>;
  if (config.unrolled) {
    kernel = config.width == 4 ? max_pool_backward_stride_2_kernel<4, std::uint8_t>
                               : max_pool_backward_stride_2_kernel<1, std::uint8_t>;
  }
  launch_tiles("max_pool_backward", kernel, config.tiles, stream, dy, arg, dx, w);
}

void max_pool_backward(const float* dy, const std::uint16_t* arg, float* dx, const Windows& w,
                       simt::stream_t stream) {
  check_positions("max_pool_backward", w, 65536);
  const MaxPoolConfig config = choose_max_pool_backward(w, false);
  launch_tiles("max_pool_backward", max_pool_backward_kernel<1, std::uint16_t>, config.tiles, stream, dy, arg,
               dx, w);
}

}  // namespace alexnet
