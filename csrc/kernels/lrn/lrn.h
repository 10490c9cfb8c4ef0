// Local response normalisation across channels, forward and backward, float32 and bfloat16.
// The story is in lrn.cu.
#pragma once

#include <cstdint>
#include <string>

#include "simt/simt.h"

namespace alexnet {

// x is [C, H, W, N]; windows stay inside one of `groups` equal groups of channels.
struct LrnShape {
  int C;
  std::int64_t positions;  // H * W * N
  int groups;
};

struct LrnConstants {
  int size;
  float alpha;
  float beta;
  float k;
};

// A thread walks `segment` channels of `width` neighbouring positions. ring: the kernel that keeps a window
// of 5 channels in registers; otherwise the one for any size.
struct LrnConfig {
  bool ring;
  int width;
  int segment;
  int segments;  // of all groups
  int threads;
  std::int64_t blocks;
};

// `aligned`: every pointer is a multiple of 4 elements.
LrnConfig choose_lrn(const LrnShape& shape, const LrnConstants& constants, bool aligned);
std::string to_string(const LrnConfig& config);

// y = x / scale^beta, scale = k + alpha * sum of x^2 over `size` channels from c - size / 2 on. x and y must
// not overlap.
template <class T>
void lrn_forward(const T* x, T* y, const LrnShape& shape, const LrnConstants& constants,
                 simt::stream_t stream);

// dx of the above from x and dy; the scale is computed again. dx must overlap neither.
template <class T>
void lrn_backward(const T* x, const T* dy, T* dx, const LrnShape& shape, const LrnConstants& constants,
                  simt::stream_t stream);

}  // namespace alexnet
