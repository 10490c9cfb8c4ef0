// How a product is cut into tiles and parts of K, and whether it can be: host code alone.

#include <algorithm>

#include "kernels/common/check.h"
#include "kernels/common/memo.h"
#include "kernels/gemm/hopper/gemm_hopper.h"

namespace alexnet {
namespace {

// The largest Hopper GPU (H100, H200). A constant and not the device's own number, so that neither the
// workspace's size nor the bits change with it.
constexpr int kMultiprocessors = 132;

// A model of the time in clocks, to rank the few ways to cut a product; estimates, of which only the first is
// the hardware's own number. A multiprocessor does 2048 multiply-adds a clock; from the level-2 cache it
// takes in at most 40 bytes a clock, all of them together 4550 (8 TB/s).
constexpr std::int64_t kProductsPerClock = 2048;
constexpr std::int64_t kBytesPerClock = 40;
constexpr std::int64_t kBytesPerClockOfAll = 4550;
constexpr std::int64_t kClocksOfTile = 1000;        // 0.6 us before the first product and after the last
constexpr std::int64_t kClocksOfSecondPass = 4000;  // 2 us: the launch of sum_partials
constexpr int kMostSplits = 32;

// The level-2 cache has 50 MB: larger partial matrices would be written to memory and read back.
constexpr std::size_t kMostWorkspace = 32 << 20;

// The tiles, and why there are two. 128 x 256 reads 48 KB for 1024 clocks of products, 128 x 128 reads 32 KB
// for 512: the wide one is never worse where there are columns enough. A fully connected layer with 128
// images has no more than 128.
struct TileChoice {
  int columns;
  int raster_rows;  // 132 tiles at work are about a square of c: rows of tiles * 128 = columns * this
};
constexpr TileChoice kTiles[] = {{256, 16}, {128, 12}};

template <class T>
constexpr T ceil_div(T a, T b) {
  return (a + b - 1) / b;
}

int steps_of(const GemmShape& shape) { return ceil_div(shape.K, kGemmHopperDepth); }

std::int64_t units_of(const GemmShape& shape, int tile_columns, int splits) {
  return std::int64_t(ceil_div(shape.M, kGemmHopperRows)) * ceil_div(shape.N, tile_columns) * splits;
}

std::int64_t clocks(const GemmShape& shape, const GemmHopperConfig& config) {
  const std::int64_t units = units_of(shape, config.tile_columns, config.splits);
  const std::int64_t products = std::int64_t(kGemmHopperRows) * config.tile_columns * kGemmHopperDepth;
  const std::int64_t bytes = std::int64_t(kGemmHopperRows + config.tile_columns) * kGemmHopperDepth * 2;
  const std::int64_t step = std::max(
      {products / kProductsPerClock, bytes / kBytesPerClock, bytes * config.blocks / kBytesPerClockOfAll});
  const std::int64_t rounds = ceil_div(units, std::int64_t(config.blocks));
  std::int64_t total = rounds * (config.split_steps * step + kClocksOfTile);
  if (config.splits > 1) {
    const std::int64_t moved = 8 * std::int64_t(config.splits) * shape.M * shape.N;  // written, then read
    total += kClocksOfSecondPass + moved / kBytesPerClockOfAll;
  }
  return total;
}

// The fastest cut by the model.
GemmHopperConfig choose(const GemmShape& shape) {
  GemmHopperConfig best{};
  std::int64_t fewest = 0;
  for (const TileChoice& tile : kTiles) {
    for (int splits = 1; splits <= std::min(kMostSplits, steps_of(shape)); ++splits) {
      const GemmHopperConfig config = cut_gemm_hopper(shape, tile.columns, splits, kMultiprocessors);
      if (gemm_hopper_workspace_bytes(shape, config) > kMostWorkspace) break;
      const std::int64_t time = clocks(shape, config);
      if (best.blocks == 0 || time < fewest) {
        best = config;
        fewest = time;
      }
    }
  }
  return best;
}

bool rows_fit(std::int64_t length, const simt::bf16* array) {
  return length % 8 == 0 && is_aligned(array, 16);
}

bool operands_fit(const GemmShape& shape, const simt::bf16* a, const simt::bf16* b) {
  return rows_fit(shape.trans_a ? shape.M : shape.K, a) && rows_fit(shape.trans_b ? shape.K : shape.N, b);
}

}  // namespace

GemmHopperConfig cut_gemm_hopper(const GemmShape& shape, int tile_columns, int splits, int blocks) {
  require(shape.M >= 1 && shape.N >= 1 && shape.K >= 1, "gemm: M, N and K must be at least 1");
  const auto tile = std::find_if(std::begin(kTiles), std::end(kTiles),
                                 [&](const TileChoice& t) { return t.columns == tile_columns; });
  require(tile != std::end(kTiles), "gemm_hopper: tiles have 128 or 256 columns");
  require(splits >= 1 && blocks >= 1, "gemm_hopper: splits and blocks must be at least 1");
  GemmHopperConfig config{};
  config.tile_columns = tile_columns;
  config.split_steps = ceil_div(steps_of(shape), splits);
  config.splits = ceil_div(steps_of(shape), config.split_steps);
  config.raster_rows = tile->raster_rows;
  const std::int64_t units = units_of(shape, tile_columns, config.splits);
  require(units < std::int64_t{1} << 31, "gemm_hopper: too many tiles");
  config.blocks = static_cast<int>(std::min<std::int64_t>(units, blocks));
  return config;
}

GemmHopperConfig choose_gemm_hopper(const GemmShape& shape) {
  thread_local Memo<GemmShape, GemmHopperConfig> chosen;
  return chosen.of(shape, [&] { return choose(shape); });
}

std::string to_string(const GemmHopperConfig& config) {
  const std::string split =
      config.splits == 1 ? std::string("K whole") : "K in " + std::to_string(config.splits) + " parts";
  return "tiles of " + std::to_string(kGemmHopperRows) + "x" + std::to_string(config.tile_columns) + ", " +
         split + " of " + std::to_string(config.split_steps) + " steps, " + std::to_string(config.blocks) +
         " blocks";
}

bool gemm_hopper_fits(const GemmShape& shape, const simt::bf16* a, const simt::bf16* b, const simt::bf16* c) {
  return operands_fit(shape, a, b) && rows_fit(shape.N, c);
}

bool gemm_hopper_fits(const GemmShape& shape, const simt::bf16* a, const simt::bf16* b, const float* c) {
  return operands_fit(shape, a, b) && shape.N % 2 == 0 && is_aligned(c, 8);
}

std::size_t gemm_hopper_workspace_bytes(const GemmShape& shape, const GemmHopperConfig& config) {
  return config.splits == 1 ? 0 : sizeof(float) * config.splits * std::size_t(shape.M) * shape.N;
}

}  // namespace alexnet
