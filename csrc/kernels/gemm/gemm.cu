// Matrix product: c [M, N] = relu(alpha * op(a) op(b) + beta * c + bias). The fully connected layers, forward
// and backward, are this. Read relu.cu first, then tile.h, which holds the inner loop and its picture.
//
// Mapping. blockIdx.x is a tile's place along N, blockIdx.y along M, blockIdx.z a part of K. A block sums its
// tile in registers, and each thread writes its own 8 x 8 sums at the end. Any M, N, K: what sticks out of
// the matrix is read as zeros and not written.
//
//     c          blockIdx.x ->
//                +--------+--------+---      a block reads   a: its 128 rows, all of its part of K
//     blockIdx.y |128x128 |        |                         b: its 128 columns, likewise
//         |      +--------+--------+---
//         v      |        |        |         so a tile twice as wide reads half as often
//
// Shared memory: tile.h's two copies of an 8 x 128 piece of a and of b, 16.5 KB.
//
// Parts of K. A fully connected layer with few images has few tiles: fc6 with 128 images is 4096 x 128, or 32
// tiles for 132 multiprocessors, and 9216 products a sum. So K is cut into parts, each block sums one part,
// and writes it to a matrix of its own in the workspace. sum_partials.cu adds those matrices in a fixed
// order, which atomic additions would not keep: the same bits come out every time.
//
// bfloat16 is read element by element and has the narrow tile alone: its fast products are those of tensor
// cores, and these kernels take the shapes and GPUs that have none.
//
// What limits it: the multiply-adds for tiles of 128 x 128. With few images (N <= 32) the weights are read
// once for few products, and memory is the limit; a narrow tile then wastes less on columns that do not
// exist.

#include "kernels/gemm/gemm.h"

#include <algorithm>
#include <type_traits>

#include "kernels/common/check.h"
#include "kernels/gemm/epilogue.h"
#include "kernels/gemm/operands.h"
#include "kernels/gemm/tensor_cores.h"
#include "kernels/gemm/tile.h"

namespace alexnet {
namespace {

// The tiles, and why there are two.
// Wide: 128 x 128, 256 threads of 8 x 8 sums, 2 blocks at once: the best ratio of products to reads.
// Narrow: 128 x 32, 128 threads of 8 x 4 sums, 4 blocks at once: for at most 32 columns.
using Wide = Tile<4, 2, 8, 8, 2>;
using Narrow = Tile<4, 1, 8, 4, 4>;

// The largest GPU these kernels know (H100, H200). A constant and not the device's own number, so that
// neither the workspace's size nor the bits change with it.
constexpr int kMultiprocessors = 132;

// Fewer products than this are not worth a part of their own: the part's matrix is written and read again, 8
// bytes for each sum, while 256 products take a tile of 128 x 128 about 20 us.
constexpr int kLeastDepth = 256;

template <class Element, class Result>
struct GemmArguments {
  MatrixView<Element> a, b;
  Result* c;  // or the workspace, a matrix of floats for each part of K
  int M, N, K, split_depth;
  bool partial;  // c is the workspace: write plain sums
  bool aligned;  // every row of c begins at a multiple of four elements
  GemmEpilogue epilogue;
};

// The thread's sums to c: rows of quads.
template <class T, class Element, class Result>
__device__ __forceinline__ void write_tile(const GemmArguments<Element, Result>& g, const Place<T>& place,
                                           const Sums<T>& sums) {
  Result* c = g.c + (g.partial ? std::int64_t(blockIdx.z) * g.M * g.N : 0);
  SIMT_UNROLL
  for (int i = 0; i < T::kThreadRows; ++i) {
    const int row = blockIdx.y * T::kRows + place.row_of(i);
    if (row >= g.M) continue;
    const float bias = g.epilogue.bias != nullptr ? g.epilogue.bias[row] : 0.0f;
    SIMT_UNROLL
    for (int j = 0; j < T::kThreadColumns; j += 4) {
      const int column = blockIdx.x * T::kColumns + place.column_of(j);
      Result* address = c + std::int64_t(row) * g.N + column;
      Pack<float, 4> values;
      SIMT_UNROLL
      for (int n = 0; n < 4; ++n) {
        float& value = values.at[n];
        value = sums.at[i][j + n];
        if (!g.partial && column + n < g.N) value = finish(g.epilogue, value, bias, address + n);
      }
      write_quad(address, values, g.N - column, g.aligned);
    }
  }
}

// Both operands of a step.
template <class LoaderA, class LoaderB>
struct Loader {
  LoaderA a;
  LoaderB b;

  __device__ __forceinline__ void fetch() {
    a.fetch();
    b.fetch();
  }

  template <class TileA, class TileB>
  __device__ __forceinline__ void put(TileA& tile_a, TileB& tile_b) const {
    a.put(tile_a);
    b.put(tile_b);
  }
};

template <class T, class LoaderA, class LoaderB, class Arguments>
__device__ __forceinline__ void gemm_tile(const Arguments& g) {
  SIMT_SHARED(buffers, Buffers<T>);
  const int k_first = blockIdx.z * g.split_depth;
  const int k_end = k_first + g.split_depth < g.K ? k_first + g.split_depth : g.K;
  Loader<LoaderA, LoaderB> loader{LoaderA(g.a, blockIdx.y * T::kRows, g.M, k_first, k_end),
                                  LoaderB(g.b, blockIdx.x * T::kColumns, g.N, k_first, k_end)};
  const Place<T> place;
  Sums<T> sums;
  accumulate<T>(loader, (k_end - k_first + kDepth - 1) / kDepth, buffers, place, sums);
  write_tile(g, place, sums);
}

// How an operand is read: four elements at a time along its rows or columns (kAlongI: c's axis is contiguous,
// kAlongK: the sum's axis is), which asks for an address that is a multiple of their size and a contiguous
// axis that is one of 4; or as any matrix, element by element.
enum class Read { kAlongI, kAlongK, kAny };

template <class Element, int kWidth, int kThreads, Read kRead>
using LoaderFor = std::conditional_t<kRead == Read::kAny, SingleLoader<Element, kWidth, kThreads>,
                                     QuadLoader<Element, kWidth, kThreads, kRead == Read::kAlongK>>;

// Grid: (tiles along N, tiles along M, parts of K); block: T::kThreads. Owns the tile (blockIdx.y,
// blockIdx.x) of c, or of the part's matrix in the workspace.
template <class T, Read kReadA, Read kReadB, class Element, class Result>
__global__ void __launch_bounds__(T::kThreads, kReadA == Read::kAny ? 1 : T::kBlocks)
    gemm_kernel(GemmArguments<Element, Result> g) {
  gemm_tile<T, LoaderFor<Element, T::kRows, T::kThreads, kReadA>,
            LoaderFor<Element, T::kColumns, T::kThreads, kReadB>>(g);
}

template <class Element, class Result>
using Kernel = void (*)(GemmArguments<Element, Result>);

// The instances of float, twelve in all.
template <class T>
Kernel<float, float> kernel_of_floats(const GemmShape& shape, const GemmConfig& config) {
  if (!config.quads_of_a) return gemm_kernel<T, Read::kAny, Read::kAny, float, float>;
  if (!config.quads_of_b) {
    // Batches that are no multiple of 4: worth kernels of their own while a, the weights, is most of what is
    // read.
    if constexpr (T::kColumns == Narrow::kColumns) {
      return shape.trans_a ? gemm_kernel<T, Read::kAlongI, Read::kAny, float, float>
                           : gemm_kernel<T, Read::kAlongK, Read::kAny, float, float>;
    }
    return gemm_kernel<T, Read::kAny, Read::kAny, float, float>;
  }
  if (shape.trans_a) {
    return shape.trans_b ? gemm_kernel<T, Read::kAlongI, Read::kAlongK, float, float>
                         : gemm_kernel<T, Read::kAlongI, Read::kAlongI, float, float>;
  }
  return shape.trans_b ? gemm_kernel<T, Read::kAlongK, Read::kAlongK, float, float>
                       : gemm_kernel<T, Read::kAlongK, Read::kAlongI, float, float>;
}

template <class Element, class Result>
Kernel<Element, Result> kernel_for(const GemmShape& shape, const GemmConfig& config) {
  if constexpr (std::is_same_v<Element, float>) {
    const bool narrow = config.tile_columns == Narrow::kColumns;
    return narrow ? kernel_of_floats<Narrow>(shape, config) : kernel_of_floats<Wide>(shape, config);
  } else {
    return gemm_kernel<Narrow, Read::kAny, Read::kAny, Element, Result>;
  }
}

int ceil_div(int a, int b) { return (a + b - 1) / b; }

// The product as `config` cuts it; c is the workspace when K is in parts.
template <class Element, class Result>
void launch_product(const Element* a, const Element* b, Result* c, const GemmShape& shape,
                    const GemmEpilogue& epilogue, const GemmConfig& config, simt::stream_t stream) {
  GemmArguments<Element, Result> g{};
  g.a = shape.trans_a ? MatrixView<Element>{a, shape.M, 1} : MatrixView<Element>{a, 1, shape.K};
  g.b = shape.trans_b ? MatrixView<Element>{b, 1, shape.K} : MatrixView<Element>{b, shape.N, 1};
  g.c = c;
  g.M = shape.M;
  g.N = shape.N;
  g.K = shape.K;
  g.split_depth = config.split_depth;
  g.partial = config.splits > 1;
  g.aligned = is_aligned(c, 4 * sizeof(Result)) && shape.N % 4 == 0;
  g.epilogue = epilogue;

  const auto kernel = kernel_for<Element, Result>(shape, config);
  const dim3 grid(ceil_div(shape.N, config.tile_columns), ceil_div(shape.M, config.tile_rows), config.splits);
  simt::launch(kernel, grid, dim3(config.threads), 0, stream, g);
}

}  // namespace

GemmConfig choose_gemm(const GemmShape& shape, std::size_t element_size, bool aligned_a, bool aligned_b) {
  const bool floats = element_size == sizeof(float);
  const bool narrow = !floats || shape.N <= Narrow::kColumns;
  GemmConfig config{};
  config.tile_rows = narrow ? Narrow::kRows : Wide::kRows;
  config.tile_columns = narrow ? Narrow::kColumns : Wide::kColumns;
  config.threads = narrow ? Narrow::kThreads : Wide::kThreads;
  config.quads_of_a = floats && aligned_a && (shape.trans_a ? shape.M : shape.K) % 4 == 0;
  config.quads_of_b = floats && aligned_b && (shape.trans_b ? shape.K : shape.N) % 4 == 0;
  config.element_size = element_size;

  const std::int64_t tiles =
      std::int64_t(ceil_div(shape.M, config.tile_rows)) * ceil_div(shape.N, config.tile_columns);
  const int enough = kMultiprocessors * (narrow ? Narrow::kBlocks : Wide::kBlocks);
  const int wanted = static_cast<int>(std::max<std::int64_t>(1, enough / tiles));
  const int parts = std::min(std::max(shape.K / kLeastDepth, 1), wanted);
  config.split_depth = ceil_div(ceil_div(shape.K, parts), kDepth) * kDepth;
  config.splits = ceil_div(shape.K, config.split_depth);
  return config;
}

std::string to_string(const GemmConfig& config) {
  const std::string tile = std::to_string(config.tile_rows) + "x" + std::to_string(config.tile_columns);
  const std::string split = config.splits == 1 ? std::string("K whole")
                                               : "K in " + std::to_string(config.splits) + " parts of " +
                                                     std::to_string(config.split_depth);
  const auto read = [&](bool quads) { return std::to_string((quads ? 4 : 1) * config.element_size); };
  return "tiles of " + tile + ", " + std::to_string(config.threads) + " threads, " + split + ", reads of " +
         read(config.quads_of_a) + " and " + read(config.quads_of_b) + " bytes";
}

std::size_t gemm_workspace_bytes(const GemmShape& shape, std::size_t element_size) {
  const GemmConfig config = choose_gemm(shape, element_size, true, true);
  const std::size_t bytes =
      config.splits == 1 ? 0 : sizeof(float) * config.splits * std::size_t(shape.M) * shape.N;
  if (element_size == sizeof(float)) return bytes;
  return std::max(bytes, gemm_tensor_core_workspace_bytes(shape));
}

template <class Element, class Result>
void gemm(const Element* a, const Element* b, Result* c, const GemmShape& shape, const GemmEpilogue& epilogue,
          float* workspace, simt::stream_t stream) {
  require(shape.M >= 1 && shape.N >= 1 && shape.K >= 1, "gemm: M, N and K must be at least 1");
  if constexpr (std::is_same_v<Element, simt::bf16>) {
    if (gemm_on_tensor_cores(a, b, c, shape, epilogue, workspace, stream)) return;
  }
  require(ceil_div(shape.M, Wide::kRows) <= 65535, "gemm: a grid has room for M up to 8388480");
  const GemmConfig config = choose_gemm(shape, sizeof(Element), is_aligned(a, 4 * sizeof(Element)),
                                        is_aligned(b, 4 * sizeof(Element)));
  require(config.splits == 1 || workspace != nullptr, "gemm: this shape needs a workspace");
  if (config.splits == 1) {
    launch_product(a, b, c, shape, epilogue, config, stream);
  } else {
    launch_product(a, b, workspace, shape, epilogue, config, stream);
    sum_partials(workspace, config.splits, c, shape.M, shape.N, epilogue, stream);
  }
}

using simt::bf16;

template void gemm(const float*, const float*, float*, const GemmShape&, const GemmEpilogue&, float*,
                   simt::stream_t);
template void gemm(const bf16*, const bf16*, bf16*, const GemmShape&, const GemmEpilogue&, float*,
                   simt::stream_t);
template void gemm(const bf16*, const bf16*, float*, const GemmShape&, const GemmEpilogue&, float*,
                   simt::stream_t);

}  // namespace alexnet
