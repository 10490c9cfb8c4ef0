// An array times a number, float32 or bfloat16.
#pragma once

#include <cstdint>

#include "simt/simt.h"

namespace alexnet {

// y[i] = factor * x[i] for 0 <= i < count. y may be x; otherwise they must not overlap.
template <class T>
void scale_forward(const T* x, T* y, std::int64_t count, float factor, simt::stream_t stream);

}  // namespace alexnet
