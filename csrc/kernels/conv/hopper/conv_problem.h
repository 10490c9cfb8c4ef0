// The kernel under conv_fprop.cu and conv_dgrad.cu: a convolution as a matrix product for each tap, for
// pipeline.h, which says who calls what. Read conv_fprop.cu first: it has the pictures.
#pragma once

#include "kernels/common/hopper/epilogue.h"
#include "kernels/common/hopper/pipeline.h"
#include "kernels/conv/hopper/conv_cut.h"

namespace alexnet {

constexpr int kMostGroups = 2;

// Of one group: the copy engine then clips at the group's edge.
struct ConvMaps {
  simt::TensorMap pixels;   // boxes of 64 images x kDepth channels x positions, and all blocks of images or
                            // one
  simt::TensorMap weights;  // forward, boxes of 64 filters x 1 tap x kDepth channels; backward, of 64 filters
                            // x 1 tap x kRows channels
  simt::TensorMap result;   // boxes of 64 images x 64 filters (channels)
  simt::TensorMap mask;     // the same, of relu_y; valid if `masked`
};

struct ConvHopperArguments {
  ConvMaps maps[kMostGroups];
  ConvCut cut;
  const float* bias;  // of all groups, or null
  int rows;           // of a group's result: filters, backward channels
  int depth;          // of a group's sum: channels, backward filters
  bool relu;
  bool masked;
  bool all_blocks;  // N is a multiple of 64, and one box takes all images of a tile
};

// kConsumers x 64 rows; kColumns 128 or 256; kStaged: blocks of 64 columns that a consumer's staging holds.
template <bool kBackward, int kConsumers_, int kColumns_, int kDepth_, int kStages_, int kStaged>
class ConvProblem : public PipelineProblem {
 public:
  static constexpr int kConsumers = kConsumers_;
  static constexpr int kStages = kStages_;
  static constexpr int kRows = 64 * kConsumers;
  static constexpr int kColumns = kColumns_;
  static constexpr int kDepth = kDepth_;
  static constexpr int kBlocks = kColumns / 64;
  // With three consumers a thread's share of registers is too small for a wgmma of 256 columns.
  static constexpr int kTiles = kConsumers == 3 && kColumns == 256 ? 2 : 1;
  static constexpr int kSums = kColumns / kTiles / 2;
  static constexpr int kBytes = (kRows + kColumns) * kDepth * static_cast<int>(sizeof(simt::bf16));
  static_assert(kDepth % 16 == 0 && (!kBackward || kDepth == 64) && kBlocks % kStaged == 0);

  using Arguments = ConvHopperArguments;
  struct alignas(1024) Stage {
    simt::bf16 weights[kRows * kDepth];    // forward [row / 64][channel][64 rows], backward [row][filter]
    simt::bf16 pixels[kColumns * kDepth];  // [block of images][position][channel or filter][64 images]
  };
  struct Shared {
    StagedBlock staged[kConsumers][kStaged];
    simt::Mbarrier mask[kConsumers];
  };
  struct Tile {
    int group, row, image;
    TilePlace place;  // column: of the result, not of tiles
    TapRange down, across;
    int r, s, k;  // the walk: the next step's tap and first channel
  };

  __device__ __forceinline__ explicit ConvProblem(const Arguments& arguments) : g_(arguments) {}

  template <class Stages>
  __device__ __forceinline__ void prepare(Stages&, Shared& shared) const {
    if (threadIdx.x != 0) return;
    for (int consumer = 0; consumer < kConsumers; ++consumer) simt::mbarrier_init(shared.mask[consumer], 1);
    simt::fence_mbarrier_init();
  }

  __device__ __forceinline__ int tiles() const { return g_.cut.tiles(); }

  __device__ __forceinline__ Tile tile(int index) const {
    const ConvCut& cut = g_.cut;
    const int image_tile = index / cut.tiles_of_images();
    index -= image_tile * cut.tiles_of_images();
    const int place = index / (cut.row_tiles * cut.groups);
    index -= place * (cut.row_tiles * cut.groups);

    Tile tile;
    tile.group = index / cut.row_tiles;
    tile.row = (index - tile.group * cut.row_tiles) * kRows;
    tile.image = image_tile * (kColumns >> cut.position_bits);
    tile.place = cut.place(image_tile, place);
    tile.down = cut.rows_of(tile.place);
    tile.across = cut.columns_of(tile.place);
    tile.place.column <<= cut.position_bits;
    tile.r = tile.down.begin;
    tile.s = tile.across.begin;
    tile.k = 0;
    return tile;
  }

  __device__ __forceinline__ int steps(const Tile& tile) const {
    return tile.down.count() * tile.across.count() * ((g_.depth + kDepth - 1) / kDepth);
  }

  __device__ __forceinline__ void load(Tile& tile, int, Stage& stage, simt::Mbarrier& full) const {
    const ConvMaps& maps = g_.maps[tile.group];
    load_weights(maps, tile, stage, full);
    load_pixels(maps, tile, stage, full);
    tile.k += kDepth;
    if (tile.k < g_.depth) return;
    tile.k = 0;
    if (++tile.s < tile.across.end) return;
    tile.s = tile.across.begin;
    ++tile.r;
  }

  __device__ __forceinline__ void begin(const Tile& tile, int consumer, Shared& shared) const {
    if (masked() && is_first_thread()) load_mask(tile, consumer, 0, shared);
  }

  __device__ __forceinline__ void multiply(const Stage& stage, int consumer, float (&sums)[kTiles][kSums],
                                           bool first) const {
    constexpr simt::Major kMajorA = kBackward ? simt::Major::k : simt::Major::mn;
    constexpr int kNextA = kBackward ? 16 : 16 * 64;  // elements to the next 16 of the sum
    constexpr int kLeading = kDepth * 64 * static_cast<int>(sizeof(simt::bf16));
    SIMT_UNROLL
    for (int k16 = 0; k16 < kDepth / 16; ++k16) {
      const auto* a = stage.weights + consumer * 64 * kDepth + k16 * kNextA;
      SIMT_UNROLL
      for (int tile = 0; tile < kTiles; ++tile) {
        const auto* b = stage.pixels + tile * (kColumns / kTiles) * kDepth + k16 * 16 * 64;
        simt::wgmma<kMajorA, simt::Major::mn>(sums[tile], simt::wgmma_descriptor(a, kLeading, 1024),
                                              simt::wgmma_descriptor(b, kLeading, 1024),
                                              !(first && k16 == 0));
      }
    }
  }

  __device__ __forceinline__ void finish(const Tile& tile, int consumer, float (&sums)[kTiles][kSums],
                                         Shared& shared) {
    auto& staged = shared.staged[consumer];
    const BiasRelu value = bias_of(tile, consumer);
    SIMT_UNROLL
    for (int first = 0; first < kBlocks; first += kStaged) {
      if (masked()) {
        simt::mbarrier_wait(shared.mask[consumer], mask_parity_);
        mask_parity_ ^= 1;
      } else {
        if (is_first_thread()) simt::tma_store_wait_read<0>();
        warpgroup_sync(consumer);
      }
      SIMT_UNROLL
      for (int i = 0; i < kStaged; ++i) {
        const auto& half = sums[(first + i) * kTiles / kBlocks];
        const int column = (first + i) * 64 % (2 * kSums);
        if (masked()) {
          write_masked_block(staged[i], half, column);
        } else {
          write_block(staged[i], half, column, value);
        }
      }
      simt::fence_proxy_async();
      warpgroup_sync(consumer);
      if (is_first_thread()) {
        store(tile, consumer, first, staged);
        if (masked() && first + kStaged < kBlocks) load_mask(tile, consumer, first + kStaged, shared);
      }
    }
  }

 private:
  __device__ __forceinline__ bool masked() const { return kBackward && g_.masked; }
  __device__ __forceinline__ static bool is_first_thread() { return threadIdx.x % kWarpgroup == 0; }

  __device__ __forceinline__ void load_weights(const ConvMaps& maps, const Tile& tile, Stage& stage,
                                               simt::Mbarrier& full) const {
    const int tap = tile.r * g_.cut.across.taps + tile.s;
    if constexpr (kBackward) {
      simt::tma_load(stage.weights, maps.weights, full, {tile.k, tap, tile.row});
    } else {
      SIMT_UNROLL
      for (int i = 0; i < kConsumers; ++i) {
        simt::tma_load(stage.weights + i * 64 * kDepth, maps.weights, full, {tile.row + 64 * i, tap, tile.k});
      }
    }
  }

  __device__ __forceinline__ void load_pixels(const ConvMaps& maps, const Tile& tile, Stage& stage,
                                              simt::Mbarrier& full) const {
    const int row = g_.cut.down.pixel(tile.place.row, tile.r);
    const int column = g_.cut.across.pixel(tile.place.column, tile.s);
    if (g_.all_blocks) {
      simt::tma_load(stage.pixels, maps.pixels, full, {0, tile.k, column, tile.image / 64, row});
      return;
    }
    const int positions = g_.cut.positions();
    for (int block = 0, image = tile.image; block < kBlocks; block += positions, image += 64) {
      simt::tma_load(stage.pixels + block * 64 * kDepth, maps.pixels, full, {image, tile.k, column, row});
    }
  }

  // Where a block of 64 columns of the tile lies in the result: the order of Stage::pixels.
  struct BlockPlace {
    int image, row, column;
  };
  __device__ __forceinline__ BlockPlace place_of(const Tile& tile, int block) const {
    const int bits = g_.cut.position_bits;
    return {tile.image + (block >> bits) * 64, tile.place.row,
            tile.place.column + (block & ((1 << bits) - 1))};
  }

  __device__ __forceinline__ void store(const Tile& tile, int consumer, int first,
                                        const StagedBlock (&staged)[kStaged]) const {
    for (int i = 0; i < kStaged; ++i) {
      const BlockPlace at = place_of(tile, first + i);
      simt::tma_store(g_.maps[tile.group].result, &staged[i],
                      {at.image, tile.row + 64 * consumer, at.column, at.row});
    }
    simt::tma_store_commit();
  }

  // By one thread, into the blocks where the results will be written, once the stores before have read them.
  __device__ __forceinline__ void load_mask(const Tile& tile, int consumer, int first, Shared& shared) const {
    simt::Mbarrier& full = shared.mask[consumer];
    simt::tma_store_wait_read<0>();
    simt::mbarrier_arrive_expect_tx(full, sizeof(shared.staged[consumer]));
    for (int i = 0; i < kStaged; ++i) {
      const BlockPlace at = place_of(tile, first + i);
      simt::tma_load(&shared.staged[consumer][i], g_.maps[tile.group].mask, full,
                     {at.image, tile.row + 64 * consumer, at.column, at.row});
    }
  }

  __device__ __forceinline__ BiasRelu bias_of(const Tile& tile, int consumer) const {
    const int thread = threadIdx.x % kWarpgroup;
    BiasRelu result{{0.0f, 0.0f}, !kBackward && g_.relu};
    const bool has_bias = !kBackward && g_.bias != nullptr;
    SIMT_UNROLL
    for (int i = 0; i < 2; ++i) {
      const int row = tile.row + 64 * consumer + thread / 32 * 16 + 8 * i + thread % 32 / 4;
      if (has_bias && row < g_.rows) result.bias[i] = g_.bias[tile.group * g_.rows + row];
    }
    return result;
  }

  const Arguments& g_;
  std::uint32_t mask_parity_ = 0;
};

}  // namespace alexnet
