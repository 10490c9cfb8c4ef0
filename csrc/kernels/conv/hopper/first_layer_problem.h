// The first layer on Hopper's matrix units: y [K, P, Q, N] from x [C, H, W, N] with few channels, and w
// [C, R, S, K], bfloat16, sums in float32. Read common/hopper/pipeline.h first, for who waits for whom.
//
// With three channels a step of 64 products has no natural place: one tap has three. But the whole sum of an
// output is short, 3 * 11 * 11 = 363 products in AlexNet, and what 64 images need at one position is one box
// of x: 64 images x S columns x R rows x C channels. A single copy brings it, as rows of 64 images (128
// bytes) in the order (channel, row, column), which is the order of w's rows. So this is a matrix product
// whose K is one step:
//
//     y [64 images, filters]  =  patch^T [64 images, 363]  *  w [363, filters]
//
// The images are the rows of the result here. Zero padding is the copy engine's: coordinates outside x give
// zeros.
//
// Mapping. A tile is (64 images, position, all filters of the launch); blocks take tiles in the order of
// positions, so that blocks at work read overlapping parts of x. The two consumers take tiles in turns. Tile
// t of a block:
//
//     producer       waits until stage t % 3 has been given back; one copy of the patch
//     consumer t % 2 waits for the patch; 23 wgmmas of 64 x 96 x 16; gives the stage back; adds bias, ReLU;
//                    half of the filters to its staging, store; waits until that is read; the other half
//     the other      does the same for tiles t - 1 and t + 1: it multiplies while this one writes
//
// Shared memory, 96 filters and 363 products, 222 KB:
//
//     weights      6 blocks of 64 products: row = filter, its 64 products           6 * 96 * 128 B = 72 KB
//                  (Major::k; the kernel transposes w once, when it starts)
//     3 stages     368 rows of 64 images (Major::mn): rows 0 to 362 are the patch,       3 * 46 KB = 138 KB
//                  the other five are zeros, written once, which no copy touches
//     staging      for each consumer 48 filters x 64 images                          2 * 48 * 128 B = 12 KB
//     bias         one float for each filter
//
// The kernel reads the bias once, when it starts, and adds it to the sums as they leave the registers. No
// taps are skipped: a patch is one copy, padding included.
//
// How a tile is chosen: the smallest of 64, 96 and 128 filters that holds all, since a tile reads the patch
// whatever it does with it; more than 128 filters are several launches. 128 leave room for two stages. Other
// numbers of products than AlexNet's (353 to 368) have stages of 384 rows, and 64 or 128 filters.
//
// What limits it: the copies. A patch is 46 KB for 1104 clocks of wgmma, and each multiprocessor gets about
// 35 bytes a clock when all of them ask (8 TB/s): 1360 clocks. Of those bytes memory itself reads few, since
// neighbouring patches share most of theirs.

#pragma once

#include "kernels/common/hopper/epilogue.h"
#include "kernels/common/hopper/pipeline.h"
#include "kernels/common/pack.h"
#include "simt/hopper.h"

namespace alexnet {

constexpr int kFirstLayerImages = 64;     // of a tile
constexpr int kFirstLayerProducts = 384;  // at most: C * R * S

struct FirstLayerArguments {
  simt::TensorMap x;  // images, columns, rows, channels; the box is a patch
  simt::TensorMap y;  // images, positions, filters; the box is half of a tile
  const simt::bf16* w;
  const float* b;
  int K, first_filter;
  int products;  // C * R * S
  int P, Q, image_blocks;
  int stride_h, stride_w, pad_top, pad_left;
  bool relu;
};

struct FirstLayerTile {
  int image;     // the first of 64
  int p, q;      // position
  int position;  // p * Q + q
};

// kSteps: wgmmas of 16 products, or 0: as many as the products need, counted by a loop. With a constant
// number ptxas knows which registers the wgmmas of a tile work on; across the turns of a loop it puts a fence
// in front of each.
template <int kFilters, int kStages_, int kSteps>
class FirstLayerProblem : public PipelineProblem {
 public:
  static constexpr int kStages = kStages_;
  static constexpr int kConsumers = 2;
  static constexpr bool kInTurns = true;
  static constexpr int kTiles = 1;
  static constexpr int kSums = kFilters / 2;
  static constexpr int kHalf = kFilters / 2;                                    // filters of one store
  static constexpr int kRows = kSteps > 0 ? 16 * kSteps : kFirstLayerProducts;  // of a stage

  using Arguments = FirstLayerArguments;
  using Tile = FirstLayerTile;
  using Sums = float[kTiles][kSums];
  struct alignas(1024) Stage {
    simt::bf16 patch[kRows][kFirstLayerImages];
  };
  struct Shared {
    alignas(1024) simt::bf16 weights[kFirstLayerProducts / 64][kFilters][64];
    alignas(1024) simt::bf16 staging[kConsumers][kHalf][kFirstLayerImages];
    float bias[kFilters];
  };

  __device__ __forceinline__ explicit FirstLayerProblem(const Arguments& arguments) : f_(arguments) {}

  __device__ __forceinline__ void prepare(Stage (&stages)[kStages], Shared& shared) {
    weights_ = &shared.weights[0][0][0];
    fill_weights(shared);
    for (int f = threadIdx.x; f < kFilters; f += kThreads) {
      const bool has = f_.b != nullptr && f_.first_filter + f < f_.K;
      shared.bias[f] = has ? f_.b[f_.first_filter + f] : 0.0f;
    }
    const int spare = kFirstLayerImages * (16 * steps_of_16() - f_.products);
    SIMT_UNROLL
    for (int stage = 0; stage < kStages; ++stage) {
      simt::bf16* rows = &stages[stage].patch[f_.products][0];
      for (int i = threadIdx.x; i < spare; i += kThreads) rows[i] = simt::to_bf16(0.0f);
    }
  }

  __device__ __forceinline__ int tiles() const { return f_.P * f_.Q * f_.image_blocks; }
  __device__ __forceinline__ int steps(const Tile&) const { return 1; }
  __device__ __forceinline__ int bytes() const {
    return f_.products * kFirstLayerImages * int{sizeof(simt::bf16)};
  }

  __device__ __forceinline__ Tile tile(int index) const {
    const int positions = f_.P * f_.Q;
    const int position = index % positions;
    return {index / positions * kFirstLayerImages, position / f_.Q, position % f_.Q, position};
  }

  __device__ __forceinline__ void load(const Tile& tile, int, Stage& stage, simt::Mbarrier& full) const {
    simt::tma_load(&stage.patch[0][0], f_.x, full,
                   {tile.image, tile.q * f_.stride_w - f_.pad_left, tile.p * f_.stride_h - f_.pad_top, 0});
  }

  __device__ __forceinline__ void multiply(const Stage& stage, int, Sums& sums, bool) const {
    const int steps = steps_of_16();
    SIMT_UNROLL
    for (int step = 0; step < steps; ++step) {
      const std::uint64_t a = simt::wgmma_descriptor(&stage.patch[16 * step][0], sizeof(Stage), 1024);
      const simt::bf16* weights = weights_ + step / 4 * (kFilters * 64) + step % 4 * 16;
      const std::uint64_t b = simt::wgmma_descriptor(weights, 0, 1024);
      simt::wgmma<simt::Major::mn, simt::Major::k>(sums[0], a, b, step > 0);
    }
  }

  __device__ __forceinline__ void finish(const Tile& tile, int consumer, Sums& sums, Shared& shared) const {
    const bool stores = threadIdx.x % kWarpgroup == 0;
    SIMT_UNROLL
    for (int half = 0; half < 2; ++half) {
      if (stores) simt::tma_store_wait_read<0>();
      warpgroup_sync(consumer);
      stage_half(half, sums[0], shared.staging[consumer], shared.bias);
      simt::fence_proxy_async();
      warpgroup_sync(consumer);
      const int filter = f_.first_filter + half * kHalf;
      if (stores && filter < f_.K) {
        simt::tma_store(f_.y, shared.staging[consumer], {tile.image, tile.position, filter});
        simt::tma_store_commit();
      }
    }
  }

 private:
  static constexpr int kThreads = (kConsumers + 1) * kWarpgroup;

  // Rows of the patch that are multiplied, in sixteens.
  __device__ __forceinline__ int steps_of_16() const { return kSteps > 0 ? kSteps : (f_.products + 15) / 16; }

  // Transposes the launch's filters into Major::k. A thread has one filter and brings eight of its products
  // at a time: neighbours read neighbouring filters, and write 16 bytes each to different banks.
  __device__ __forceinline__ void fill_weights(Shared& shared) const {
    static_assert(kThreads % kFilters == 0);
    const int f = static_cast<int>(threadIdx.x) % kFilters;
    const bool exists = f_.first_filter + f < f_.K;
    const simt::bf16* w = f_.w + f_.first_filter + f;
    SIMT_UNROLL
    for (int first = 0; first < kFirstLayerProducts / 8; first += kThreads / kFilters) {
      const int piece = first + static_cast<int>(threadIdx.x) / kFilters;
      Pack<simt::bf16, 8> products;
      SIMT_UNROLL
      for (int i = 0; i < 8; ++i) {
        const int k = 8 * piece + i;
        products.at[i] = exists && k < f_.products ? w[std::int64_t(k) * f_.K] : simt::to_bf16(0.0f);
      }
      const int place = piece % 8 ^ f % 8;  // the swizzle of 128 bytes
      *reinterpret_cast<Pack<simt::bf16, 8>*>(&shared.weights[piece / 8][f][place * 8]) = products;
    }
  }

  // One half of the filters to staging [filter][image]. A thread's sums are 2 images x pairs of filters, so
  // stmatrix transposes: of each four 8 x 8 matrices, two are the warp's 16 images, two are 16 filters.
  __device__ __forceinline__ void stage_half(int half, const float (&sums)[kSums],
                                             simt::bf16 (&staging)[kHalf][kFirstLayerImages],
                                             const float (&bias)[kFilters]) const {
    const int lane = threadIdx.x % 32;
    const int warp = threadIdx.x % kWarpgroup / 32;
    SIMT_UNROLL
    for (int filters = 0; filters < kHalf; filters += 16) {
      std::uint32_t packed[4];
      SIMT_UNROLL
      for (int matrix = 0; matrix < 4; ++matrix) {
        const int column = half * kHalf + filters + matrix / 2 * 8;
        const float2 b = *reinterpret_cast<const float2*>(&bias[column + lane % 4 * 2]);
        const int at = column / 2 + matrix % 2 * 2;
        packed[matrix] = pack_bf16(last(sums[at] + b.x), last(sums[at + 1] + b.y));
      }
      const int row = filters + lane / 16 * 8 + lane % 8;
      const int piece = (2 * warp + lane / 8 % 2) ^ (row % 8);
      simt::stmatrix_x4<true>(&staging[row][piece * 8], packed);
    }
  }

  __device__ __forceinline__ float last(float value) const {
    return f_.relu && value <= 0.0f ? 0.0f : value;  // a comparison, so that NaN goes through
  }

  const Arguments& f_;
  const simt::bf16* weights_ = nullptr;
};

}  // namespace alexnet
