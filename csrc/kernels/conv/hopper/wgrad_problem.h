// What a block does for a filter gradient, as a Problem of pipeline.h. conv_wgrad.cu and
// conv_first_layer_wgrad.cu tell the story and list the instances; wgrad_plan.h says which steps are whose,
// and which positions are skipped, wgrad_plan.cu how a tile is chosen.
//
// Shared memory is stages alone, of rows of 128 bytes: 64 images at one position. The sums go to memory from
// the registers, so there is no staging.
//
//     dy   filter 0 | 64 images at (p, q) |          one box: kFilters rows
//           ...
//     x    input 0  | 64 images at (p, q)'s tap |    one box: box_size() rows (channels fastest, then taps)
//           ...
//          zeros                                     the rest of kInputs rows: by prepare(), and never again
//
// Who waits for whom (pipeline.h), for a block whose piece of tile t is followed by one of tile t + 1:
//
//     producer     stage empty? ask for dy and x of the next step that was dealt to this block | empty? ...
//     consumer     full? add up dy (if this tile gives db), 4 * kTiles wgmmas of 16 images each | give the
//                  stage of the step before back | full? ... | last step done: 64 * kTiles rows of sums, and
//                  those of dy, from registers to the workspace | tile t + 1: full? ...
//
// No bias enters; its gradient db leaves.
#pragma once

#include "kernels/common/hopper/pipeline.h"
#include "kernels/common/pack.h"
#include "kernels/conv/hopper/wgrad_plan.h"
#include "simt/hopper.h"

namespace alexnet {

struct WgradArguments {
  simt::TensorMap x, dy;
  float* pieces;
  WgradPlan plan;
  bool with_db;
};

// Tiles of kRows x kColumns sums, which kConsumers share by rows.
template <int kRows, int kColumns, int kConsumers_, bool kFiltersAreRows, int kStages_>
class WgradProblem : public PipelineProblem {
 public:
  static constexpr int kFilters = kFiltersAreRows ? kRows : kColumns;
  static constexpr int kInputs = kFiltersAreRows ? kColumns : kRows;

  static constexpr int kStages = kStages_;
  static constexpr int kConsumers = kConsumers_;
  static constexpr int kTiles = kRows / 64 / kConsumers;
  static constexpr int kSums = kColumns / 2;
  using Arguments = WgradArguments;

  // A step of both operands: rows of 64 images.
  struct alignas(1024) Stage {
    simt::bf16 dy[kFilters * kImages];
    alignas(1024) simt::bf16 x[kInputs * kImages];
  };
  struct Shared {};

  // A "tile" of the pipeline is a piece: what this block does of a tile of dw. And where the producer stands:
  // the step's number within the tile, its position and its images.
  struct Tile {
    WgradTile of_dw;
    Deal deal;
    int dealt;
    int p, q, image_block;
  };

  static Arguments arguments(const simt::bf16* x, const simt::bf16* dy, float* pieces, const WgradPlan& plan,
                             bool with_db) {
    const ConvShape& shape = plan.shape;
    const ConvWgradHopperConfig& config = plan.config;
    // Neighbouring taps are neighbouring pixels, whatever the stride.
    return {map(x, {shape.N, shape.C, shape.W, shape.H},
                {kImages, config.box_channels, config.box_columns, config.box_rows}),
            map(dy, {shape.N, shape.K, shape.Q, shape.P}, {kImages, kFilters, 1, 1}), pieces, plan, with_db};
  }

  __device__ __forceinline__ explicit WgradProblem(const Arguments& arguments)
      : g_(arguments), plan_(arguments.plan), block_(blockIdx.x) {
    const int begin = block_ * plan_.block_steps;
    const int end = min(begin + plan_.block_steps, plan_.steps());
    first_tile_ = plan_.tile_of(begin);
    pieces_ = plan_.tile_of(end - 1) - first_tile_ + 1;
  }

  // Rows of x that no box fills become zeros. Their sums are nobody's, but what is multiplied must be
  // written.
  template <class Stages>
  __device__ __forceinline__ void prepare(Stages& stages, Shared&) const {
    for (Stage& stage : stages) {
      for (int i = plan_.box_size() * kImages + static_cast<int>(threadIdx.x); i < kInputs * kImages;
           i += blockDim.x) {
        stage.x[i] = simt::to_bf16(0.0f);
      }
    }
  }

  // A block takes one number below tiles() in each of the pipeline's rounds: round i is its i-th piece.
  __device__ __forceinline__ int tiles() const { return pieces_ * static_cast<int>(gridDim.x); }
  __device__ __forceinline__ Tile tile(int index) const {
    const WgradTile tile = plan_.tile(first_tile_ + index / static_cast<int>(gridDim.x));
    const Deal deal(tile, plan_.block_steps);
    const int dealt = deal.step(block_, deal.begin(block_));
    const int position = dealt / plan_.image_blocks;
    return {tile,
            deal,
            dealt,
            tile.p.begin + position / tile.q.count,
            tile.q.begin + position % tile.q.count,
            dealt % plan_.image_blocks};
  }
  __device__ __forceinline__ int steps(const Tile& piece) const {
    return piece.deal.count(block_, plan_.block_steps);
  }

  __device__ __forceinline__ int bytes() const {
    return (plan_.box_size() + kFilters) * kImages * static_cast<int>(sizeof(simt::bf16));
  }

  __device__ __forceinline__ void load(Tile& piece, int step, Stage& stage, simt::Mbarrier& full) const {
    const WgradTile& tile = piece.of_dw;
    const ConvShape& shape = plan_.shape;
    const int image = piece.image_block * kImages;
    simt::tma_load(stage.dy, g_.dy, full,
                   {image, tile.group * plan_.filters() + tile.filter, piece.q, piece.p});
    simt::tma_load(stage.x, g_.x, full,
                   {image, tile.group * plan_.channels() + tile.channel,
                    piece.q * shape.stride_w - shape.pad_left + tile.s,
                    piece.p * shape.stride_h - shape.pad_top + tile.r});
    advance(piece, step + 1);
  }

  __device__ __forceinline__ void begin(const Tile& piece, int, Shared&) {
    sums_dy_ = g_.with_db && plan_.gives_db(piece.of_dw);
    SIMT_UNROLL
    for (float& sum : dy_sums_) sum = 0.0f;
  }

  // Adds the stage's dy to the sums for db.
  __device__ __forceinline__ void look(const Stage& stage, int consumer) {
    if (!sums_dy_) return;
    using Piece = Pack<simt::bf16, 8>;
    SIMT_UNROLL
    for (int i = 0; i < kQuarters; ++i) {
      const Quarter quarter(consumer, i);
      const auto* row = reinterpret_cast<const Piece*>(stage.dy + quarter.filter * kImages);
      SIMT_UNROLL
      for (int half = 0; half < 2; ++half) {
        const Piece piece = row[(2 * quarter.index + half) ^ (quarter.filter % 8)];
        SIMT_UNROLL
        for (int image = 0; image < 8; ++image) dy_sums_[i] += simt::to_float(piece.at[image]);
      }
    }
    __syncwarp();  // one lane gives the stage back for all
  }

  __device__ __forceinline__ void multiply(const Stage& stage, int consumer, float (&sums)[kTiles][kSums],
                                           bool first) const {
    const simt::bf16* rows = kFiltersAreRows ? stage.dy : stage.x;
    const simt::bf16* columns = kFiltersAreRows ? stage.x : stage.dy;
    SIMT_UNROLL
    for (int k16 = 0; k16 < kImages / 16; ++k16) {
      const std::uint64_t b = simt::wgmma_descriptor(columns + k16 * 16, 0, kEightRows);
      SIMT_UNROLL
      for (int i = 0; i < kTiles; ++i) {
        const simt::bf16* block = rows + (consumer * kTiles + i) * 64 * kImages;
        const std::uint64_t a = simt::wgmma_descriptor(block + k16 * 16, 0, kEightRows);
        simt::wgmma<simt::Major::k, simt::Major::k>(sums[i], a, b, !first || k16 > 0);
      }
    }
  }

  // The sums go to the workspace as the registers hold them, 16 bytes a thread, 512 a warp.
  __device__ __forceinline__ void finish(const Tile& piece, int consumer, const float (&sums)[kTiles][kSums],
                                         Shared&) const {
    const std::int64_t place = block_ + piece.of_dw.index;
    float* to = g_.pieces + place * plan_.piece_size();
    auto* quads = reinterpret_cast<float4*>(to) + consumer * (kTiles * kSums / 4 * kWarpgroup) +
                  threadIdx.x % kWarpgroup;
    SIMT_UNROLL
    for (int i = 0; i < kTiles; ++i) {
      SIMT_UNROLL
      for (int j = 0; j < kSums; j += 4) {
        *quads = {sums[i][j], sums[i][j + 1], sums[i][j + 2], sums[i][j + 3]};
        quads += kWarpgroup;
      }
    }
    if (!sums_dy_) return;
    SIMT_UNROLL
    for (int i = 0; i < kQuarters; ++i) {
      const Quarter quarter(consumer, i);
      to[kRows * kColumns + 4 * quarter.filter + quarter.index] = dy_sums_[i];
    }
  }

 private:
  static constexpr int kEightRows = 8 * kImages * sizeof(simt::bf16);

  // db: each row of dy in the stage is four quarters of 16 images, and all consumers' threads share these.
  // Neighbouring threads take neighbouring rows, whose pieces the swizzle puts into different banks.
  static constexpr int kThreads = kConsumers * kWarpgroup;
  static constexpr int kQuarters = 4 * kFilters / kThreads;  // of a thread
  static_assert(4 * kFilters % kThreads == 0);
  struct Quarter {
    int filter, index;
    __device__ __forceinline__ Quarter(int consumer, int i) {
      const int number = i * kThreads + consumer * kWarpgroup + static_cast<int>(threadIdx.x) % kWarpgroup;
      filter = number % kFilters;
      index = number / kFilters;
    }
  };

  // To the block's step number `step`. Few rounds, as a block's steps are as many apart as blocks share the
  // tile; divisions would take the producer about as long as the consumers need for a small tile.
  __device__ __forceinline__ void advance(Tile& piece, int step) const {
    const int dealt = piece.deal.step(block_, piece.deal.begin(block_) + step);
    piece.image_block += dealt - piece.dealt;
    piece.dealt = dealt;
    while (piece.image_block >= plan_.image_blocks) {
      piece.image_block -= plan_.image_blocks;
      if (++piece.q < piece.of_dw.q.begin + piece.of_dw.q.count) continue;
      piece.q = piece.of_dw.q.begin;
      ++piece.p;
    }
  }

  // Of an array [channels, rows, columns, images], whose boxes run over images, channels, columns and rows.
  static simt::TensorMap map(const simt::bf16* array, const int (&size)[4], const int (&box)[4]) {
    const std::uint64_t column = sizeof(simt::bf16) * size[0];
    const std::uint64_t row = column * size[2];
    simt::TensorMapSpec spec{array, simt::ElementType::bfloat16, 4, {}, {row * size[3], column, row}, {}};
    for (int i = 0; i < 4; ++i) {
      spec.size[i] = size[i];
      spec.box[i] = box[i];
    }
    return simt::make_tensor_map(spec);
  }

  const Arguments& g_;
  const WgradPlan& plan_;
  int block_;
  int first_tile_, pieces_;
  bool sums_dy_ = false;
  float dy_sums_[kQuarters];
};

}  // namespace alexnet
