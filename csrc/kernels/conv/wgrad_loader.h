// What conv_wgrad.cu sums: which positions of which images, and how they get into shared memory.
#pragma once

#include <cstdint>

#include "kernels/conv/lanes.h"

namespace alexnet {

constexpr int kColumns = 128;  // (tap, channel) of a tile

template <class Element>
struct WeightArguments {
  const Element* x;
  const Element* dy;
  float* dw;  // or the workspace, a dw for each part
  ConvShape shape;
  int channels, filters;  // of one group
  int filter_tiles;       // of one group
  bool aligned;           // every quad of filters of dw lies at a multiple of 16 bytes
};

// What a column of the tile is. channel is -1 past the last one.
struct Column {
  int channel, r, s, unused;
};

// The outputs along one axis that read inside the image at some tap of `taps`.
__device__ __forceinline__ Range useful_outputs(Range taps, int outputs, int size, int stride, int pad) {
  const int before = pad - (taps.end - 1);  // p * stride >= before
  const int begin = before > 0 ? (before + stride - 1) / stride : 0;
  const int last = size - 1 + pad - taps.begin;  // p * stride <= last
  return range(begin, last < 0 ? 0 : smaller(outputs, last / stride + 1));
}

struct Positions {
  Range rows, columns;
};

__device__ __forceinline__ Positions positions_of_tile(const ConvShape& shape, int channels,
                                                       int first_column) {
  const int first_tap = first_column / channels;
  const int last_tap = smaller((first_column + kColumns - 1) / channels, shape.R * shape.S - 1);
  const Range rows{first_tap / shape.S, last_tap / shape.S + 1};
  const bool one_row = rows.count() == 1;
  const Range columns{one_row ? first_tap % shape.S : 0, one_row ? last_tap % shape.S + 1 : shape.S};
  return {useful_outputs(rows, shape.P, shape.H, shape.stride_h, shape.pad_top),
          useful_outputs(columns, shape.Q, shape.W, shape.stride_w, shape.pad_left)};
}

// Both operands. A thread holds 4 neighbouring images of some rows, or with kWidth = 1 one image of more
// rows.
template <class T, class Element, int kWidth>
class ImageLoader {
 public:
  // Sums products first to end of the tile's list of positions and images.
  __device__ __forceinline__ ImageLoader(const WeightArguments<Element>& g, const Positions& positions,
                                         int first, int end, int first_filter, const Column* columns)
      : g_(g),
        positions_(positions),
        columns_(columns),
        filter_(first_filter + row_of(0)),
        left_(end - first - k()),
        walk_(first + k(), positions.rows, positions.columns, g.shape.N) {
    aim();
  }

  __device__ __forceinline__ void fetch() {
    SIMT_UNROLL
    for (int slot = 0; slot < kFilterSlots; ++slot) {
      const bool valid = left_ > 0 && filter_ + slot * kApart < g_.filters;
      dy_packs_[slot] = read_or_zero<kWidth>(dy_at_ + slot * kApart * output_plane(), valid);
    }
    SIMT_UNROLL
    for (int slot = 0; slot < kColumnSlots; ++slot) {
      x_packs_[slot] = read_or_zero<kWidth>(x_at_[slot], left_ > 0 && (bits_ >> slot & 1));
      x_at_[slot] += kDepth;
    }
    dy_at_ += kDepth;
    left_ -= kDepth;
    if (walk_.advance(kDepth, positions_.columns, g_.shape.N)) aim();
  }

  __device__ __forceinline__ void put(Operand<T::kRows>& a, Operand<kColumns>& b) const {
    SIMT_UNROLL
    for (int slot = 0; slot < kFilterSlots; ++slot) turn(dy_packs_[slot], row_of(slot), a);
    SIMT_UNROLL
    for (int slot = 0; slot < kColumnSlots; ++slot) {
      if (exists(slot)) turn(x_packs_[slot], row_of(slot), b);
    }
  }

 private:
  static constexpr int kThreadsOfRow = kDepth / kWidth;
  static constexpr int kApart = T::kThreads / kThreadsOfRow;  // rows between a thread's slots
  static constexpr int kFilterSlots = T::kRows / kApart;
  static constexpr int kColumnSlots = (kColumns + kApart - 1) / kApart;

  __device__ __forceinline__ static int k() { return threadIdx.x % kThreadsOfRow * kWidth; }
  __device__ __forceinline__ static int row_of(int slot) {
    return threadIdx.x / kThreadsOfRow + slot * kApart;
  }

  __device__ __forceinline__ static bool exists(int slot) {
    return kColumns % kApart == 0 || row_of(slot) < kColumns;
  }

  template <int kRows>
  __device__ __forceinline__ static void turn(const Pack<Element, kWidth>& pack, int row,
                                              Operand<kRows>& tile) {
    SIMT_UNROLL
    for (int i = 0; i < kWidth; ++i) tile.at[k() + i][row] = to_float(pack.at[i]);
  }

  __device__ __forceinline__ std::int64_t output_plane() const {
    return std::int64_t(g_.shape.P * g_.shape.Q) * g_.shape.N;
  }

  // At a new position: where it lies in dy, where each column's pixel lies in x, and whether that is inside.
  __device__ __forceinline__ void aim() {
    const ConvShape& shape = g_.shape;
    const int group = blockIdx.y;
    dy_at_ = g_.dy + (group * g_.filters + filter_) * output_plane() +
             ((walk_.row * shape.Q + walk_.column) * shape.N + walk_.inner);
    const int row = walk_.row * shape.stride_h - shape.pad_top;
    const int column = walk_.column * shape.stride_w - shape.pad_left;
    const std::int64_t plane = std::int64_t(shape.H) * shape.W * shape.N;
    bits_ = 0;
    SIMT_UNROLL
    for (int slot = 0; slot < kColumnSlots; ++slot) {
      const Column tap = columns_[exists(slot) ? row_of(slot) : 0];
      const int h = row + tap.r;
      const int w = column + tap.s;
      const bool inside = exists(slot) && tap.channel >= 0 &&
                          static_cast<unsigned>(h) < static_cast<unsigned>(shape.H) &&
                          static_cast<unsigned>(w) < static_cast<unsigned>(shape.W);
      bits_ |= unsigned(inside) << slot;
      x_at_[slot] =
          g_.x + (group * g_.channels + tap.channel) * plane + ((h * shape.W + w) * shape.N + walk_.inner);
    }
  }

  const WeightArguments<Element>& g_;
  Positions positions_;
  const Column* columns_;
  int filter_;  // the thread's first, within the group
  int left_;    // products from the thread's next one to the end of the part
  Walk walk_;
  const Element* dy_at_;
  const Element* x_at_[kColumnSlots];
  unsigned bits_;
  Pack<Element, kWidth> dy_packs_[kFilterSlots];
  Pack<Element, kWidth> x_packs_[kColumnSlots];
};

}  // namespace alexnet
