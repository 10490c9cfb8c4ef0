// Pooling by maximum: y[c,p,q,n] = max over (r,s) of x[c, p*sh-top+r, q*sw-left+s, n], and which (r,s) it
// was.
//
// Mapping (common/map_tiles.h): a thread owns one window of four neighbouring images, a block a patch of
// windows of one channel; a warp is 128 images of one window, or fewer of several. Backward, a thread owns
// one pixel and gathers from the windows that hold it (at most 2 x 2 for AlexNet's), so there are no atomics,
// and the order of the sum is fixed.
//
//     forward, 3 x 3, stride 2                      backward: the windows that hold pixel (h, w) are
//       x  . . . . .        window (0,0): rows 0-2    p from ceil((h + top - R + 1) / sh) to (h + top) / sh
//          . . . . .        window (0,1): cols 2-4    q likewise; its position in window p is
//          . . . . .        column 2 is read twice    r = h + top - p * sh
//
// What limits it: memory. Per output 4 pixels of x come in (stride 2), 4 bytes and 1 byte go out. Pixels that
// overlapping windows share come from the first-level cache. All nine loads of a 3 x 3 window are under way
// before the first is compared: 1024 threads * 9 * 16 bytes = 147 KB a multiprocessor.
//
// NaN: `!(x <= best)` is true for a NaN x, and a NaN best stays. A pixel of -infinity is a pixel: the first
// position inside the image wins where nothing is larger.

#include "kernels/max_pool/max_pool.h"

#include "kernels/common/check.h"
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

// Grid and block: those of `tiles`, which cover y. x is [C, H, W, N], y and arg [C, P, Q, N]; arg may be
// null. kWidth 4: N is a multiple of 4, addresses as in choose_max_pool. kSize 3: windows are 3 x 3; 0: any.
template <int kWidth, class Position, int kSize>
__global__ void __launch_bounds__(kThreads)
    max_pool_forward_kernel(const float* x, float* y, Position* arg, Windows w, MapTiles tiles) {
  MapPlace place;
  if (!tiles.locate(place)) return;
  const int R = kSize > 0 ? kSize : w.R;
  const int S = kSize > 0 ? kSize : w.S;
  const int top = place.row * w.stride_h - w.pad_h;
  const int left = place.col * w.stride_w - w.pad_w;
  const Range rows = positions_inside(top, R, w.H);
  const Range cols = positions_inside(left, S, w.W);
  // The pack of position (0, 0), which may lie outside the image.
  const std::int64_t corner = ((std::int64_t{place.c} * w.H + top) * w.W + left) * tiles.packs + place.pack;
  const auto* x_packs = reinterpret_cast<const Pack<float, kWidth>*>(x);

  Best<kWidth> best(rows.first * S + cols.first);
  if constexpr (kSize > 0) {
    Pack<float, kWidth> pixel[kSize * kSize] = {};
    SIMT_UNROLL
    for (int i = 0; i < kSize * kSize; ++i) {
      const int r = i / kSize, s = i % kSize;
      if (r >= rows.first && r < rows.last && s >= cols.first && s < cols.last) {
        pixel[i] = x_packs[corner + (std::int64_t{r} * w.W + s) * tiles.packs];
      }
    }
    SIMT_UNROLL
    for (int i = 0; i < kSize * kSize; ++i) {
      const int r = i / kSize, s = i % kSize;
      if (r >= rows.first && r < rows.last && s >= cols.first && s < cols.last) best.offer(pixel[i], i);
    }
  } else {
    for (int r = rows.first; r < rows.last; ++r) {
      for (int s = cols.first; s < cols.last; ++s) {
        best.offer(x_packs[corner + (std::int64_t{r} * w.W + s) * tiles.packs], r * S + s);
      }
    }
  }

  const std::int64_t at =
      ((std::int64_t{place.c} * w.P + place.row) * w.Q + place.col) * tiles.packs + place.pack;
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

// Grid and block: those of `tiles`, which cover dx. dy and arg are [C, P, Q, N], dx [C, H, W, N]. kWidth 4:
// as above.
template <int kWidth, class Position>
__global__ void __launch_bounds__(kThreads)
    max_pool_backward_kernel(const float* dy, const Position* arg, float* dx, Windows w, MapTiles tiles) {
  MapPlace place;
  if (!tiles.locate(place)) return;
  const Range p_range = windows_holding(place.row, w.R, w.stride_h, w.pad_h, w.P);
  const Range q_range = windows_holding(place.col, w.S, w.stride_w, w.pad_w, w.Q);
  const auto* dy_packs = reinterpret_cast<const Pack<float, kWidth>*>(dy);
  const auto* arg_packs = reinterpret_cast<const Pack<Position, kWidth>*>(arg);

  Pack<float, kWidth> sum = {};
  for (int p = p_range.first; p < p_range.last; ++p) {
    for (int q = q_range.first; q < q_range.last; ++q) {
      const std::int64_t at = ((std::int64_t{place.c} * w.P + p) * w.Q + q) * tiles.packs + place.pack;
      const Pack<float, kWidth> gradient = dy_packs[at];
      const Pack<Position, kWidth> position = arg_packs[at];
      const int here = (place.row + w.pad_h - p * w.stride_h) * w.S + place.col + w.pad_w - q * w.stride_w;
      SIMT_UNROLL
      for (int i = 0; i < kWidth; ++i) {
        if (position.at[i] == here) sum.at[i] += gradient.at[i];
      }
    }
  }
  const std::int64_t at =
      ((std::int64_t{place.c} * w.H + place.row) * w.W + place.col) * tiles.packs + place.pack;
  reinterpret_cast<Pack<float, kWidth>*>(dx)[at] = sum;
}

template <class Position>
bool all_aligned(const float* x, const float* y, const Position* arg) {
  return is_aligned(x, 16) && is_aligned(y, 16) && is_aligned(arg, 4);
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
  return {width, w.R == 3 && w.S == 3, choose_map_tiles(w.C, w.P, w.Q, w.N / width, kThreads)};
}

MaxPoolConfig choose_max_pool_backward(const Windows& w, bool aligned) {
  MaxPoolConfig config = choose_max_pool(w, aligned);
  config.size_3 = false;
  config.tiles = choose_map_tiles(w.C, w.H, w.W, w.N / config.width, kThreads);
  return config;
}

std::string to_string(const MaxPoolConfig& config) {
  return to_string(config.tiles) + ", " + std::to_string(config.width) +
         (config.width == 1 ? " image" : " images") + " at a time" + (config.size_3 ? ", 3 x 3 windows" : "");
}

void max_pool_forward(const float* x, float* y, std::uint8_t* arg, const Windows& w, simt::stream_t stream) {
  check_positions("max_pool_forward", w, 256);
  const MaxPoolConfig config = choose_max_pool(w, all_aligned(x, y, arg));
  auto* kernel = config.width == 4 ? max_pool_forward_kernel<4, std::uint8_t, 0>
                                   : max_pool_forward_kernel<1, std::uint8_t, 0>;
  if (config.size_3) {
    kernel = config.width == 4 ? max_pool_forward_kernel<4, std::uint8_t, 3>
                               : max_pool_forward_kernel<1, std::uint8_t, 3>;
  }
  launch_tiles("max_pool_forward", kernel, config.tiles, stream, x, y, arg, w);
}

void max_pool_forward(const float* x, float* y, std::uint16_t* arg, const Windows& w, simt::stream_t stream) {
  check_positions("max_pool_forward", w, 65536);
  const MaxPoolConfig config = choose_max_pool(w, false);
  launch_tiles("max_pool_forward", max_pool_forward_kernel<1, std::uint16_t, 0>, config.tiles, stream, x, y,
               arg, w);
}

void max_pool_backward(const float* dy, const std::uint8_t* arg, float* dx, const Windows& w,
                       simt::stream_t stream) {
  check_positions("max_pool_backward", w, 256);
  const MaxPoolConfig config = choose_max_pool_backward(w, all_aligned(dy, dx, arg));
  const auto kernel = config.width == 4 ? max_pool_backward_kernel<4, std::uint8_t>
                                        : max_pool_backward_kernel<1, std::uint8_t>;
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
