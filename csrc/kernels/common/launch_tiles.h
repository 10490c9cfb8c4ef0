// Grids and blocks of map_tiles.h: the launch, and how a kernel's thread finds its place.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/common/check.h"
#include "kernels/common/map_tiles.h"
#include "simt/simt.h"

namespace alexnet {

struct MapPlace {
  int c, row, col;
  int pack;  // of images
};

// Where this thread works; false: beyond the map's edge or the batch's end.
__device__ __forceinline__ bool locate(const MapTiles& tiles, MapPlace& place) {
  std::uint32_t piece = blockIdx.x;
  std::uint32_t col_tile = tiles.batch_pieces.split(piece);
  std::uint32_t row_tile = tiles.col_tiles.split(col_tile);
  place.c = static_cast<int>(tiles.row_tiles.split(row_tile));
  std::uint32_t col = threadIdx.y;
  const std::uint32_t row = tiles.tile_cols.split(col);
  place.pack = static_cast<int>(piece) * tiles.threads_x + static_cast<int>(threadIdx.x);
  place.col = static_cast<int>(col_tile) * tiles.tile_cols.divisor() + static_cast<int>(col);
  place.row = static_cast<int>(row_tile) * tiles.tile_rows + static_cast<int>(row);
  return place.pack < tiles.packs && place.col < tiles.cols && place.row < tiles.rows;
}

// Launches `kernel(arguments..., tiles)`.
template <class Kernel, class... Arguments>
void launch_tiles(const std::string& name, Kernel kernel, const MapTiles& tiles, simt::stream_t stream,
                  Arguments... arguments) {
  require(tiles.blocks < std::int64_t{1} << 31,
          name + ": " + std::to_string(tiles.blocks) + " blocks, more than a grid holds");
  simt::launch(kernel, dim3(static_cast<unsigned>(tiles.blocks)),
               dim3(tiles.threads_x, tiles.tile_rows * tiles.tile_cols.divisor()), 0, stream, arguments...,
               tiles);
}

}  // namespace alexnet
