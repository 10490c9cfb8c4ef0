// The sizes of a convolution, from the shapes of its arrays.
#pragma once

#include <limits>

#include "bindings/bindings.h"
#include "kernels/conv/conv.h"

namespace alexnet {

inline int as_int(std::int64_t size) {
  require(size <= std::numeric_limits<int>::max(),
          "convolution: a size of " + std::to_string(size) + " is too large");
  return static_cast<int>(size);
}

// Arrays of one call: x [C, H, W, N], w [C/groups, R, S, K] and y [K, P, Q, N].
inline ConvShape as_shape(const Shape4& x, const Shape4& w, const Shape4& y, const Pair& stride,
                          const Pair& pad, int groups) {
  elements(x, "x");
  elements(w, "w");
  elements(y, "y");
  require(groups >= 1 && w[0] * groups == x[0] && w[3] == y[0] && x[3] == y[3],
          "convolution: the shapes of x, w and y do not fit each other");
  return {as_int(x[0]), as_int(x[1]), as_int(x[2]), as_int(x[3]), as_int(w[3]), as_int(w[1]), as_int(w[2]),
          as_int(y[1]), as_int(y[2]), stride[0],    stride[1],    pad[0],       pad[1],       groups};
}

}  // namespace alexnet
