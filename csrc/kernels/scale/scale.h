// An array times a number, float32.
#pragma once

#include <cstdint>

#include "simt/simt.h"

namespace alexnet {

// y[i] = factor * x[i] for 0 <= i < count. y may be x; otherwise they must not overlap.
void scale_forward(const float* x, float* y, std::int64_t count, float factor, simt::stream_t stream);

}  // namespace alexnet
