// What convolution's Hopper kernels share: their arguments, which tile is where, and the way of sums to
// memory. pipeline.h says who calls what, conv_fprop.cu has the tile, conv_problem.h and conv_row_problem.h
// what a stage holds and the main loop.
//
// Shared memory behind the stages:
//
//     staged[consumer][kStaged]    blocks of 64 rows x 64 columns of the result, 8 KB each (epilogue.h): on
//                                  their way to memory; backward, before that, relu_y at the same place
//     mask[consumer]               a barrier: the bytes of relu_y that the copy engine has brought
//
// The ends of a tile, for a consumer of 4 blocks with staging for 2. Its own 128 threads take part, of which
// the first talks to the copy engine; "read?" waits until the engine has read what was to be stored.
//
//     forward    begin    each thread asks for the bias of its two rows
//                         all steps of the tile: the bias is there long before they are done
//                finish   read? blocks 0, 1: sum + bias, ReLU | written: store | read? blocks 2, 3 | store
//     backward   begin    read? ask for relu_y of blocks 0, 1
//                         all steps of the tile
//                finish   relu_y there? blocks 0, 1: sum, or 0 | written: store | read? ask for relu_y of
//                         blocks 2, 3 | there? blocks 2, 3 | store
//
// Backward without relu_y goes as forward, without bias. The last store of a tile is under way while the next
// tile is multiplied.
#pragma once

#include "kernels/common/hopper/epilogue.h"
#include "kernels/common/hopper/pipeline.h"
#include "kernels/conv/hopper/conv_cut.h"

namespace alexnet {

constexpr int kMostGroups = 2;

// Of one group: the copy engine then clips at the group's edge.
struct ConvMaps {
  simt::TensorMap pixels;  // boxes of 64 images x channels x columns, and all of a tile's images or one block
  simt::TensorMap weights;  // boxes of filters x channels x taps
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

// Consumers: kRowConsumers parts of 64 rows, for each of kImageConsumers parts of the images. A consumer has
// kColumns columns, in blocks of 64: [block of images][position][64 images]. kStaged: blocks of 64 columns
// that its staging holds.
template <bool kBackward, int kRowConsumers, int kImageConsumers, int kColumns, int kStaged>
class ConvTiles : public PipelineProblem {
 public:
  static constexpr int kConsumers = kRowConsumers * kImageConsumers;
  static constexpr int kRows = 64 * kRowConsumers;
  static constexpr int kBlocks = kColumns / 64;
  // With three consumers a thread's share of registers is too small for a wgmma of 256 columns.
  static constexpr int kTiles = kConsumers == 3 && kColumns == 256 ? 2 : 1;
  static constexpr int kSums = kColumns / kTiles / 2;
  static_assert(kBlocks % kStaged == 0);

  using Arguments = ConvHopperArguments;
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

  __device__ __forceinline__ explicit ConvTiles(const Arguments& arguments) : g_(arguments) {}

  template <class Stages>
  __device__ __forceinline__ void prepare(Stages&, Shared& shared) const {
    if (threadIdx.x != 0) return;
    for (int consumer = 0; consumer < kConsumers; ++consumer) simt::mbarrier_init(shared.mask[consumer], 1);
    simt::fence_mbarrier_init();
    for (int group = 0; group < g_.cut.groups; ++group) {
      simt::tma_prefetch(g_.maps[group].pixels);
      simt::tma_prefetch(g_.maps[group].weights);
    }
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
    tile.image = image_tile * (kImageConsumers * kColumns >> cut.position_bits);
    tile.place = cut.place(image_tile, place);
    tile.down = cut.rows_of(tile.place);
    tile.across = cut.columns_of(tile.place);
    tile.place.column <<= cut.position_bits;
    tile.r = tile.down.begin;
    tile.s = tile.across.begin;
    tile.k = 0;
    return tile;
  }

  // Asks for the mask, or reads the bias: both arrive while the steps do.
  __device__ __forceinline__ void begin(const Tile& tile, int consumer, Shared& shared) {
    if (masked() && is_first_thread()) load_mask(tile, consumer, 0, shared);
    if (!kBackward) read_bias(tile, consumer);
  }

  __device__ __forceinline__ void finish(const Tile& tile, int consumer, float (&sums)[kTiles][kSums],
                                         Shared& shared) {
    auto& staged = shared.staged[consumer];
    const BiasRelu value{{bias_[0], bias_[1]}, !kBackward && g_.relu};
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

 protected:
  // The consumer's first row and image within the tile. Only where the images are shared as well does it take
  // divisions, whose results would be registers of the epilogue.
  __device__ __forceinline__ static int row_of(int consumer) {
    return (kImageConsumers == 1 ? consumer : consumer % kRowConsumers) * 64;
  }
  __device__ __forceinline__ int image_of(int consumer) const {
    if (kImageConsumers == 1) return 0;
    return consumer / kRowConsumers * (kColumns >> g_.cut.position_bits);
  }

  const Arguments& g_;

 private:
  __device__ __forceinline__ bool masked() const { return kBackward && g_.masked; }
  __device__ __forceinline__ static bool is_first_thread() { return threadIdx.x % kWarpgroup == 0; }

  // Where a block of 64 x 64 results begins in the array [rows, height, width, images], as its map counts.
  struct At {
    int image, row, column, line;
  };
  __device__ __forceinline__ At place_of(const Tile& tile, int consumer, int block) const {
    const int bits = g_.cut.position_bits;
    return {tile.image + image_of(consumer) + (block >> bits) * 64, tile.row + row_of(consumer),
            tile.place.column + (block & ((1 << bits) - 1)), tile.place.row};
  }

  __device__ __forceinline__ void store(const Tile& tile, int consumer, int first,
                                        const StagedBlock (&staged)[kStaged]) const {
    for (int i = 0; i < kStaged; ++i) {
      const At at = place_of(tile, consumer, first + i);
      simt::tma_store(g_.maps[tile.group].result, &staged[i], {at.image, at.row, at.column, at.line});
    }
    simt::tma_store_commit();
  }

  // By one thread, into the blocks where the results will be written, once the stores before have read them.
  __device__ __forceinline__ void load_mask(const Tile& tile, int consumer, int first, Shared& shared) const {
    simt::Mbarrier& full = shared.mask[consumer];
    simt::tma_store_wait_read<0>();
    simt::mbarrier_arrive_expect_tx(full, sizeof(shared.staged[consumer]));
    for (int i = 0; i < kStaged; ++i) {
      const At at = place_of(tile, consumer, first + i);
      simt::tma_load(&shared.staged[consumer][i], g_.maps[tile.group].mask, full,
                     {at.image, at.row, at.column, at.line});
    }
  }

  __device__ __forceinline__ void read_bias(const Tile& tile, int consumer) {
    const int thread = threadIdx.x % kWarpgroup;
    SIMT_UNROLL
    for (int i = 0; i < 2; ++i) {
      const int row = tile.row + row_of(consumer) + thread / 32 * 16 + 8 * i + thread % 32 / 4;
      const bool has_bias = g_.bias != nullptr && row < g_.rows;
      bias_[i] = has_bias ? g_.bias[tile.group * g_.rows + row] : 0.0f;
    }
  }

  std::uint32_t mask_parity_ = 0;
  float bias_[2] = {};  // of the thread's two rows
};

}  // namespace alexnet
