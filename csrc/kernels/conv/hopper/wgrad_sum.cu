// The second half of a filter gradient: adds the pieces of each tile in the order of their blocks, whoever
// came first, and writes dw, or updates the filters with it at once (8 bytes a weight less than dw written
// and read again).
//
// A piece lies in the workspace as the consumers' registers held it (hopper.h): one float4 for each thread of
// a warpgroup and each 8 columns of the tile, so that whole warps wrote 512 bytes at a time. The float4s of a
// warp are a patch of 16 rows x 8 columns:
//
//     lane 4 * g + q   {row g, column 2q}  {row g, 2q + 1}  {row g + 8, 2q}  {row g + 8, 2q + 1}
//
//     a tile of 192 x 256: 3 x 64 rows, for each 32 x 8 columns, for each 4 warps' patches
//
// Mapping: a block is one patch of one tile. Warp i adds pieces i, i + 8, ...: of 132 pieces (conv1, one tile
// for all blocks) 8 x 512 bytes are under way together. Then thread i < 128 adds the eight warps' sums of one
// weight, and writes it. Where filters are the patch's rows, half a warp takes the 16 rows of a column, which
// are neighbours in dw; where they are columns, 8 lanes take a row.
//
// Shared memory and who waits for whom: 4 KB, and one __syncthreads() between writing and reading it.
//
//     sums[warp 0]   | float4 of lane 0 | lane 1 | ... | lane 31 |    its pieces' sums of the patch's weights
//      ...
//     sums[warp 7]
//
//     warp i         piece i + piece i + 8 + ... | write sums[i] | all written? | thread: sums[0..7] of one
//                                                                                 weight, to dw
//
// Behind the sums of a tile, a piece may hold those of dy: four for each filter, one float4. 32 filters are
// one more patch, of which thread i adds the eight warps' sums of part i % 4 of filter i / 4, and every
// fourth thread adds the parts.
//
// What limits it: reading the pieces, 17 MB where 132 blocks have 128 x 256 sums each. They were written just
// before, and most of them are still in the L2 cache.

#include "kernels/common/check.h"
#include "kernels/conv/hopper/wgrad_plan.h"
#include "kernels/sgd/update.h"

namespace alexnet {
namespace {

constexpr int kWarps = 8;
constexpr int kPatchRows = 16;
constexpr int kPatchColumns = 8;
constexpr int kPatch = kPatchRows * kPatchColumns;
constexpr int kPatchFilters = kPatch / 4;  // of db

__device__ __forceinline__ float4 plus(const float4& a, const float4& b) {
  return {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w};
}

// Every warp's part of the sum of a tile's pieces, patch by patch.
__device__ __forceinline__ float4 add_pieces(const float* pieces, const WgradPlan& plan,
                                             const WgradTile& tile, int patch) {
  const Deal deal(tile, plan.block_steps);
  const int warp = threadIdx.x / 32;
  const std::int64_t size = plan.piece_size() / 4;
  const auto* first = reinterpret_cast<const float4*>(pieces) + (deal.first + tile.index) * size +
                      patch * 32 + threadIdx.x % 32;
  float4 sum{};
  for (int piece = warp; piece <= deal.last - deal.first; piece += kWarps) {
    sum = plus(sum, first[piece * size]);
  }
  return sum;
}

// Writes a gradient where `to` is not null, and updates what it is the gradient of.
__device__ __forceinline__ void write(float* to, const SgdUpdate& update, std::int64_t place,
                                      float gradient) {
  if (to != nullptr) to[place] = gradient;
  if (update.w != nullptr && is_update_on(update.state)) {
    sgd_update_at(update, place, gradient, sgd_factors(update.rates, update.state));
  }
}

// Unless the tile sticks out of dw there.
__device__ __forceinline__ void write_weight(const WgradPlan& plan, const WgradTile& tile, int filter,
                                             int input, float gradient, const ConvWgradResult& result) {
  const ConvWgradHopperConfig& config = plan.config;
  const ConvShape& shape = plan.shape;
  const int tap = input / config.box_channels;
  const int channel = tile.channel + input % config.box_channels;
  const int r = tile.r + tap / config.box_columns;
  const int s = tile.s + tap % config.box_columns;
  if (input < plan.box_size() && channel < plan.channels() && r < shape.R && s < shape.S &&
      tile.filter + filter < plan.filters()) {
    const int row = (channel * shape.R + r) * shape.S + s;
    const int column = tile.group * plan.filters() + tile.filter + filter;
    write(result.dw, result.filters, std::int64_t(row) * shape.K + column, gradient);
  }
}

// Grid: patches of a tile, and those of its db; tiles. Block: kWarps warps. Owns the patch's weights in dw,
// or filters in db.
__global__ void __launch_bounds__(kWarps * 32)
    sum_pieces_kernel(const float* pieces, const __grid_constant__ WgradPlan plan, ConvWgradResult result) {
  SIMT_SHARED(sums, float4[kWarps][32]);
  const WgradTile tile = plan.tile(blockIdx.y);
  const int patch = blockIdx.x;
  const int thread = threadIdx.x;
  const bool is_db = patch * kPatch >= plan.sums_of_tile();
  if (is_db && !plan.gives_db(tile)) return;
  sums[thread / 32][thread % 32] = add_pieces(pieces, plan, tile, patch);
  __syncthreads();
  if (thread >= kPatch) return;

  const bool filters_are_rows = plan.config.filters_are_rows;
  const int row = filters_are_rows ? thread % kPatchRows : thread / kPatchColumns;
  const int column = filters_are_rows ? thread / kPatchRows : thread % kPatchColumns;
  const int place = is_db ? thread : (row % 8 * 4 + column / 2) * 4 + row / 8 * 2 + column % 2;
  const float* values = &sums[0][0].x + place;
  float total = values[0];
  for (int warp = 1; warp < kWarps; ++warp) total += values[warp * kPatch];

  if (is_db) {
    total += __shfl_xor_sync(0xffffffffu, total, 1);
    total += __shfl_xor_sync(0xffffffffu, total, 2);
    const int filter = tile.filter + patch * kPatchFilters - plan.sums_of_tile() / 4 + thread / 4;
    if (thread % 4 == 0 && filter < plan.filters()) {
      write(result.db, result.bias, tile.group * plan.filters() + filter, total);
    }
    return;
  }
  const int columns = filters_are_rows ? plan.config.tile_inputs : plan.config.tile_filters;
  const int of_64_rows = patch / 4;  // every four patches are 64 rows x 8 columns
  const int tile_row = of_64_rows / (columns / kPatchColumns) * 64 + patch % 4 * kPatchRows + row;
  const int tile_column = of_64_rows % (columns / kPatchColumns) * kPatchColumns + column;
  write_weight(plan, tile, filters_are_rows ? tile_row : tile_column,
               filters_are_rows ? tile_column : tile_row, total, result);
}

}  // namespace

void sum_pieces(const float* pieces, const WgradPlan& plan, const ConvWgradResult& result,
                simt::stream_t stream) {
  const bool with_db = result.db != nullptr || result.bias.w != nullptr;
  const int patches = (with_db ? plan.piece_size() : plan.sums_of_tile()) / kPatch;
  const dim3 grid(patches, plan.config.tiles);
  simt::launch(sum_pieces_kernel, grid, dim3(kWarps * 32), 0, stream, pieces, plan, result);
}

}  // namespace alexnet
