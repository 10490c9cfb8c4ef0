// ReLU, forward and backward, float32 and bfloat16. The kernels and the story are in relu.cu.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "simt/simt.h"

namespace alexnet {

// How a launch cuts its elements: `blocks` blocks of `threads` threads, each moving `width` elements at
// a time.
struct ReluConfig {
  int width;
  int threads;
  int blocks;
};

// element_size: in bytes; `aligned`: every pointer of the call is a multiple of 16 bytes. count >= 1.
ReluConfig choose_relu(std::int64_t count, std::size_t element_size, bool aligned);
std::string to_string(const ReluConfig& config);

// T is float or simt::bf16 here and in all launchers.

// y[i] = x[i] <= 0 ? 0 : x[i] for 0 <= i < count. y may be x; otherwise they must not overlap.
template <class T>
void relu_forward(const T* x, T* y, std::int64_t count, simt::stream_t stream);

// dx[i] = y[i] <= 0 ? 0 : dy[i], where y is what relu_forward wrote. dx may be dy or y; otherwise no overlap.
template <class T>
void relu_backward(const T* dy, const T* y, T* dx, std::int64_t count, simt::stream_t stream);

}  // namespace alexnet
