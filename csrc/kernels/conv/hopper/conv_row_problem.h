// Steps of a row of taps: the kernel under conv_fprop.cu and conv_dgrad.cu for layers that would wait for
// bytes.
//
// Neighbouring positions see nearly the same pixels: 4 positions of a 5 x 5 filter see 8 columns, and the
// steps of conv_problem.h fetch 20 for each row of taps. Here one step fetches those 8, with the weights of
// the row's 5 taps, for 16 channels (filters):
//
//     pixels   | x = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 |     blocks of 16 channels x 64 images, 2 KB each
//     tap 0      ===============                         sees blocks 0 to 3, one for each position
//     tap 1              ===============                 sees blocks 1 to 4
//      ...
//     tap 4                          ===============     sees blocks 4 to 7; backward, tap 4 sees 0 to 3
//
// What a tap sees are always 256 columns at equal distances, as one wgmma wants them: the same instruction
// with another start. Taps are left out by the row only: across, four positions together need all of them.
//
// A stage. Forward, the weights are as in conv_problem.h, 16 channels of each tap; backward rows are shorter:
//
//     weights, forward    for each 64 rows: tap 0: channel 0 [64 filters] ... channel 15, tap 1, ... tap 4
//     weights, backward   tap 0: row 0 [16 filters] ... all rows, tap 1, ... tap 4; 32 bytes a row, swizzled
//                         within these
//     pixels              x = 0: channel 0 [64 images] ... channel 15, x = 1, ... x = 7; and the same for the
//                         second part of the images where there are two image consumers
//
//     128 x 256    weights 5 taps x 128 rows x 16   20 KB    pixels 8 blocks of 2 KB    16 KB
//      64 x 512    weights 5 taps x  64 rows x 16   10 KB    pixels 2 x 8 blocks        32 KB
//
// Who waits for whom: as everywhere (pipeline.h), with the walk over tap rows r in tile.down and channels k:
//
//     producer     stage empty? ask for row r's weights and pixels, k = 0 | empty? k = 16 | ... | row r + 1
//     consumer     stage full? 5 wgmmas, tap by tap: its 64 rows x its 256 columns | give the stage of the
//                  step before back | full? ...
//
// Bias, mask and the way to memory are conv_tiles.h's; conv_plan.cu takes these steps where the filter has
// five columns, the stride is 1, and they are cheaper.
//
// Bytes for 1280 cycles of products, when some 43 KB arrive: with 128 rows, 60 KB in steps of one tap and 36
// KB here; with 64 rows 100 KB, and here, where two parts of the images share the weights, 42 KB.
#pragma once

#include "kernels/conv/hopper/conv_tiles.h"

namespace alexnet {

// Stride 1, filters with kTaps columns. 64 * kRowConsumers rows, 256 * kImageConsumers columns.
template <bool kBackward_, int kRowConsumers, int kImageConsumers, int kTaps_, int kStages_, int kStaged>
class ConvRowProblem : public ConvTiles<kBackward_, kRowConsumers, kImageConsumers, 256, kStaged> {
  using Tiles = ConvTiles<kBackward_, kRowConsumers, kImageConsumers, 256, kStaged>;

 public:
  static constexpr bool kBackward = kBackward_;
  static constexpr int kStages = kStages_;
  static constexpr int kDepth = 16;  // one wgmma for each tap: the smallest step, so the ring has more stages
  static constexpr int kAllColumns = 256 * kImageConsumers;
  static constexpr int kTaps = kTaps_;
  static constexpr int kPositions = 4;
  static constexpr int kSeen = kPositions + kTaps - 1;
  static constexpr int kBytes =
      (kTaps * Tiles::kRows + kImageConsumers * kSeen * 64) * kDepth * static_cast<int>(sizeof(simt::bf16));

  using typename Tiles::Tile;
  // weights: forward [row / 64][tap][channel][64 rows], backward [tap][row][filter] in rows of 32 bytes.
  struct alignas(1024) Stage {
    simt::bf16 weights[kTaps * Tiles::kRows * kDepth];
    simt::bf16 pixels[kImageConsumers][kSeen][kDepth * 64];  // [channel or filter][64 images]
  };

  using Tiles::Tiles;

  __device__ __forceinline__ int steps(const Tile& tile) const {
    return tile.down.count() * ((g_.depth + kDepth - 1) / kDepth);
  }

  __device__ __forceinline__ void load(Tile& tile, int, Stage& stage, simt::Mbarrier& full) const {
    load_weights(tile, stage, full);
    const int row = g_.cut.down.pixel(tile.place.row, tile.r);
    const int column = g_.cut.across.pixel(tile.place.column, kBackward ? kTaps - 1 : 0);
    SIMT_UNROLL
    for (int part = 0; part < kImageConsumers; ++part) {
      simt::tma_load(stage.pixels[part], g_.maps[tile.group].pixels, full,
                     {tile.image + 64 * part, tile.k, column, row});
    }
    tile.k += kDepth;
    if (tile.k < g_.depth) return;
    tile.k = 0;
    ++tile.r;
  }

  __device__ __forceinline__ void multiply(const Stage& stage, int consumer, float (&sums)[1][Tiles::kSums],
                                           bool first) const {
    constexpr simt::Major kMajorA = kBackward ? simt::Major::k : simt::Major::mn;
    constexpr simt::Swizzle kSwizzleA = kBackward ? simt::Swizzle::bytes_32 : simt::Swizzle::bytes_128;
    constexpr int kStrideA = kBackward ? 8 * 32 : 1024;
    constexpr int kLeading = kDepth * 64 * static_cast<int>(sizeof(simt::bf16));
    const auto& pixels = stage.pixels[consumer / kRowConsumers];
    SIMT_UNROLL
    for (int tap = 0; tap < kTaps; ++tap) {
      const int part = consumer % kRowConsumers;
      const auto* a =
          stage.weights + (kBackward ? tap * kRowConsumers + part : part * kTaps + tap) * 64 * kDepth;
      const auto* b = pixels[kBackward ? kTaps - 1 - tap : tap];
      simt::wgmma<kMajorA, simt::Major::mn>(sums[0], simt::wgmma_descriptor(a, kLeading, kStrideA, kSwizzleA),
                                            simt::wgmma_descriptor(b, kLeading, 1024), !(first && tap == 0));
    }
  }

 private:
  using Tiles::g_;

  __device__ __forceinline__ void load_weights(const Tile& tile, Stage& stage, simt::Mbarrier& full) const {
    const simt::TensorMap& map = g_.maps[tile.group].weights;
    const int tap = tile.r * kTaps;
    if constexpr (kBackward) {
      simt::tma_load(stage.weights, map, full, {tile.k, tile.row, tap});
    } else {
      SIMT_UNROLL
      for (int i = 0; i < kRowConsumers; ++i) {
        simt::tma_load(stage.weights + i * kTaps * 64 * kDepth, map, full, {tile.row + 64 * i, tile.k, tap});
      }
    }
  }
};

}  // namespace alexnet
