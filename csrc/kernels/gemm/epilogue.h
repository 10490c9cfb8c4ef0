// What becomes of a product's sum, in gemm.cu and sum_partials.cu.
#pragma once

#include "kernels/common/element.h"
#include "kernels/gemm/gemm.h"

namespace alexnet {

// c: the element that the result goes to, read where beta is not 0.
template <class Result>
__device__ __forceinline__ float finish(const GemmEpilogue& epilogue, float sum, float bias,
                                        const Result* c) {
  float value = epilogue.alpha * sum;
  if (epilogue.beta != 0.0f) value = value + epilogue.beta * to_float(*c);
  value = value + bias;
  return epilogue.relu && value <= 0.0f ? 0.0f : value;  // a comparison, so that NaN goes through
}

}  // namespace alexnet
