// Convolution of images with few channels, forward: 2012's conv1, 3 channels and 11x11 filters.
//
// conv_fprop.cu walks 8 channels of a tap at a time; of 3 channels that would waste five in eight. Here a
// step is any 8 of the C * R * S products, (c, r, s) counted through with s the fastest: 363 are 45 steps and
// three. In that order w [C, R, S, K] is simply a matrix [C * R * S, K], so its loader is gemm's. Where the
// pixels of (c, r, s) lie is looked up in a table, which the block writes once:
//
//     shared memory      table[363]                     tiles, twice
//                        {c, r, s, distance} ----->     x: 8 (c, r, s) x 128 lanes,  w: 8 x kRows filters
//
// Mapping and epilogue are conv_fprop.cu's. Taps are not skipped where they lie outside the image, since a
// first layer has little padding; they read zeros.
//
// What limits it: the multiply-adds, as there; a step has 20 instructions more, for the table and the edges.

#include <type_traits>

#include "kernels/common/check.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/fprop.h"
#include "kernels/conv/lanes.h"
#include "kernels/gemm/operands.h"

namespace alexnet {
namespace {

constexpr int kMostChannels = 4;
constexpr int kMostProducts = 512;  // 4 channels of 11x11 are 484; the table takes 8 KB

// No tiles of 128: with the table's addresses their threads would need more than 128 registers.
constexpr int kMostRows = 96;

struct Product {
  int channel, down, right, distance;  // elements from the window's first pixel, within the channel's plane
};

template <class T>
struct Shared {
  Buffers<T> buffers;
  alignas(16) Product table[kMostProducts];
};

// Both operands: gemm's loader for w, and for x the pixels that the table tells.
template <class T, class Element, int kWidth, class Filters>
struct FirstLayerLoader {
  static constexpr int kWarps = T::kThreads / 32;
  static constexpr int kSlots = (kDepth + kWarps - 1) / kWarps;

  Filters filters;
  ThreadLanes<kWidth> lanes;
  Pixels<Element> pixels;
  const Product* table;
  int products;
  int next;  // the thread's first product of the next step
  Pack<Element, kWidth> packs[kSlots][ThreadLanes<kWidth>::kPieces];

  __device__ __forceinline__ FirstLayerLoader(const Filters& filters_, const ThreadLanes<kWidth>& lanes_,
                                              const Pixels<Element>& pixels_, const Product* table_,
                                              int products_)
      : filters(filters_),
        lanes(lanes_),
        pixels(pixels_),
        table(table_),
        products(products_),
        next(static_cast<int>(threadIdx.x / 32)) {}

  __device__ __forceinline__ void fetch() {
    const std::int64_t plane = std::int64_t(pixels.height) * pixels.width * pixels.images;
    filters.fetch();
    SIMT_UNROLL
    for (int slot = 0; slot < kSlots; ++slot) {
      const int k = next + slot * kWarps;
      const bool valid = exists(slot) && k < products;
      const Product product = table[valid ? k : 0];
      const unsigned bits = valid ? lanes.inside(product.down, product.right) : 0;
      lanes.read(pixels.data + product.channel * plane + product.distance, bits, packs[slot]);
    }
    next += kDepth;
  }

  __device__ __forceinline__ void put(Operand<T::kRows>& a, Operand<kLanes>& b) const {
    filters.put(a);
    SIMT_UNROLL
    for (int slot = 0; slot < kSlots; ++slot) {
      if (exists(slot)) lanes.put(packs[slot], b.at[threadIdx.x / 32 + slot * kWarps]);
    }
  }

  __device__ __forceinline__ static bool exists(int slot) {
    return kDepth % kWarps == 0 || int(threadIdx.x) / 32 + slot * kWarps < kDepth;
  }
};

// Grid, block and ownership: conv_fprop_kernel's. products = channels * R * S <= kMostProducts.
template <class T, class Element, int kWidth>
__global__ void __launch_bounds__(T::kThreads, kWidth == 4 ? T::kBlocks : 1)
    conv_first_layer_kernel(ForwardArguments<Element> f) {
  using Filters = std::conditional_t<kWidth == 4, QuadLoader<Element, T::kRows, T::kThreads, false>,
                                     SingleLoader<Element, T::kRows, T::kThreads>>;
  SIMT_SHARED(shared, Shared<T>);
  const int first_filter = static_cast<int>(blockIdx.x % f.filter_tiles) * T::kRows;
  const int first_lane = static_cast<int>(blockIdx.x / f.filter_tiles) * kLanes;
  const Pixels<Element> pixels = pixels_of_group(f);
  const int products = pixels.channels * f.R * f.S;

  for (int k = threadIdx.x; k < products; k += T::kThreads) {
    const int down = k / f.S % f.R;
    const int right = k % f.S;
    shared.table[k] = {k / (f.R * f.S), down, right, (down * pixels.width + right) * pixels.images};
  }
  __syncthreads();

  const MatrixView<Element> w{f.w + blockIdx.y * f.filters, f.K, 1};
  FirstLayerLoader<T, Element, kWidth, Filters> loader(Filters(w, first_filter, f.filters, 0, products),
                                                       ThreadLanes<kWidth>(f.grid, first_lane, pixels),
                                                       pixels, shared.table, products);
  const Place<T> place;
  Sums<T> sums;
  accumulate<T>(loader, (products + kDepth - 1) / kDepth, shared.buffers, place, sums);
  write_forward(f, first_filter, first_lane, place, sums);
}

}  // namespace

bool is_first_layer(const ConvShape& shape) {
  const int channels = shape.C / shape.groups;
  return channels <= kMostChannels && std::int64_t(channels) * shape.R * shape.S <= kMostProducts;
}

ConvConfig choose_conv_first_layer(const ConvShape& shape, std::size_t element_size, bool aligned) {
  return choose_forward(shape, element_size, aligned, kMostRows);
}

template <class Element>
void conv_first_layer(const Element* x, const Element* w, const float* b, Element* y, const ConvShape& shape,
                      bool relu, simt::stream_t stream) {
  require_valid(shape);
  require(is_first_layer(shape), "conv_first_layer: too many channels or taps for its table");
  const bool aligned = is_aligned(x, 4 * sizeof(Element)) && is_aligned(w, 4 * sizeof(Element));
  const ConvConfig config = choose_conv_first_layer(shape, sizeof(Element), aligned);
  const auto kernel = instance_for<Element, kMostRows>(config.tile_rows, [&]<class T>() {
    return config.quads ? conv_first_layer_kernel<T, Element, 4> : conv_first_layer_kernel<T, Element, 1>;
  });
  launch_forward(kernel, x, w, b, y, shape, relu, config, stream);
}

using simt::bf16;
template void conv_first_layer(const float*, const float*, const float*, float*, const ConvShape&, bool,
                               simt::stream_t);
template void conv_first_layer(const bf16*, const bf16*, const float*, bf16*, const ConvShape&, bool,
                               simt::stream_t);

}  // namespace alexnet
