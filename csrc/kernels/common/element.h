// The types that an array's elements may have: float, and bfloat16, the upper half of a float's bits, with
// the same range and 8 significant bits instead of 24.
//
// Arithmetic is in float for both. What is loaded is widened, which is exact; what is stored is rounded,
// once, to nearest, ties to even.
#pragma once

#include <type_traits>

#include "simt/simt.h"

namespace alexnet {

using simt::to_float;  // of a bf16
__device__ __forceinline__ float to_float(float x) { return x; }

template <class T>
__device__ __forceinline__ T from_float(float x) {
  if constexpr (std::is_same_v<T, float>) {
    return x;
  } else {
    return simt::to_bf16(x);
  }
}

// What one load or store moves at most. Pointers have to be multiples of it then.
constexpr int kPackBytes = 16;

// Elements in it: 4 floats, 8 bf16.
template <class T>
constexpr int kPackWidth = kPackBytes / sizeof(T);

}  // namespace alexnet
