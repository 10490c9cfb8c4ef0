// Steps of one tap: the kernel under conv_fprop.cu and conv_dgrad.cu for any window. A step is a tap and
// kDepth channels (backward, filters).
#pragma once

#include "kernels/conv/hopper/conv_tiles.h"

namespace alexnet {

// kConsumers x 64 rows; kColumns 128 or 256.
template <bool kBackward_, int kRowConsumers, int kColumns, int kDepth_, int kStages_, int kStaged>
class ConvProblem : public ConvTiles<kBackward_, kRowConsumers, 1, kColumns, kStaged> {
  using Tiles = ConvTiles<kBackward_, kRowConsumers, 1, kColumns, kStaged>;

 public:
  static constexpr bool kBackward = kBackward_;
  static constexpr int kStages = kStages_;
  static constexpr int kDepth = kDepth_;
  static constexpr int kAllColumns = kColumns;
  static constexpr int kTaps = 1;       // of a step
  static constexpr int kPositions = 0;  // any number
  static constexpr int kBytes = (Tiles::kRows + kColumns) * kDepth * static_cast<int>(sizeof(simt::bf16));
  static_assert(kDepth % 16 == 0 && (!kBackward || kDepth == 64), "backward, rows of 128 bytes");

  using typename Tiles::Tile;
  struct alignas(1024) Stage {
    simt::bf16
        weights[Tiles::kRows * kDepth];    // forward [row / 64][channel][64 rows], backward [row][filter]
    simt::bf16 pixels[kColumns * kDepth];  // [block of images][position][channel or filter][64 images]
  };

  using Tiles::Tiles;

  __device__ __forceinline__ int steps(const Tile& tile) const {
    return tile.down.count() * tile.across.count() * ((g_.depth + kDepth - 1) / kDepth);
  }

  __device__ __forceinline__ void load(Tile& tile, int, Stage& stage, simt::Mbarrier& full) const {
    load_weights(tile, stage, full);
    load_pixels(tile, stage, full);
    tile.k += kDepth;
    if (tile.k < g_.depth) return;
    tile.k = 0;
    if (++tile.s < tile.across.end) return;
    tile.s = tile.across.begin;
    ++tile.r;
  }

  __device__ __forceinline__ void multiply(const Stage& stage, int consumer,
                                           float (&sums)[Tiles::kTiles][Tiles::kSums], bool first) const {
    constexpr simt::Major kMajorA = kBackward ? simt::Major::k : simt::Major::mn;
    constexpr int kNextA = kBackward ? 16 : 16 * 64;  // elements to the next 16 of the sum
    constexpr int kLeading = kDepth * 64 * static_cast<int>(sizeof(simt::bf16));
    SIMT_UNROLL
    for (int k16 = 0; k16 < kDepth / 16; ++k16) {
      const auto* a = stage.weights + consumer * 64 * kDepth + k16 * kNextA;
      SIMT_UNROLL
      for (int tile = 0; tile < Tiles::kTiles; ++tile) {
        const auto* b = stage.pixels + tile * (kColumns / Tiles::kTiles) * kDepth + k16 * 16 * 64;
        simt::wgmma<kMajorA, simt::Major::mn>(sums[tile], simt::wgmma_descriptor(a, kLeading, 1024),
                                              simt::wgmma_descriptor(b, kLeading, 1024),
                                              !(first && k16 == 0));
      }
    }
  }

 private:
  using Tiles::g_;

  __device__ __forceinline__ void load_weights(const Tile& tile, Stage& stage, simt::Mbarrier& full) const {
    const simt::TensorMap& map = g_.maps[tile.group].weights;
    const int tap = tile.r * g_.cut.across.taps + tile.s;
    if constexpr (kBackward) {
      simt::tma_load(stage.weights, map, full, {tile.k, tile.row, tap});
    } else {
      SIMT_UNROLL
      for (int i = 0; i < kRowConsumers; ++i) {
        simt::tma_load(stage.weights + i * 64 * kDepth, map, full, {tile.row + 64 * i, tile.k, tap});
      }
    }
  }

  __device__ __forceinline__ void load_pixels(const Tile& tile, Stage& stage, simt::Mbarrier& full) const {
    const simt::TensorMap& map = g_.maps[tile.group].pixels;
    const int row = g_.cut.down.pixel(tile.place.row, tile.r);
    const int column = g_.cut.across.pixel(tile.place.column, tile.s);
    if (g_.all_blocks) {
      simt::tma_load(stage.pixels, map, full, {0, tile.k, column, tile.image / 64, row});
      return;
    }
    const int positions = g_.cut.positions();
    for (int block = 0, image = tile.image; block < Tiles::kBlocks; block += positions, image += 64) {
      simt::tma_load(stage.pixels + block * 64 * kDepth, map, full, {image, tile.k, column, row});
    }
  }
};

}  // namespace alexnet
