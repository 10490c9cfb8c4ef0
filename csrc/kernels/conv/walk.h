// Counting through sums of convolutions, and which part of them is worth counting.
#pragma once

#include "kernels/gemm/tile.h"
#include "simt/simt.h"

namespace alexnet {

struct Range {
  int begin, end;
  __host__ __device__ int count() const { return end - begin; }
};

__device__ __forceinline__ int larger(int a, int b) { return a > b ? a : b; }
__device__ __forceinline__ int smaller(int a, int b) { return a < b ? a : b; }

// Never negative in length.
__device__ __forceinline__ Range range(int begin, int end) { return {begin, larger(begin, end)}; }

// An odometer: `inner` turns fastest, then `column`, then `row`. A sum over taps and channels is walked with
// the channel inside (rows and columns being the filter's), a sum over positions and images with the image
// inside. Past the end, row is at least the end of the rows.
struct Walk {
  int inner, column, row;

  __device__ __forceinline__ Walk() {}

  // The index-th element of rows x columns x inner_size.
  __device__ __forceinline__ Walk(int index, Range rows, Range columns, int inner_size) {
    const int pixel = index / inner_size;
    inner = index % inner_size;
    column = columns.begin + pixel % larger(columns.count(), 1);
    row = rows.begin + pixel / larger(columns.count(), 1);
  }

  // Returns whether column or row changed: most steps only turn the inner wheel.
  __device__ __forceinline__ bool advance(int by, Range columns, int inner_size) {
    inner += by;
    if (inner < inner_size) return false;
    do {  // seldom more than once, so faster than a division
      inner -= inner_size;
      if (++column == columns.end) {
        column = columns.begin;
        ++row;
      }
    } while (inner >= inner_size);
    return true;
  }
};

// The order of a sum over taps and channels: kDepth channels of a tap, the next ones, ..., the next tap. The
// same for the whole block: row k of a step's tile is channel + k, so most steps only add to an address.
struct TapWalk {
  int channels;
  Range rows, columns;
  int channel, row, column;

  __device__ __forceinline__ TapWalk(int channels_, Range rows_, Range columns_)
      : channels(channels_),
        rows(rows_),
        columns(columns_),
        channel(0),
        row(rows_.begin),
        column(columns_.begin) {}

  __device__ __forceinline__ int steps() const {
    return rows.count() * columns.count() * ((channels + kDepth - 1) / kDepth);
  }

  // Returns whether the tap is a new one.
  __device__ __forceinline__ bool advance() {
    channel += kDepth;
    if (channel < channels) return false;
    channel = 0;
    if (++column == columns.end) {
      column = columns.begin;
      ++row;
    }
    return true;
  }
};

// The taps t of `taps` for which some lane reads inside the image, when lanes read pixel first + kDirection *
// t and the lanes' `first` run from low to high.
template <int kDirection>
__device__ __forceinline__ Range useful_taps(int low, int high, int taps, int size) {
  if (kDirection > 0) return range(larger(0, -high), smaller(taps, size - low));
  return range(larger(0, low - size + 1), smaller(taps, high + 1));
}

}  // namespace alexnet
