// Pooling by maximum, forward and backward, float32 and bfloat16.
#pragma once

#include <cstddef>
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

// element_size: in bytes; `aligned`: its pointers are multiples of 16 bytes, and the positions' of as many as
// there are elements in that.
MaxPoolConfig choose_max_pool(const Windows& windows, std::size_t element_size, bool aligned);
MaxPoolConfig choose_max_pool_backward(const Windows& windows, std::size_t element_size, bool aligned);
std::string to_string(const MaxPoolConfig& config);

// y = maximum of each window; arg = r * S + s of the first one, or of the first NaN, which wins over every
// number. x is [C, H, W, N], y and arg [C, P, Q, N]; arg may be null. They must not overlap. The form with 8
// bits takes windows of at most 256 positions, the other of at most 65536.
template <class T>
void max_pool_forward(const T* x, T* y, std::uint8_t* arg, const Windows& windows, simt::stream_t stream);
template <class T>
void max_pool_forward(const T* x, T* y, std::uint16_t* arg, const Windows& windows, simt::stream_t stream);

// dx = sum of dy over the windows whose arg is this pixel; nothing is added twice or by two threads.
template <class T>
void max_pool_backward(const T* dy, const std::uint8_t* arg, T* dx, const Windows& windows,
                       simt::stream_t stream);
template <class T>
void max_pool_backward(const T* dy, const std::uint16_t* arg, T* dx, const Windows& windows,
                       simt::stream_t stream);

}  // namespace alexnet
