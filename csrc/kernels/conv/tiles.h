// The tile sizes of all three passes, and how one is chosen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/conv/conv.h"
#include "kernels/gemm/tile.h"

namespace alexnet {

// A tile is kRows filters (or channels) x 128 lanes, 8 x 8 sums a thread, 2 * kRows threads. Images across
// lanes, filters across registers: cuda-convnet's way, since the image index is the fastest.
template <int kRows, int kBlocks>
using ConvTile = Tile<kRows / 32, 2, 8, 8, kBlocks>;

constexpr int kLanes = 128;

// Which sizes there are, and why: 128 where the number of filters is a multiple of it (2012's conv2, conv3
// and conv5); 96 for conv1's 96 and conv4's 192 a group; 64 for 48 channels a group (conv2's dgrad) and for
// small nets; 32 for the rest. Blocks at once: 2 of 128 rows fill a multiprocessor's 65536 registers with 128
// a thread. The smaller tiles need more for each thread, since fewer threads load the same lanes, and so have
// 384 threads at once, not 512.
using Conv128 = ConvTile<128, 2>;
using Conv96 = ConvTile<96, 2>;
using Conv64 = ConvTile<64, 3>;
using Conv32 = ConvTile<32, 6>;
constexpr int kConvRows[] = {128, 96, 64, 32};

// bfloat16 has one size, which wastes little of any number of filters: its fast products are those of tensor
// cores, and these kernels take the shapes and GPUs that have none.
constexpr int kConvRowsOfBf16 = 64;
constexpr bool has_tile(int rows, std::size_t element_size) {
  return element_size == sizeof(float) || rows == kConvRowsOfBf16;
}

// A kernel's instance for tiles of `rows` rows: instance_of.operator()<T>() of their T.
template <class Element, int kMostRows = 128, class InstanceOf>
auto instance_for([[maybe_unused]] int rows, const InstanceOf& instance_of) {
  if constexpr (std::is_same_v<Element, float>) {
    if constexpr (kMostRows == 128) {
      if (rows == 128) return instance_of.template operator()<Conv128>();
    }
    if (rows == 96) return instance_of.template operator()<Conv96>();
    if (rows == 32) return instance_of.template operator()<Conv32>();
  }
  return instance_of.template operator()<Conv64>();
}

// The largest GPU these kernels know (H100, H200). A constant and not the device's own number, so that
// neither the workspace's size nor the bits change with it.
constexpr int kMultiprocessors = 132;

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Cycles of one tile for one product of each sum. A multiprocessor does 128 multiply-adds a cycle, a row of
// the tile, and gets about 4 floats a cycle from the L2 cache (3.6 TB/s in all on an H100), which has 128 +
// rows to deliver. Loads overlap with multiplying; that half of their time remains is an estimate, which
// keeps small tiles to where large ones would leave multiprocessors idle.
inline double tile_cost(int rows) { return rows + (128 + rows) / 8.0; }

// How many tiles the multiprocessor with the most of them does, one after another. The 0.3 on top: the first
// loads and the last stores have nothing to hide behind, and a tile that is alone waits at its barriers (an
// estimate).
inline double tiles_in_turn(std::int64_t tiles) {
  return static_cast<double>(ceil_div(tiles, kMultiprocessors)) + 0.3;
}

// The size of at most `most` rows that is done first. `tiles_of(rows)` says how many tiles there are.
template <class Count>
int choose_tile_rows(std::size_t element_size, Count tiles_of, int most = 128) {
  int best = 0;
  double best_cost = 0;
  for (const int rows : kConvRows) {
    if (rows > most || !has_tile(rows, element_size)) continue;
    const double cost = tiles_in_turn(tiles_of(rows)) * tile_cost(rows);
    if (best == 0 || cost < best_cost) {
      best = rows;
      best_cost = cost;
    }
  }
  return best;
}

}  // namespace alexnet
