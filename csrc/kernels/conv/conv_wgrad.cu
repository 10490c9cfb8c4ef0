// Gradient of the filters: dw[c, r, s, k] = sum over p, q, n of x[c, p*stride-pad+r, q*stride-pad+s, n] *
// dy[k, p, q, n]. Read conv_fprop.cu first.
//
// One matrix product again, of filters and (r, s, c), now summed over all positions and images, which are
// contiguous in both x and dy. Both tiles are therefore turned while they are stored, as w's in
// conv_dgrad.cu: two threads read 8 images of a row.
//
//     dw as a matrix            columns: 128 of (r, s, c), c the fastest
//                              +-------------------------------+
//     rows: kRows filters      | sums                          |    a step: 8 images at a position (p, q)
//                              +-------------------------------+
//
//     shared memory, twice:  dy[k, p, q, n ... n+7] turned, 8 x kRows;   x[c, ..., n ... n+7] turned, 8 x 128
//                            and once: table[128] {c, r, s}, what the tile's columns are
//
// Any number of channels fills the columns: 256 channels put one tap into a tile, 3 put forty. Positions
// where no tap of the tile lies inside the image are not walked; with one tap to a tile that skips all
// padding.
//
// Parts. dw is small and the sum long: conv2's dw is 20 tiles, for 132 multiprocessors, of 93312 products a
// sum at 128 images. So the positions are cut into parts, each block sums one part into a dw of its own in
// the workspace, and sum_partials (../gemm) adds those in a fixed order. More parts fill the machine more
// evenly and cost more to add; choose_conv_wgrad weighs that.
//
// What limits it: the multiply-adds, and for small layers that last addition.

#include <algorithm>
#include <type_traits>

#include "kernels/common/check.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/tensor_cores.h"
#include "kernels/conv/wgrad_loader.h"
#include "kernels/gemm/gemm.h"

namespace alexnet {
namespace {

template <class T>
struct Shared {
  Buffers<T> buffers;
  alignas(16) Column columns[kColumns];
};

template <class T, class Element>
__device__ __forceinline__ void write_weights(const WeightArguments<Element>& g, const Column* columns,
                                              int first_filter, const Place<T>& place, const Sums<T>& sums) {
  const ConvShape& shape = g.shape;
  float* dw = g.dw + std::int64_t(blockIdx.z) * g.channels * shape.R * shape.S * shape.K;
  SIMT_UNROLL
  for (int j = 0; j < T::kThreadColumns; ++j) {
    const Column column = columns[place.column_of(j)];
    if (column.channel < 0) continue;
    const int row = (column.channel * shape.R + column.r) * shape.S + column.s;
    float* to = dw + (std::int64_t(row) * shape.K + blockIdx.y * g.filters);
    SIMT_UNROLL
    for (int i = 0; i < T::kThreadRows; i += 4) {
      const int filter = first_filter + place.row_of(i);
      const Pack<float, 4> values = {sums.at[i][j], sums.at[i + 1][j], sums.at[i + 2][j], sums.at[i + 3][j]};
      write_quad(to + filter, values, g.filters - filter, g.aligned);
    }
  }
}

// Grid: (filter tiles of a group x column tiles, the filter tile fastest; groups; parts). Block: T::kThreads.
// Owns kRows filters x 128 (tap, channel) of dw, or of the part's dw in the workspace. kWidth 4: N is a
// multiple of 4, x and dy at multiples of 4 elements.
template <class T, class Element, int kWidth>
__global__ void __launch_bounds__(T::kThreads, kWidth == 4 ? T::kBlocks : 1)
    conv_wgrad_kernel(WeightArguments<Element> g) {
  SIMT_SHARED(shared, Shared<T>);
  const int first_filter = static_cast<int>(blockIdx.x % g.filter_tiles) * T::kRows;
  const int first_column = static_cast<int>(blockIdx.x / g.filter_tiles) * kColumns;
  for (int i = threadIdx.x; i < kColumns; i += T::kThreads) {
    const int column = first_column + i;
    const int tap = column / g.channels;
    const bool exists = tap < g.shape.R * g.shape.S;
    shared.columns[i] = {exists ? column % g.channels : -1, tap / g.shape.S, tap % g.shape.S, 0};
  }
  __syncthreads();

  const Positions positions = positions_of_tile(g.shape, g.channels, first_column);
  const int products = positions.rows.count() * positions.columns.count() * g.shape.N;
  const std::int64_t steps = (products + kDepth - 1) / kDepth;
  const int first_step = static_cast<int>(steps * blockIdx.z / gridDim.z);
  const int end_step = static_cast<int>(steps * (blockIdx.z + 1) / gridDim.z);
  ImageLoader<T, Element, kWidth> loader(g, positions, first_step * kDepth,
                                         smaller(end_step * kDepth, products), first_filter, shared.columns);
  const Place<T> place;
  Sums<T> sums;
  accumulate<T>(loader, end_step - first_step, shared.buffers, place, sums);
  write_weights(g, shared.columns, first_filter, place, sums);
}

// More parts than this never pay at AlexNet's sizes, and fewer products than this in a part only make it
// slower.
constexpr int kMostParts = 128;
constexpr int kLeastProducts = 256;

// Bytes of workspace that the whole GPU moves in one cycle: 4.3 TB/s measured on an H200, at 1.98 GHz.
constexpr double kBytesPerCycle = 2170;

std::int64_t weights(const ConvShape& shape) {
  return std::int64_t(shape.C / shape.groups) * shape.R * shape.S * shape.K;
}

}  // namespace

// Compares the time of all sizes and numbers of parts, in cycles: the multiprocessor with the most blocks
// decides, at 128 multiply-adds a cycle, that is a row of the tile for each product; then every part's dw is
// written and read once.
ConvConfig choose_conv_wgrad(const ConvShape& shape, std::size_t element_size, bool aligned) {
  const int filters = shape.K / shape.groups;
  const std::int64_t columns = std::int64_t(shape.C / shape.groups) * shape.R * shape.S;
  const std::int64_t products = std::int64_t(shape.P) * shape.Q * shape.N;
  const int most = static_cast<int>(std::clamp<std::int64_t>(products / kLeastProducts, 1, kMostParts));
  ConvConfig best{};
  double best_cost = 0;
  for (const int rows : kConvRows) {
    if (!has_tile(rows, element_size)) continue;
    const std::int64_t tiles = ceil_div(filters, rows) * shape.groups * ceil_div(columns, kColumns);
    for (int parts = 1; parts <= most; ++parts) {
      const double sums =
          tiles_in_turn(tiles * parts) * tile_cost(rows) * static_cast<double>(products) / parts;
      const double addition =
          parts == 1 ? 0 : parts * static_cast<double>(weights(shape)) * 8 / kBytesPerCycle;
      if (best_cost == 0 || sums + addition < best_cost) {
        best_cost = sums + addition;
        best = {rows, 2 * rows, aligned && shape.N % 4 == 0, element_size, tiles, parts};
      }
    }
  }
  return best;
}

std::size_t conv_wgrad_workspace_bytes(const ConvShape& shape, std::size_t element_size) {
  const int splits = choose_conv_wgrad(shape, element_size, true).splits;
  const std::size_t bytes =
      splits == 1 ? 0 : sizeof(float) * splits * static_cast<std::size_t>(weights(shape));
  if (element_size == sizeof(float)) return bytes;
  return std::max(bytes, conv_wgrad_tensor_core_workspace_bytes(shape));
}

template <class Element>
void conv_wgrad(const Element* x, const Element* dy, float* dw, const ConvShape& shape, float* workspace,
                simt::stream_t stream) {
  require_valid(shape);
  if constexpr (std::is_same_v<Element, simt::bf16>) {
    ConvWgradResult result;
    result.dw = dw;
    if (conv_wgrad_on_tensor_cores(x, dy, result, shape, workspace, stream)) return;
  }
  const bool aligned = is_aligned(x, 4 * sizeof(Element)) && is_aligned(dy, 4 * sizeof(Element));
  const ConvConfig config = choose_conv_wgrad(shape, sizeof(Element), aligned);
  require(config.splits == 1 || workspace != nullptr, "conv_wgrad: this shape needs a workspace");
  WeightArguments<Element> g{};
  g.x = x;
  g.dy = dy;
  g.dw = config.splits == 1 ? dw : workspace;
  g.shape = shape;
  g.channels = shape.C / shape.groups;
  g.filters = shape.K / shape.groups;
  g.filter_tiles = static_cast<int>(ceil_div(g.filters, config.tile_rows));
  g.aligned = is_aligned(g.dw, 16) && g.filters % 4 == 0;
  const auto kernel = instance_for<Element>(config.tile_rows, [&]<class T>() {
    return config.quads ? conv_wgrad_kernel<T, Element, 4> : conv_wgrad_kernel<T, Element, 1>;
  });
  const dim3 grid(static_cast<unsigned>(config.tiles / shape.groups), shape.groups, config.splits);
  simt::launch(kernel, grid, dim3(config.threads), 0, stream, g);
  if (config.splits > 1) {
    sum_partials(workspace, config.splits, dw, 1, weights(shape), GemmEpilogue{1.0f, 0.0f, nullptr, false},
                 stream);
  }
}

using simt::bf16;
template void conv_wgrad(const float*, const float*, float*, const ConvShape&, float*, simt::stream_t);
template void conv_wgrad(const bf16*, const bf16*, float*, const ConvShape&, float*, simt::stream_t);

}  // namespace alexnet
