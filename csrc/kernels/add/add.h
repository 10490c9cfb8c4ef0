// The sum of two arrays, float32.
#pragma once

#include <cstdint>

#include "simt/simt.h"

namespace alexnet {

// y[i] = a[i] + b[i] for 0 <= i < count. y may be a or b; otherwise they must not overlap it.
void add_forward(const float* a, const float* b, float* y, std::int64_t count, simt::stream_t stream);

}  // namespace alexnet
