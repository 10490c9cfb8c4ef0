// Several neighbouring elements that move as one: four floats or eight bf16 are one 16-byte load. Loops over
// `at` are unrolled, so a pack lives in registers.
#pragma once

#include "kernels/common/element.h"
#include "simt/simt.h"

namespace alexnet {

template <class T, int kWidth>
struct alignas(sizeof(T) * kWidth) Pack {
  T at[kWidth];
};

template <class T, int kWidth>
__device__ __forceinline__ Pack<float, kWidth> to_floats(const Pack<T, kWidth>& x) {
  Pack<float, kWidth> y;
  SIMT_UNROLL
  for (int i = 0; i < kWidth; ++i) y.at[i] = to_float(x.at[i]);
  return y;
}

template <class T, int kWidth>
__device__ __forceinline__ Pack<T, kWidth> from_floats(const Pack<float, kWidth>& x) {
  Pack<T, kWidth> y;
  SIMT_UNROLL
  for (int i = 0; i < kWidth; ++i) y.at[i] = from_float<T>(x.at[i]);
  return y;
}

}  // namespace alexnet
