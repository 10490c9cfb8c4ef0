// Sums and maxima over the threads of a warp or a block, always in the same order, so that they have the same
// bits each time. (Atomic additions of floats would come in the order of arrival.)
#pragma once

#include "simt/simt.h"

namespace alexnet {

struct Sum {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a + b;
  }
};

// The larger one; NaN if either is, which fmaxf would drop.
struct Maximum {
  __device__ __forceinline__ float operator()(float a, float b) const { return a >= b || a != a ? a : b; }
};

// Over the lanes of a whole warp that agree in lane % kColumns; every lane gets the result. A butterfly:
//
//     lane      0   1   2   3            kColumns = 1, for 4 lanes
//               a   b   c   d
//     xor 2    a+c b+d c+a d+b
//     xor 1    (a+c)+(b+d) in all        a + b and b + a are the same bits
template <int kColumns = 1, class T, class Operation>
__device__ __forceinline__ T warp_reduce(T value, Operation operation) {
  static_assert(kColumns >= 1 && kColumns <= 32 && (kColumns & (kColumns - 1)) == 0);
  SIMT_UNROLL
  for (int distance = 16; distance >= kColumns; distance /= 2) {
    value = operation(value, __shfl_xor_sync(0xffffffffu, value, distance));
  }
  return value;
}

// What block_reduce needs in shared memory.
template <class T, int kColumns = 1>
using BlockScratch = T[32][kColumns];  // [warp][column]

// Over the threads of a block that agree in thread % kColumns; every thread gets the result. Each warp
// reduces its own, then every thread goes over the warps in ascending order. `thread` is the number of this
// thread, all of the block's call, and their number is a multiple of 32, at most 1024.
template <int kColumns = 1, class T, class Operation>
__device__ __forceinline__ T block_reduce(T value, Operation operation, BlockScratch<T, kColumns>& scratch,
                                          int thread, int threads) {
  value = warp_reduce<kColumns>(value, operation);
  __syncthreads();  // who still reads the scratch of a call before
  if (thread % 32 < kColumns) scratch[thread / 32][thread % 32] = value;
  __syncthreads();
  T total = scratch[0][thread % kColumns];
  for (int warp = 1; warp < threads / 32; ++warp) total = operation(total, scratch[warp][thread % kColumns]);
  return total;
}

}  // namespace alexnet
