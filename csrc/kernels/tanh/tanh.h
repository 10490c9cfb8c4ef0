// Hyperbolic tangent, forward and backward, float32 and bfloat16.
#pragma once

#include <cstdint>

#include "simt/simt.h"

namespace alexnet {

// y[i] = tanh(x[i]) for 0 <= i < count. y may be x; otherwise they must not overlap.
template <class T>
void tanh_forward(const T* x, T* y, std::int64_t count, simt::stream_t stream);

// dx[i] = dy[i] * (1 - y[i]^2), where y is what tanh_forward wrote. dx may be dy or y; otherwise no overlap.
template <class T>
void tanh_backward(const T* dy, const T* y, T* dx, std::int64_t count, simt::stream_t stream);

}  // namespace alexnet
