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

#include "kernels/common/check.h"
#include "simt/simt.h"

namespace alexnet {

struct MapPlace {
  int c, row, col;
  int pack;  // of images
};

struct MapTiles {
  int rows, cols;
  int packs;  // in a row of N images
  int threads_x;
  int tile_rows, tile_cols;
  int row_tiles, col_tiles, batch_pieces;
  std::int64_t blocks;

  // Where this thread works; false: beyond the map's edge or the batch's end.
  __device__ bool locate(MapPlace& place) const {
    unsigned block = blockIdx.x;
    place.pack = static_cast<int>(block % batch_pieces * threads_x + threadIdx.x);
    block /= batch_pieces;
    place.col = static_cast<int>(block % col_tiles * tile_cols + threadIdx.y % tile_cols);
    block /= col_tiles;
    place.row = static_cast<int>(block % row_tiles * tile_rows + threadIdx.y / tile_cols);
    place.c = static_cast<int>(block / row_tiles);
    return place.pack < packs && place.col < cols && place.row < rows;
  }
};

// At most `threads` threads in a block. C, rows, cols, packs >= 1.
inline MapTiles choose_map_tiles(int C, int rows, int cols, int packs, int threads) {
  MapTiles tiles{};
  tiles.rows = rows;
  tiles.cols = cols;
  tiles.packs = packs;
  tiles.threads_x = 1;
  while (tiles.threads_x < 32 && tiles.threads_x < packs) tiles.threads_x *= 2;
  tiles.tile_rows = tiles.tile_cols = 1;
  while (tiles.threads_x * tiles.tile_rows * tiles.tile_cols < threads) {
    const bool wider =
        tiles.tile_cols < cols && (tiles.tile_cols <= tiles.tile_rows || tiles.tile_rows >= rows);
    if (!wider && tiles.tile_rows >= rows) break;
    (wider ? tiles.tile_cols : tiles.tile_rows) *= 2;
  }
  const auto pieces = [](int total, int piece) { return (total - 1) / piece + 1; };
  tiles.row_tiles = pieces(rows, tiles.tile_rows);
  tiles.col_tiles = pieces(cols, tiles.tile_cols);
  tiles.batch_pieces = pieces(packs, tiles.threads_x);
  tiles.blocks = std::int64_t{C} * tiles.row_tiles * tiles.col_tiles * tiles.batch_pieces;
  return tiles;
}

inline std::string to_string(const MapTiles& tiles) {
  return std::to_string(tiles.blocks) + " blocks of " + std::to_string(tiles.threads_x) + " x " +
         std::to_string(tiles.tile_rows * tiles.tile_cols) + " threads, " + std::to_string(tiles.tile_rows) +
         " x " + std::to_string(tiles.tile_cols) + " positions";
}

// Launches `kernel(arguments..., tiles)`.
template <class Kernel, class... Arguments>
void launch_tiles(const std::string& name, Kernel kernel, const MapTiles& tiles, simt::stream_t stream,
                  Arguments... arguments) {
  require(tiles.blocks < std::int64_t{1} << 31,
          name + ": " + std::to_string(tiles.blocks) + " blocks, more than a grid holds");
  simt::launch(kernel, dim3(static_cast<unsigned>(tiles.blocks)),
               dim3(tiles.threads_x, tiles.tile_rows * tiles.tile_cols), 0, stream, arguments..., tiles);
}

}  // namespace alexnet
