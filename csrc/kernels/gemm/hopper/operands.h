// What the products on Hopper's matrix units share: which tile and part of K a block works on, how a step's
// operands get into a stage, and the wgmmas over it. gemm.cu and gemm_sgd.cu differ in what becomes of the
// sums.
//
// A stage holds 64 products of the tile's rows of a and of its columns of b, each in one of two layouts,
// whichever the array has; wgmma reads both, so nothing is ever transposed:
//
//   Major::k    the array's rows run along K (a [M, K], b [N, K]): one box
//               row i of the stage = row i of the tile: its 64 products, 128 bytes
//   Major::mn   the array's rows run along M or N (a [K, M], b [K, N]): a box for each 64 of them
//               row 64 * i + k of the stage = product k of the tile's rows 64 * i to 64 * i + 63
//
// In both, the tile's rows 64 * i to 64 * i + 63 are the 8 KB from 8192 * i on: consumer i's part of a.
// Within 128 bytes the copy engine exchanges the 16-byte pieces (128-byte swizzle), and wgmma exchanges them
// back.
//
// Who waits for whom (pipeline.h), for a tile whose K has three steps:
//
//     producer     empty? ask for a, b of k = 0 | empty? of k = 64 | empty? of k = 128 | the next tile's ...
//     consumers    full? 4 wgmmas of 16 products | full? 4 more, stage 0 back | full? 4 more, stage 1 back |
//                  done, stage 2 back, epilogue | full? ...
//
// What lies outside the arrays comes as zeros: past M and N they give sums that nobody writes, past K they
// add nothing.
#pragma once

#include "kernels/common/hopper/pipeline.h"
#include "kernels/gemm/hopper/gemm_hopper.h"
#include "simt/hopper.h"

namespace alexnet {

// The (tile, part of K) pairs of a product, in the order of their numbers: part by part; within a part in
// rasters of `raster_rows` rows of tiles, each from left to right, each column from top to bottom.
//
//       n ->                        Blocks that work at the same time then have about as many rows as columns
//   m   0  3  6  9 |  raster 0      of c, and fetch the least of a and b into the level-2 cache.
//   |   1  4  7 10 |
//   v   2  5  8 11 |
//       12 14 16 18 |  raster 1
//       13 15 17 19 |
struct GemmUnits {
  int tile_rows, tile_columns;  // how many tiles c has
  int splits, split_steps, steps;
  int raster_rows;

  __host__ __device__ int count() const { return tile_rows * tile_columns * splits; }
};

struct GemmTile {
  int row, column;  // the first of c
  int part;
  int first_step, steps;
};

template <int kRows, int kColumns>
__device__ __forceinline__ GemmTile tile_of(const GemmUnits& units, int index) {
  const int tiles = units.tile_rows * units.tile_columns;
  const int part = index / tiles;
  const int tile = index % tiles;
  const int of_raster = units.raster_rows * units.tile_columns;
  const int first_row = tile / of_raster * units.raster_rows;
  const int rows = min(units.raster_rows, units.tile_rows - first_row);
  const int first_step = part * units.split_steps;
  return {(first_row + tile % of_raster % rows) * kRows, tile % of_raster / rows * kColumns, part, first_step,
          min(units.split_steps, units.steps - first_step)};
}

// One operand: `kWidth` rows of a or columns of b, 64 products deep.
template <int kWidth, simt::Major kMajor>
struct alignas(1024) GemmOperand {
  static constexpr int kBlock = 64 * kGemmHopperDepth;  // elements of 64 rows
  static constexpr int kBytes = kWidth * kGemmHopperDepth * 2;
  simt::bf16 at[kWidth * kGemmHopperDepth];

  // By one thread: asks for the products from k on of the rows (columns) from `first` on.
  __device__ __forceinline__ void load(const simt::TensorMap& map, simt::Mbarrier& full, int first, int k) {
    if constexpr (kMajor == simt::Major::k) {
      simt::tma_load(at, map, full, {k, first});
    } else {
      SIMT_UNROLL
      for (int block = 0; block < kWidth / 64; ++block) {
        simt::tma_load(at + block * kBlock, map, full, {first + 64 * block, k});
      }
    }
  }

  // Of products 16 * k16 to 16 * k16 + 15, from block `block` of 64 rows on.
  __device__ __forceinline__ std::uint64_t descriptor(int block, int k16) const {
    constexpr int kStep = kMajor == simt::Major::k ? 16 : 16 * 64;
    return simt::wgmma_descriptor(at + block * kBlock + k16 * kStep, 2 * kBlock, 1024);
  }

  // How the array lies in memory: `length` rows of a (columns of b), K products each.
  static simt::TensorMap map(const simt::bf16* array, int length, int K) {
    simt::TensorMapSpec spec{};
    spec.base = array;
    spec.type = simt::ElementType::bfloat16;
    spec.rank = 2;
    const bool along_k = kMajor == simt::Major::k;
    spec.size[0] = along_k ? K : length;
    spec.size[1] = along_k ? length : K;
    spec.stride[0] = spec.size[0] * sizeof(simt::bf16);
    spec.box[0] = 64;
    spec.box[1] = along_k ? kWidth : kGemmHopperDepth;
    return simt::make_tensor_map(spec);
  }
};

// The pipeline's Problem (pipeline.h) up to the epilogue. Tiles of 128 rows are shared by the two consumers,
// 64 rows each; tiles of 64 rows are taken in turns.
template <int kRows_, int kColumns_, simt::Major kMajorA, simt::Major kMajorB, int kStages_>
class GemmProduct : public PipelineProblem {
 public:
  static constexpr int kRows = kRows_;
  static constexpr int kColumns = kColumns_;
  static constexpr int kStages = kStages_;
  static constexpr int kConsumers = 2;
  static constexpr bool kInTurns = kRows == 64;
  static constexpr int kTiles = 1;
  static constexpr int kSums = kColumns / 2;
  static_assert(kRows == 64 || kRows == 64 * kConsumers);

  using OperandA = GemmOperand<kRows, kMajorA>;
  using OperandB = GemmOperand<kColumns, kMajorB>;
  using Tile = GemmTile;
  using Sums = float[kTiles][kSums];
  struct Stage {
    OperandA a;
    OperandB b;
  };
  static constexpr int kBytes = OperandA::kBytes + OperandB::kBytes;

  struct Operands {
    simt::TensorMap a, b;
    GemmUnits units;
  };
  static Operands operands(const simt::bf16* a, const simt::bf16* b, const GemmShape& shape,
                           const GemmHopperConfig& config) {
    const auto ceil_div = [](int x, int y) { return (x + y - 1) / y; };
    return {OperandA::map(a, shape.M, shape.K), OperandB::map(b, shape.N, shape.K),
            GemmUnits{ceil_div(shape.M, kRows), ceil_div(shape.N, kColumns), config.splits,
                      config.split_steps, ceil_div(shape.K, kGemmHopperDepth), config.raster_rows}};
  }

  __device__ __forceinline__ explicit GemmProduct(const Operands& operands) : operands_(operands) {}

  __device__ __forceinline__ int tiles() const { return operands_.units.count(); }
  __device__ __forceinline__ Tile tile(int index) const {
    return tile_of<kRows, kColumns>(operands_.units, index);
  }
  __device__ __forceinline__ int steps(const Tile& tile) const { return tile.steps; }

  __device__ __forceinline__ void load(const Tile& tile, int step, Stage& stage, simt::Mbarrier& full) const {
    const int k = (tile.first_step + step) * kGemmHopperDepth;
    stage.a.load(operands_.a, full, tile.row, k);
    stage.b.load(operands_.b, full, tile.column, k);
  }

  __device__ __forceinline__ void multiply(const Stage& stage, int consumer, Sums& sums, bool first) const {
    const int block = kInTurns ? 0 : consumer;
    SIMT_UNROLL
    for (int k16 = 0; k16 < kGemmHopperDepth / 16; ++k16) {
      simt::wgmma<kMajorA, kMajorB>(sums[0], stage.a.descriptor(block, k16), stage.b.descriptor(0, k16),
                                    !first || k16 > 0);
    }
  }

 protected:
  // The first of a consumer's 64 rows.
  __device__ __forceinline__ static int first_row(const Tile& tile, int consumer) {
    return tile.row + (kInTurns ? 0 : 64 * consumer);
  }

 private:
  const Operands& operands_;
};

}  // namespace alexnet
