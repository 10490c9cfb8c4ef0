// The sum of two arrays, float32 or bfloat16.
#pragma once

#include <cstdint>

#include "simt/simt.h"

namespace alexnet {

// y[i] = a[i] + b[i] for 0 <= i < count. y may be a or b; otherwise they must not overlap it.
template <class T>
void add_forward(const T* a, const T* b, T* y, std::int64_t count, simt::stream_t stream);

}  // namespace alexnet
