// Pooling by maximum, forward and backward, float32.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/common/map_tiles.h"
#include "kernels/common/windows.h"
#include "simt/simt.h"

namespace alexnet {

// `width` images at a time; unrolled: the kernel for 3 x 3 windows (backward: for strides of 2 and windows up
// to 4 x 4).
struct MaxPoolConfig {
  int width;
  bool unrolled;
  MapTiles tiles;
};

// `aligned`: float pointers are multiples of 16 bytes, and the positions' of 4.
MaxPoolConfig choose_max_pool(const Windows& windows, bool aligned);
MaxPoolConfig choose_max_pool_backward(const Windows& windows, bool aligned);
std::string to_string(const MaxPoolConfig& config);

// y = maximum of each window; arg = r * S + s of the first one, or of the first NaN, which wins over every
// number. x is [C, H, W, N], y and arg [C, P, Q, N]; arg may be null. They must not overlap. The form with 8
// bits takes windows of at most 256 positions, the other of at most 65536.
void max_pool_forward(const float* x, float* y, std::uint8_t* arg, const Windows& windows,
                      simt::stream_t stream);
void max_pool_forward(const float* x, float* y, std::uint16_t* arg, const Windows& windows,
                      simt::stream_t stream);

// dx = sum of dy over the windows whose arg is this pixel; nothing is added twice or by two threads.
void max_pool_backward(const float* dy, const std::uint8_t* arg, float* dx, const Windows& windows,
                       simt::stream_t stream);
void max_pool_backward(const float* dy, const std::uint16_t* arg, float* dx, const Windows& windows,
                       simt::stream_t stream);

}  // namespace alexnet
