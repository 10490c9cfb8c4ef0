// What becomes of a sum, once it is whole.
#pragma once

#include "kernels/gemm/gemm.h"
#include "simt/simt.h"

namespace alexnet::hopper {

__device__ __forceinline__ float as_float(float x) { return x; }
__device__ __forceinline__ float as_float(simt::bf16 x) { return simt::to_float(x); }

// c: the element that the result goes to, read where beta is not 0.
template <class C>
__device__ __forceinline__ float finish(const GemmEpilogue& epilogue, float sum, float bias, const C* c) {
  float value = epilogue.alpha * sum;
  if (epilogue.beta != 0.0f) value = value + epilogue.beta * as_float(*c);
  value = value + bias;
  return epilogue.relu && value <= 0.0f ? 0.0f : value;  // a comparison, so that NaN goes through
}

}  // namespace alexnet::hopper
