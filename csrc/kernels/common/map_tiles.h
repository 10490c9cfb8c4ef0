// How blocks cover an activation [C, rows, cols, N] when each thread computes one position of one map for one
// pack of images.
//
//     thread.x    images: a warp reads and writes neighbouring addresses
//     thread.y    the positions of a tile of tile_rows x tile_cols, row by row
//     block.x     pieces of the batch (fastest), tiles along a row, tiles along a column, channels
//
// A block's positions form a square patch because neighbouring windows overlap: what one warp has read, the
// others find in the multiprocessor's first-level cache. 3 x 3 windows two apart, read by 4 x 4 warps, come
// to 81 pixels instead of 144.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/common/divider.h"
#include "simt/simt.h"

namespace alexnet {

struct MapTiles {
  int rows, cols;
  int packs;  // in a row of N images
  int threads_x;
  int tile_rows;
  Divider tile_cols;
  Divider row_tiles, col_tiles, batch_pieces;
  std::int64_t blocks;  // less than 2^31, launch_tiles checks
};

// At most `threads` threads in a block. C, rows, cols, packs >= 1.
inline MapTiles choose_map_tiles(int C, int rows, int cols, int packs, int threads) {
  MapTiles tiles{};
  tiles.rows = rows;
  tiles.cols = cols;
  tiles.packs = packs;
  tiles.threads_x = 1;
  while (tiles.threads_x < 32 && tiles.threads_x < packs) tiles.threads_x *= 2;
  int tile_cols = 1;
  tiles.tile_rows = 1;
  while (tiles.threads_x * tiles.tile_rows * tile_cols < threads) {
    const bool wider = tile_cols < cols && (tile_cols <= tiles.tile_rows || tiles.tile_rows >= rows);
    if (!wider && tiles.tile_rows >= rows) break;
    (wider ? tile_cols : tiles.tile_rows) *= 2;
  }
  const auto pieces = [](int total, int piece) { return Divider((total - 1) / piece + 1); };
  tiles.tile_cols = Divider(tile_cols);
  tiles.row_tiles = pieces(rows, tiles.tile_rows);
  tiles.col_tiles = pieces(cols, tile_cols);
  tiles.batch_pieces = pieces(packs, tiles.threads_x);
  tiles.blocks =
      std::int64_t{C} * tiles.row_tiles.divisor() * tiles.col_tiles.divisor() * tiles.batch_pieces.divisor();
  return tiles;
}

inline std::string to_string(const MapTiles& tiles) {
  return std::to_string(tiles.blocks) + " blocks of " + std::to_string(tiles.threads_x) + " x " +
         std::to_string(tiles.tile_rows * tiles.tile_cols.divisor()) + " threads, " +
         std::to_string(tiles.tile_rows) + " x " + std::to_string(tiles.tile_cols.divisor()) + " positions";
}

}  // namespace alexnet
