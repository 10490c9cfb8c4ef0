// Steps of one tap: the kernel under conv_fprop.cu and conv_dgrad.cu for any window. A step is a tap and
// kDepth channels (backward, filters). Read conv_fprop.cu first, for the tile.
//
// A stage of 128 rows x 256 columns x 64, forward, 48 KB. [64 ...] are 128 bytes along memory, whose 16-byte
// pieces the copy engine exchanges and wgmma exchanges back (128-byte swizzle):
//
//     weights   filters 0 to 63      channel 0  [64 filters]      8 KB: a box, for consumer 0
//                                     ...
//                                    channel 63 [64 filters]
//               filters 64 to 127    likewise                     8 KB: a box, for consumer 1
//     pixels    block 0              channel 0  [64 images]       8 KB
//                                     ...
//                                    channel 63 [64 images]
//               blocks 1, 2, 3       likewise
//
// A block of pixels is 64 images as one position of the tile sees them through the tap: blocks of images
// slowest, positions faster. All are one box where N is a multiple of 64; else each 64 images are one, with
// all positions. Backward, a row of weights is a channel and its 64 elements are filters, along the sum; one
// box has the rows of all consumers. What lies outside the image, or past the group's channels, comes as
// zeros.
//
// The walk: tap rows r, tap columns s, channels k, the last fastest. r and s go through tile.down and
// tile.across, which leave out the taps that read padding at all positions of the tile (conv_cut.h).
//
//     producer     stage empty? ask for (r, s, k = 0) | empty? (r, s, 64) | ... | empty? (r, s + 1, 0) | ...
//     consumer c   stage full? 4 wgmmas of 16 channels each: its 64 rows x all columns | give the stage of
//                  the step before back | full? ...
//
// Three consumers issue two wgmmas of 128 columns instead of one of 256. Bias, mask and the way to memory are
// conv_tiles.h's; conv_plan.cu chooses the tile.
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
