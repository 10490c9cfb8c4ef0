// Pooling by mean, forward and backward, float32 and bfloat16.
#pragma once

#include <cstddef>
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

// element_size: in bytes; `aligned`: pointers are multiples of 16 bytes.
AvgPoolConfig choose_avg_pool(const Windows& windows, std::size_t element_size, bool aligned);
AvgPoolConfig choose_avg_pool_backward(const Windows& windows, std::size_t element_size, bool aligned);
std::string to_string(const AvgPoolConfig& config);

// y = mean of each window's pixels. x is [C, H, W, N], y [C, P, Q, N]. They must not overlap.
template <class T>
void avg_pool_forward(const T* x, T* y, const Windows& windows, simt::stream_t stream);

// dx = sum over the windows that hold a pixel of dy / pixels in that window.
template <class T>
void avg_pool_backward(const T* dy, T* dx, const Windows& windows, simt::stream_t stream);

}  // namespace alexnet
