// How the result of a convolution is cut into tiles, and in which order they are done. The host asks the same
// questions to estimate what a cut costs.
#pragma once

#include "simt/simt.h"

namespace alexnet {

struct TapRange {
  int begin, end;
  __host__ __device__ int count() const { return end - begin; }
};

// One axis of the windows. The result's element i sees pixel i * step + offset + direction * tap of an axis
// of `pixels`, 0 <= tap < taps: forward, direction is 1, step the stride and offset -pad; backward (stride
// 1), direction is -1, step 1 and offset pad.
struct WindowAxis {
  int results, pixels, taps;
  int step, offset, direction;

  __host__ __device__ int pixel(int result, int tap) const {
    return result * step + offset + direction * tap;
  }

  // The taps with which any of the results first to last reads inside. A tap that reads padding for all of
  // them adds nothing and is skipped; where they differ, the copy engine delivers zeros.
  __host__ __device__ TapRange useful(int first, int last) const {
    const int low = first * step + offset;
    const int high = last * step + offset;
    const int begin = direction > 0 ? -high : low - pixels + 1;
    const int end = direction > 0 ? pixels - low : high + 1;
    return {begin > 0 ? begin : 0, end < taps ? end : taps};
  }
};

struct TilePlace {
  int row, column;
};

// The order of `rows` x `columns` places: those of the inside first, where no tap is skipped, then the sides,
// then the corners; each part row by row. Long tiles first, so that the short ones fill up the end.
struct InsideFirst {
  int rows, columns;
  int row_begin, row_end;  // the inside
  int column_begin, column_end;

  __host__ __device__ TilePlace at(int rank) const {
    const int inner_rows = row_end - row_begin;
    const int inner_columns = column_end - column_begin;
    const int outer_rows = rows - inner_rows;
    const int outer_columns = columns - inner_columns;
    if (rank < inner_rows * inner_columns) {
      return {row_begin + rank / inner_columns, column_begin + rank % inner_columns};
    }
    rank -= inner_rows * inner_columns;
    if (rank < outer_rows * inner_columns) {
      return {outer_row(rank / inner_columns), column_begin + rank % inner_columns};
    }
    rank -= outer_rows * inner_columns;
    if (rank < inner_rows * outer_columns) {
      return {row_begin + rank / outer_columns, outer_column(rank % outer_columns)};
    }
    rank -= inner_rows * outer_columns;
    return {outer_row(rank / outer_columns), outer_column(rank % outer_columns)};
  }

 private:
  __host__ __device__ int outer_row(int i) const { return i < row_begin ? i : i + row_end - row_begin; }
  __host__ __device__ int outer_column(int i) const {
    return i < column_begin ? i : i + column_end - column_begin;
  }
};

// The cut. Tiles are numbered with the part of the filters (channels) fastest, then the group, the place, and
// the block of images last: what runs at the same time reads the same pixels and their neighbours from the L2
// cache. The last images go by InsideFirst, the others row by row.
struct ConvCut {
  WindowAxis down, across;
  InsideFirst places;  // of tiles: rows of the result x groups of `positions` neighbours
  int position_bits;   // a tile has 1 << position_bits of them
  int row_tiles, groups, image_tiles;

  __host__ __device__ int positions() const { return 1 << position_bits; }
  __host__ __device__ int tiles_of_images() const {
    return row_tiles * groups * places.rows * places.columns;
  }
  __host__ __device__ int tiles() const { return tiles_of_images() * image_tiles; }

  // The place of tile number `index`, group and part of the filters aside, of a block of images.
  __host__ __device__ TilePlace place(int image_tile, int index) const {
    if (image_tile == image_tiles - 1) return places.at(index);
    return {index / places.columns, index % places.columns};
  }

  // The taps of the tile at a place, down and across.
  __host__ __device__ TapRange rows_of(const TilePlace& place) const {
    return down.useful(place.row, place.row);
  }
  __host__ __device__ TapRange columns_of(const TilePlace& place) const {
    const int first = place.column * positions();
    const int last = first + positions() < across.results ? first + positions() : across.results;
    return across.useful(first, last - 1);
  }
};

}  // namespace alexnet
