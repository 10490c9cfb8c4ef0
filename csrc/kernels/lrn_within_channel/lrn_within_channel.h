// Local response normalisation within each channel's map, forward and backward, float32 and bfloat16.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/lrn/lrn.h"
#include "simt/simt.h"

namespace alexnet {

// Of an activation [C, H, W, N].
struct MapShape {
  int C, H, W, N;
};

// walk: threads walk down columns with their windows in registers (sizes 3, 5, 7 and 9); otherwise each
// computes one pixel. A block has threads_x images and threads_y columns, `columns` of which it writes; the
// others only help.
struct LrnWithinConfig {
  bool walk;
  int threads_x;
  int threads_y;
  int columns;
  int column_tiles;
  int batch_pieces;
  std::int64_t blocks;
};

LrnWithinConfig choose_lrn_within_channel(const MapShape& shape, int size);
LrnWithinConfig choose_lrn_within_channel_backward(const MapShape& shape, int size);
std::string to_string(const LrnWithinConfig& config);

// y = x / scale^beta, scale = k + alpha * sum of x^2 over size x size pixels from (h - size / 2, w - size /
// 2) on. x and y must not overlap.
template <class T>
void lrn_within_channel_forward(const T* x, T* y, const MapShape& shape, const LrnConstants& constants,
                                simt::stream_t stream);

// dx of the above from x and dy; the scale is computed again. dx must overlap neither.
template <class T>
void lrn_within_channel_backward(const T* x, const T* dy, T* dx, const MapShape& shape,
                                 const LrnConstants& constants, simt::stream_t stream);

}  // namespace alexnet
