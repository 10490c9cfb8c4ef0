// Convolution, forward: y[k, p, q, n] = b[k] + sum over c, r, s of x[c, p*stride - pad + r, q*stride - pad +
// s, n] * w[c, r, s, k].
//
// Read relu.cu, gemm.cu and tile.h first: this is gemm with another way to find its operands. For one tap
// (r, s) of the filters, the sum over the channels is a matrix product of w's rows (filters contiguous) and
// x's rows (images contiguous). The taps follow one another, so the sum runs over (r, s, c), the channel
// fastest, and no array of unfolded windows is ever built: the loader reads x where the tap lies.
//
// Mapping. A block owns 128 lanes (neighbouring images and positions, see lanes.h) of kRows filters, and each
// thread 8 filters x 8 lanes. Blocks of the same lanes and other filters are neighbours in the grid, so x
// comes from the cache for all but the first.
//
//     shared memory, twice          128 lanes: one position's images
//                                  +-------------------------------+
//         a step: 8 (tap, channel) | x[c, p*stride-pad+r, ..., n]  |  8 x 128
//                                  +-------------------------------+
//         +---------------+        +-------------------------------+
//         | w[c, r, s, k] | 8 x    | sums of kRows filters x 128   |  in registers
//         +---------------+ kRows  +-------------------------------+
//
// Padding. Taps that lie outside the image for all lanes of a tile are never walked: with 3x3 filters on
// 13x13 images that is a tenth of all products.
//
// What limits it: the multiply-adds. Everything else, about 80 instructions in 600, is for the loads and the
// walk.

#include <type_traits>

#include "kernels/common/check.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/fprop.h"
#include "kernels/conv/lanes.h"
#include "kernels/conv/tensor_cores.h"

namespace alexnet {
namespace {

// The filters' rows: tile row k is channel walk.channel + k at the walk's tap, its columns are filters. kRows
// / 4 threads take a row.
template <class T, class Element, int kWidth>
class FilterLoader {
 public:
  __device__ __forceinline__ FilterLoader(const ForwardArguments<Element>& f, int first_filter)
      : f_(f),
        left_(f.filters - first_filter - column_of(0)),
        own_(row() * channel() + static_cast<int>(blockIdx.y) * f.filters + first_filter + column_of(0)) {}

  __device__ __forceinline__ void aim(const TapWalk& walk) {
    at_ = f_.w + (own_ + (walk.row * f_.S + walk.column) * f_.K);
  }

  __device__ __forceinline__ void fetch(const TapWalk& walk) {
    const bool valid = walk.channel + row() < walk.channels;
    SIMT_UNROLL
    for (int piece = 0; piece < kPieces; ++piece) {
      packs_[piece] = read_or_zero<kWidth>(at_ + piece * kColumns, valid && piece * kColumns < left_);
    }
    at_ += kDepth * channel();
  }

  __device__ __forceinline__ void put(Operand<T::kRows>& tile) const {
    float* to = tile.at[row()];
    SIMT_UNROLL
    for (int piece = 0; piece < kPieces; ++piece)
      *reinterpret_cast<Pack<float, kWidth>*>(to + column_of(piece)) = to_floats(packs_[piece]);
  }

 private:
  static constexpr int kPieces = 4 / kWidth;
  static constexpr int kColumns = T::kRows / 4;  // threads to a row
  static_assert(T::kThreads == kDepth * kColumns);

  __device__ __forceinline__ static int row() { return threadIdx.x / kColumns; }
  __device__ __forceinline__ int channel() const { return f_.R * f_.S * f_.K; }
  __device__ __forceinline__ static int column_of(int piece) {
    const int column = threadIdx.x % kColumns;
    return kWidth == 4 ? column * 4 : column + kColumns * piece;
  }

  const ForwardArguments<Element>& f_;
  int left_;  // filters from the thread's first to the end of the group
  int own_;   // where the thread's first filter lies in channel row() of tap 0
  const Element* at_;
  Pack<Element, kWidth> packs_[kPieces];
};

// Grid: (filter tiles of a group x lane tiles, the filter tile fastest; groups). Block: T::kThreads. Owns
// kRows filters x 128 lanes of y. kWidth 4: N and the filters of a group are multiples of 4, and x and w at
// multiples of 4 elements.
template <class T, class Element, int kWidth>
__global__ void __launch_bounds__(T::kThreads, kWidth == 4 ? T::kBlocks : 1)
    conv_fprop_kernel(ForwardArguments<Element> f) {
  SIMT_SHARED(buffers, Buffers<T>);
  const int first_filter = static_cast<int>(blockIdx.x % f.filter_tiles) * T::kRows;
  const int first_lane = static_cast<int>(blockIdx.x / f.filter_tiles) * kLanes;
  const Pixels<Element> pixels = pixels_of_group(f);
  const TapWalk walk = taps_of_tile<1>(f.grid, first_lane, pixels, f.R, f.S);

  TapLoader loader(FilterLoader<T, Element, kWidth>(f, first_filter),
                   PixelLoader<T, Element, kWidth, 1>(f.grid, first_lane, pixels), walk);
  const Place<T> place;
  Sums<T> sums;
  accumulate<T>(loader, walk.steps(), buffers, place, sums);
  write_forward(f, first_filter, first_lane, place, sums);
}

}  // namespace

ConvConfig choose_conv_fprop(const ConvShape& shape, std::size_t element_size, bool aligned) {
  if (is_first_layer(shape)) return choose_conv_first_layer(shape, element_size, aligned);
  return choose_forward(shape, element_size, aligned, 128);
}

template <class Element>
void conv_fprop(const Element* x, const Element* w, const float* b, Element* y, const ConvShape& shape,
                bool relu, simt::stream_t stream) {
  require_valid(shape);
  if constexpr (std::is_same_v<Element, simt::bf16>) {
    if (conv_fprop_on_tensor_cores(x, w, b, y, shape, relu, stream)) return;
  }
  if (is_first_layer(shape)) return conv_first_layer(x, w, b, y, shape, relu, stream);
  const bool aligned = is_aligned(x, 4 * sizeof(Element)) && is_aligned(w, 4 * sizeof(Element));
  const ConvConfig config = choose_conv_fprop(shape, sizeof(Element), aligned);
  const auto kernel = instance_for<Element>(config.tile_rows, [&]<class T>() {
    return config.quads ? conv_fprop_kernel<T, Element, 4> : conv_fprop_kernel<T, Element, 1>;
  });
  launch_forward(kernel, x, w, b, y, shape, relu, config, stream);
}

using simt::bf16;
template void conv_fprop(const float*, const float*, const float*, float*, const ConvShape&, bool,
                         simt::stream_t);
template void conv_fprop(const bf16*, const bf16*, const float*, bf16*, const ConvShape&, bool,
                         simt::stream_t);

}  // namespace alexnet
