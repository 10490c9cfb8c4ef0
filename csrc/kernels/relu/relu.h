// ReLU, forward and backward, float32. The kernels and the story are in relu.cu.
#pragma once

#include <cstdint>
#include <string>

#include "simt/simt.h"

namespace alexnet {

// How a launch cuts its elements: `blocks` blocks of `threads` threads, each moving `width` floats at a time.
struct ReluConfig {
  int width;
  int threads;
  int blocks;
};

// `aligned`: every pointer of the call is a multiple of 16 bytes. count >= 1.
ReluConfig choose_relu(std::int64_t count, bool aligned);
std::string to_string(const ReluConfig& config);

// y[i] = x[i] <= 0 ? 0 : x[i] for 0 <= i < count. y may be x; otherwise they must not overlap.
void relu_forward(const float* x, float* y, std::int64_t count, simt::stream_t stream);

// dx[i] = y[i] <= 0 ? 0 : dy[i], where y is what relu_forward wrote. dx may be dy or y; otherwise no overlap.
void relu_backward(const float* dy, const float* y, float* dx, std::int64_t count, simt::stream_t stream);

}  // namespace alexnet
