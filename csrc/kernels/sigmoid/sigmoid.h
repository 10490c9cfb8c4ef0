// The logistic function, forward and backward, float32 and bfloat16.
#pragma once

#include <cstdint>

#include "simt/simt.h"

namespace alexnet {

// y[i] = 1 / (1 + exp(-x[i])) for 0 <= i < count. y may be x; otherwise they must not overlap.
template <class T>
void sigmoid_forward(const T* x, T* y, std::int64_t count, simt::stream_t stream);

// dx[i] = dy[i] * y[i] * (1 - y[i]), where y is what sigmoid_forward wrote. dx may be dy or y; else no
// overlap.
template <class T>
void sigmoid_backward(const T* dy, const T* y, T* dx, std::int64_t count, simt::stream_t stream);

}  // namespace alexnet
