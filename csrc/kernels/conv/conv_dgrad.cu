// Gradient of a convolution's input: dx[c, h, w, n] = sum over k, r, s of dy[k, p, q, n] * w[c, r, s, k],
// where p * stride - pad + r = h and q likewise. Read conv_fprop.cu first; this is the same with the roles
// turned.
//
// Each dx gathers what the outputs that saw it hand back, instead of each output scattering to what it saw:
// so every element has one owner, nothing is added twice, and no atomic addition is needed. For one tap it is
// again a matrix product, of w's rows and dy's, now summed over the filters k.
//
// Strides. With stride 4, row h is seen by taps r = (h + pad) mod 4, that + 4, ... only. So rows (and
// columns) are dealt into classes by h mod stride, and a block owns lanes of one class, which all have the
// same taps; then the class is a convolution of stride 1 without gaps. Stride 1 has one class.
//
//     stride 2, 3 taps, pad 0        h:   0   1   2   3   4   5        class 0: 0 2 4, taps 0 and 2
//                               seen by   r0  r1 r0,2 r1 r0,2 r1       class 1: 1 3 5, tap 1
//
//     class row i = (h - class) / stride, tap j is r = first + j * stride:    p = i + offset - j
//
// Mapping. Lanes are images and positions of a class (lanes.h), rows of the tile are channels. w lies with k
// contiguous, along the sum, so its tile is turned while it is stored: two threads read 8 filters of a
// channel.
//
//     w[c, r, s, k ... k+7]   ->   shared memory: 8 (filters) x kRows (channels)
//     dy[k, p, q, n ...]      ->   shared memory: 8 (filters) x 128 lanes
//
// The mask relu_y is read in the epilogue, once for each dx. What limits it: the multiply-adds.

#include <type_traits>

#include "kernels/common/check.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/lanes.h"
#include "kernels/conv/tensor_cores.h"

namespace alexnet {
namespace {

template <class Element>
struct BackwardArguments {
  Pixels<Element> pixels;  // dy; channels: the filters of one group
  const Element* w;
  const Element* relu_y;  // or null
  Element* dx;
  int channels;       // of one group
  int channel_tiles;  // of one group
  int H, W, R, S, K;
  int stride_h, stride_w, pad_top, pad_left;
  bool aligned;  // every quad of lanes of dx lies at a multiple of 4 elements
};

// One axis of a class: its positions, its taps and where they lead.
struct ClassAxis {
  int count;  // positions h = index, index + stride, ...
  int taps;   // r = first_tap, first_tap + stride, ...
  int first_tap;
  int offset;  // the output that position 0 meets at tap 0

  __device__ __forceinline__ ClassAxis(int index, int size, int filter, int stride, int pad) {
    count = size > index ? (size - index + stride - 1) / stride : 0;
    first_tap = (index + pad) % stride;
    taps = filter > first_tap ? (filter - first_tap + stride - 1) / stride : 0;
    offset = (index + pad - first_tap) / stride;
  }
};

// The filters' rows, turned: tile row k is filter walk.channel + k, its columns are channels.
template <class T, class Element, int kWidth>
class TurnedFilterLoader {
 public:
  __device__ __forceinline__ TurnedFilterLoader(const BackwardArguments<Element>& g, const ClassAxis& rows,
                                                const ClassAxis& columns, int first_channel)
      : g_(g), left_(g.channels - first_channel - column_of(0)) {
    const int first_row = ((first_channel + column_of(0)) * g.R + rows.first_tap) * g.S + columns.first_tap;
    own_ = first_row * g.K + static_cast<int>(blockIdx.y) * g.pixels.channels + row();
  }

  __device__ __forceinline__ void aim(const TapWalk& walk) {
    at_ = g_.w + (own_ + (walk.row * g_.stride_h * g_.S + walk.column * g_.stride_w) * g_.K);
  }

  __device__ __forceinline__ void fetch(const TapWalk& walk) {
    const bool valid = walk.channel + row() < walk.channels;
    SIMT_UNROLL
    for (int piece = 0; piece < kPieces; ++piece) {
      packs_[piece] =
          read_or_zero<kWidth>(at_ + piece * kApart * g_.R * g_.S * g_.K, valid && piece * kApart < left_);
    }
    at_ += kDepth;
  }

  __device__ __forceinline__ void put(Operand<T::kRows>& tile) const {
    SIMT_UNROLL
    for (int piece = 0; piece < kPieces; ++piece) {
      SIMT_UNROLL
      for (int k = 0; k < kWidth; ++k) tile.at[row() + k][column_of(piece)] = to_float(packs_[piece].at[k]);
    }
  }

 private:
  static constexpr int kPieces = 4 / kWidth;
  static constexpr int kThreadsOfColumn = kDepth / kWidth;
  static constexpr int kApart = T::kThreads / kThreadsOfColumn;  // channels between a thread's pieces
  static_assert(kApart * kPieces == T::kRows);

  __device__ __forceinline__ static int row() { return threadIdx.x % kThreadsOfColumn * kWidth; }
  __device__ __forceinline__ static int column_of(int piece) {
    return threadIdx.x / kThreadsOfColumn + piece * kApart;
  }

  const BackwardArguments<Element>& g_;
  int left_;  // channels from the thread's first to the end of the group
  int own_;   // where the thread's first channel lies in w, at the class's first tap
  const Element* at_;
  Pack<Element, kWidth> packs_[kPieces];
};

template <class Element>
__device__ __forceinline__ float mask(float dx, const Element* relu_y) {
  return relu_y != nullptr && to_float(*relu_y) <= 0.0f ? 0.0f : dx;  // NaN in relu_y lets dx through
}

template <class T, class Element>
__device__ __forceinline__ void write_backward(const BackwardArguments<Element>& g, const LaneGrid& grid,
                                               int first_channel, int first_lane, const Place<T>& place,
                                               const Sums<T>& sums) {
  const int lanes = grid.count();
  const int row_class = blockIdx.z / g.stride_w;
  const int column_class = blockIdx.z % g.stride_w;
  const std::int64_t plane = std::int64_t(g.H) * g.W * grid.images;
  const std::int64_t first_plane = std::int64_t(blockIdx.y) * g.channels;
  SIMT_UNROLL
  for (int j = 0; j < T::kThreadColumns; j += 4) {
    int offset[4];
    SIMT_UNROLL
    for (int n = 0; n < 4; ++n) {
      const Lane lane(grid, first_lane + place.column_of(j + n));
      const int h = row_class + lane.row * g.stride_h;
      const int w = column_class + lane.column * g.stride_w;
      offset[n] = (h * g.W + w) * grid.images + lane.image;
    }
    const int left = lanes - first_lane - place.column_of(j);
    SIMT_UNROLL
    for (int i = 0; i < T::kThreadRows; ++i) {
      const int channel = first_channel + place.row_of(i);
      if (channel >= g.channels) continue;
      Element* dx = g.dx + (first_plane + channel) * plane;
      const Element* relu_y = g.relu_y != nullptr ? g.relu_y + (first_plane + channel) * plane : nullptr;
      Pack<float, 4> values;
      SIMT_UNROLL
      for (int n = 0; n < 4; ++n) {
        values.at[n] =
            n < left ? mask(sums.at[i][j + n], relu_y != nullptr ? relu_y + offset[n] : nullptr) : 0.0f;
      }
      if (g.aligned) {
        write_quad(dx + offset[0], values, left, true);
      } else {
        SIMT_UNROLL
        for (int n = 0; n < 4; ++n) {
          if (n < left) dx[offset[n]] = from_float<Element>(values.at[n]);
        }
      }
    }
  }
}

// Grid: (channel tiles of a group x lane tiles of the largest class, the channel tile fastest; groups;
// classes). Block: T::kThreads. Owns kRows channels x 128 lanes of dx, of one class. kWidth 4: N and the
// filters of a group are multiples of 4, dy and w at multiples of 4 elements.
template <class T, class Element, int kWidth>
__global__ void __launch_bounds__(T::kThreads, kWidth == 4 ? T::kBlocks : 1)
    conv_dgrad_kernel(BackwardArguments<Element> g) {
  SIMT_SHARED(buffers, Buffers<T>);
  const ClassAxis rows(blockIdx.z / g.stride_w, g.H, g.R, g.stride_h, g.pad_top);
  const ClassAxis columns(blockIdx.z % g.stride_w, g.W, g.S, g.stride_w, g.pad_left);
  const LaneGrid grid{rows.count, columns.count, g.pixels.images, 1, rows.offset, 1, columns.offset};
  const int first_channel = static_cast<int>(blockIdx.x % g.channel_tiles) * T::kRows;
  const int first_lane = static_cast<int>(blockIdx.x / g.channel_tiles) * kLanes;
  if (first_lane >= grid.count()) return;  // this class is smaller than the largest
  Pixels<Element> pixels = g.pixels;
  pixels.data += std::int64_t(blockIdx.y) * pixels.channels * pixels.height * pixels.width * pixels.images;
  const TapWalk walk = taps_of_tile<-1>(grid, first_lane, pixels, rows.taps, columns.taps);

  TapLoader loader(TurnedFilterLoader<T, Element, kWidth>(g, rows, columns, first_channel),
                   PixelLoader<T, Element, kWidth, -1>(grid, first_lane, pixels), walk);
  const Place<T> place;
  Sums<T> sums;
  accumulate<T>(loader, walk.steps(), buffers, place, sums);
  write_backward(g, grid, first_channel, first_lane, place, sums);
}

// Lane tiles of the largest class, the first.
std::int64_t lane_tiles(const ConvShape& shape) {
  return ceil_div(ceil_div(shape.H, shape.stride_h) * ceil_div(shape.W, shape.stride_w) * shape.N, kLanes);
}

}  // namespace

ConvConfig choose_conv_dgrad(const ConvShape& shape, std::size_t element_size, bool aligned) {
  const int channels = shape.C / shape.groups;
  const int classes = shape.stride_h * shape.stride_w;
  const auto tiles_of = [&](int rows) {
    return ceil_div(channels, rows) * shape.groups * classes * lane_tiles(shape);
  };
  const int rows = choose_tile_rows(element_size, tiles_of);
  const bool quads = aligned && shape.N % 4 == 0 && shape.K / shape.groups % 4 == 0;
  return {rows, 2 * rows, quads, element_size, tiles_of(rows), 1};
}

template <class Element>
void conv_dgrad(const Element* dy, const Element* w, const Element* relu_y, Element* dx,
                const ConvShape& shape, simt::stream_t stream) {
  require_valid(shape);
  if constexpr (std::is_same_v<Element, simt::bf16>) {
    if (conv_dgrad_on_tensor_cores(dy, w, relu_y, dx, shape, stream)) return;
  }
  const bool aligned = is_aligned(dy, 4 * sizeof(Element)) && is_aligned(w, 4 * sizeof(Element));
  const ConvConfig config = choose_conv_dgrad(shape, sizeof(Element), aligned);
  BackwardArguments<Element> g{};
  g.pixels = {dy, shape.K / shape.groups, shape.P, shape.Q, shape.N};
  g.w = w;
  g.relu_y = relu_y;
  g.dx = dx;
  g.channels = shape.C / shape.groups;
  g.channel_tiles = static_cast<int>(ceil_div(g.channels, config.tile_rows));
  g.H = shape.H;
  g.W = shape.W;
  g.R = shape.R;
  g.S = shape.S;
  g.K = shape.K;
  g.stride_h = shape.stride_h;
  g.stride_w = shape.stride_w;
  g.pad_top = shape.pad_top;
  g.pad_left = shape.pad_left;
  g.aligned = is_aligned(dx, 4 * sizeof(Element)) && shape.N % 4 == 0;
  const auto kernel = instance_for<Element>(config.tile_rows, [&]<class T>() {
    return config.quads ? conv_dgrad_kernel<T, Element, 4> : conv_dgrad_kernel<T, Element, 1>;
  });
  const dim3 grid(static_cast<unsigned>(g.channel_tiles * lane_tiles(shape)), shape.groups,
                  shape.stride_h * shape.stride_w);
  simt::launch(kernel, grid, dim3(config.threads), 0, stream, g);
}

using simt::bf16;
template void conv_dgrad(const float*, const float*, const float*, float*, const ConvShape&, simt::stream_t);
template void conv_dgrad(const bf16*, const bf16*, const bf16*, bf16*, const ConvShape&, simt::stream_t);

}  // namespace alexnet
