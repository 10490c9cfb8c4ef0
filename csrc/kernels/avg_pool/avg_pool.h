// Pooling by mean, forward and backward, float32.
#pragma once

#include <string>

#include "kernels/common/map_tiles.h"
#include "kernels/common/windows.h"
#include "simt/simt.h"

namespace alexnet {

// `width` images at a time.
struct AvgPoolConfig {
  int width;
  MapTiles tiles;
};

// `aligned`: pointers are multiples of 16 bytes.
AvgPoolConfig choose_avg_pool(const Windows& windows, bool aligned);
AvgPoolConfig choose_avg_pool_backward(const Windows& windows, bool aligned);
std::string to_string(const AvgPoolConfig& config);

// y = mean of each window's pixels. x is [C, H, W, N], y [C, P, Q, N]. They must not overlap.
void avg_pool_forward(const float* x, float* y, const Windows& windows, simt::stream_t stream);

// dx = sum over the windows that hold a pixel of dy / pixels in that window.
void avg_pool_backward(const float* dy, float* dx, const Windows& windows, simt::stream_t stream);

}  // namespace alexnet
