// Windows sliding over an image: the arithmetic that pooling kernels share. The words are those of
// ops/geometry.py.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/common/check.h"
#include "simt/simt.h"

namespace alexnet {

// x is [C, H, W, N] and y [C, P, Q, N]. The window of (p, q) begins at pixel (p * stride_h - pad_h,
// q * stride_w - pad_w) and has R x S positions; those that are no pixels count as nothing.
struct Windows {
  int C, H, W, N;
  int P, Q;
  int R, S;
  int stride_h, stride_w;
  int pad_h, pad_w;
};

// A range of integers, first included, last not.
struct Range {
  int first;
  int last;
};

// Positions of a window of `size` that lie on an image of `length`, when its first lies at pixel `start`.
__host__ __device__ inline Range positions_inside(int start, int size, int length) {
  return {start < 0 ? -start : 0, size < length - start ? size : length - start};
}

// Windows, of `count`, that hold pixel `at`.
__host__ __device__ inline Range windows_holding(int at, int size, int stride, int pad, int count) {
  const int past = at + pad - size + 1;  // the first pixel of a window lies here or later
  const int last = (at + pad) / stride + 1;
  return {past <= 0 ? 0 : (past + stride - 1) / stride, last < count ? last : count};
}

// Throws unless every window has a pixel, which is what the kernels rely on.
inline void check_windows(const std::string& name, const Windows& w) {
  const auto axis = [&](const char* which, int image, int outputs, int size, int stride, int pad) {
    require(image >= 1 && outputs >= 1 && size >= 1 && stride >= 1 && pad >= 0 && pad < size &&
                std::int64_t{outputs - 1} * stride - pad < image,
            name + ": a window along the " + which + " without a pixel: image " + std::to_string(image) +
                ", outputs " + std::to_string(outputs) + ", window " + std::to_string(size) + ", stride " +
                std::to_string(stride) + ", leading pad " + std::to_string(pad));
  };
  require(w.C >= 1 && w.N >= 1, name + ": no channels or no images");
  axis("height", w.H, w.P, w.R, w.stride_h, w.pad_h);
  axis("width", w.W, w.Q, w.S, w.stride_w, w.pad_w);
}

}  // namespace alexnet
