// The lanes of a tile: which outputs 128 neighbouring columns of a tile stand for, and how their pixels get
// into shared memory. Used forward, where outputs are y's and pixels x's, and backward, where outputs are
// dx's and pixels dy's. (Elsewhere in CUDA a lane is a thread's place in its warp; here it is a column of the
// tile, of which a thread has four.)
//
// Outputs of one filter lie in memory as [row, column, image], and lanes are 128 neighbours of that list:
//
//     N = 128, one position:    | (p, q): n = 0 ... 127                                               |
//     N = 32, four positions:   | (p, q): 0 ... 31 | (p, q+1): 0 ... 31 | (p, q+2): ... | (p, q+3): ... |
//
// So a small batch wastes no lanes, and a large one sits at a fixed position: a tap that reads padding there
// reads it for all lanes, and is skipped. Where lanes differ, a tap that any of them needs is walked and the
// others read zeros.
#pragma once

#include <cstdint>

#include "kernels/conv/tiles.h"
#include "kernels/conv/walk.h"

namespace alexnet {

// Lanes cover rows x columns x images. The window of a lane in row i begins at pixel row i * row_step +
// row_offset.
struct LaneGrid {
  int rows, columns, images;
  int row_step, row_offset;
  int column_step, column_offset;

  __host__ __device__ int count() const { return rows * columns * images; }
};

// Where one lane stands.
struct Lane {
  int row, column, image;
  __device__ __forceinline__ Lane(const LaneGrid& grid, int lane) {
    const int position = lane / grid.images;
    image = lane % grid.images;
    row = position / grid.columns;
    column = position % grid.columns;
  }
};

// The array the windows lie on: `channels` planes of height x width x images.
template <class Element>
struct Pixels {
  const Element* data;
  int channels, height, width, images;
};

// The taps of a filter of rows x columns that the tile beginning at lane `first` has a use for.
// Block-uniform.
template <int kDirection, class Element>
__device__ __forceinline__ TapWalk taps_of_tile(const LaneGrid& grid, int first,
                                                const Pixels<Element>& pixels, int rows, int columns) {
  const Lane from(grid, first);
  const Lane to(grid, smaller(first + kLanes, grid.count()) - 1);
  const bool one_row = from.row == to.row;
  const int left = one_row ? from.column : 0;
  const int right = one_row ? to.column : grid.columns - 1;
  return {pixels.channels,
          useful_taps<kDirection>(from.row * grid.row_step + grid.row_offset,
                                  to.row * grid.row_step + grid.row_offset, rows, pixels.height),
          useful_taps<kDirection>(left * grid.column_step + grid.column_offset,
                                  right * grid.column_step + grid.column_offset, columns, pixels.width)};
}

// What one thread holds of each row: a pack of 4 neighbouring lanes, or with kWidth = 1 lanes t, t + 32, t +
// 64, t + 96.
template <int kWidth>
class ThreadLanes {
 public:
  static constexpr int kPieces = 4 / kWidth;

  template <class Element>
  __device__ __forceinline__ ThreadLanes(const LaneGrid& grid, int first, const Pixels<Element>& pixels)
      : height_(pixels.height), width_(pixels.width) {
    SIMT_UNROLL
    for (int piece = 0; piece < kPieces; ++piece) {
      const int index = first + column_of(piece);
      const Lane lane(grid, index);
      const int row = lane.row * grid.row_step + grid.row_offset;
      row_[piece] = index < grid.count() ? row : kNowhere;
      column_[piece] = lane.column * grid.column_step + grid.column_offset;
      offset_[piece] = (row * pixels.width + column_[piece]) * pixels.images + lane.image;
    }
  }

  // The tile's column of a piece.
  __device__ __forceinline__ static int column_of(int piece) {
    const int lane = threadIdx.x % 32;
    return kWidth == 4 ? lane * 4 : lane + 32 * piece;
  }

  // One bit for each piece: whether the pixel `down` rows and `right` columns from the window's first is in
  // the image.
  __device__ __forceinline__ unsigned inside(int down, int right) const {
    unsigned bits = 0;
    SIMT_UNROLL
    for (int piece = 0; piece < kPieces; ++piece) {
      const bool in = static_cast<unsigned>(row_[piece] + down) < static_cast<unsigned>(height_) &&
                      static_cast<unsigned>(column_[piece] + right) < static_cast<unsigned>(width_);
      bits |= unsigned(in) << piece;
    }
    return bits;
  }

  // The pixels whose bit is set, zeros for the others; `at`: what a window that began at the plane's first
  // pixel would read.
  template <class Element>
  __device__ __forceinline__ void read(const Element* at, unsigned bits,
                                       Pack<Element, kWidth> (&packs)[kPieces]) const {
    SIMT_UNROLL
    for (int piece = 0; piece < kPieces; ++piece) {
      packs[piece] = read_or_zero<kWidth>(at + offset_[piece], bits >> piece & 1);
    }
  }

  template <class Element>
  __device__ __forceinline__ static void put(const Pack<Element, kWidth> (&packs)[kPieces], float* row) {
    SIMT_UNROLL
    for (int piece = 0; piece < kPieces; ++piece)
      *reinterpret_cast<Pack<float, kWidth>*>(row + column_of(piece)) = to_floats(packs[piece]);
  }

 private:
  static constexpr int kNowhere = -(1 << 30);  // a row that is outside for every tap

  int height_, width_;
  int row_[kPieces], column_[kPieces], offset_[kPieces];
};

// Loads a step's pixels: tile row k is channel walk.channel + k at the walk's tap. A warp takes whole rows,
// the next one kWarps further down.
template <class T, class Element, int kWidth, int kDirection>
class PixelLoader {
 public:
  __device__ __forceinline__ PixelLoader(const LaneGrid& grid, int first, const Pixels<Element>& pixels)
      : lanes_(grid, first, pixels), pixels_(pixels) {
    plane_ = std::int64_t(pixels.height) * pixels.width * pixels.images;
  }

  // At a new tap: whose pixels are inside, and where they are.
  __device__ __forceinline__ void aim(const TapWalk& walk) {
    const int down = kDirection * walk.row;
    const int right = kDirection * walk.column;
    bits_ = lanes_.inside(down, right);
    at_ = pixels_.data + row_of(0) * plane_ + (down * pixels_.width + right) * pixels_.images;
  }

  __device__ __forceinline__ void fetch(const TapWalk& walk) {
    SIMT_UNROLL
    for (int slot = 0; slot < kSlots; ++slot) {
      const bool valid = exists(slot) && walk.channel + row_of(slot) < walk.channels;
      lanes_.read(at_ + slot * kWarps * plane_, valid ? bits_ : 0, packs_[slot]);
    }
    at_ += kDepth * plane_;
  }

  __device__ __forceinline__ void put(Operand<kLanes>& tile) const {
    SIMT_UNROLL
    for (int slot = 0; slot < kSlots; ++slot) {
      if (exists(slot)) lanes_.put(packs_[slot], tile.at[row_of(slot)]);
    }
  }

 private:
  static constexpr int kWarps = T::kThreads / 32;
  static constexpr int kSlots = (kDepth + kWarps - 1) / kWarps;

  __device__ __forceinline__ static int row_of(int slot) { return int(threadIdx.x) / 32 + slot * kWarps; }
  __device__ __forceinline__ static bool exists(int slot) {
    return kDepth % kWarps == 0 || row_of(slot) < kDepth;
  }

  ThreadLanes<kWidth> lanes_;
  Pixels<Element> pixels_;
  std::int64_t plane_;
  const Element* at_;
  unsigned bits_;
  Pack<Element, kWidth> packs_[kSlots][ThreadLanes<kWidth>::kPieces];
};

// Both operands of a step, at one tap.
template <class Filters, class Images>
struct TapLoader {
  Filters filters;
  Images images;
  TapWalk walk;

  __device__ __forceinline__ TapLoader(const Filters& filters_, const Images& images_, const TapWalk& walk_)
      : filters(filters_), images(images_), walk(walk_) {
    filters.aim(walk);
    images.aim(walk);
  }

  __device__ __forceinline__ void fetch() {
    filters.fetch(walk);
    images.fetch(walk);
    if (walk.advance()) {
      filters.aim(walk);
      images.aim(walk);
    }
  }

  template <class A, class B>
  __device__ __forceinline__ void put(A& a, B& b) const {
    filters.put(a);
    images.put(b);
  }
};

}  // namespace alexnet
