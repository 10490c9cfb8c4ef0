// The second half of a product whose K was cut into parts: adds the parts' matrices, always in the same
// order, and finishes the sums (alpha, beta, bias, ReLU).
//
// Mapping: a block of 32 x 8 threads owns 8 rows x 64 columns of c, a thread two neighbouring columns. No
// shared memory, no thread waits for another.
//
// What limits it: reading the partial matrices, 8 bytes a thread and part at once. They were written a few
// microseconds before and mostly still lie in the level-2 cache.

#include "kernels/common/check.h"
#include "kernels/gemm/hopper/gemm_hopper.h"
#include "simt/simt.h"

namespace alexnet {
namespace {

constexpr int kRows = 8;
constexpr int kPairs = 32;  // a warp writes 64 columns: 128 or 256 bytes

template <class C>
struct alignas(2 * sizeof(C)) PairOf {
  C first, second;
};

__device__ __forceinline__ PairOf<float> as_pair(float first, float second, const float*) {
  return {first, second};
}
__device__ __forceinline__ PairOf<simt::bf16> as_pair(float first, float second, const simt::bf16*) {
  return {simt::to_bf16(first), simt::to_bf16(second)};
}

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

// Grid: (8 rows each, 64 columns each); block: (32, 8). N is a multiple of 2, partials at a multiple of 8.
template <class C>
__global__ void __launch_bounds__(kRows* kPairs)
    sum_partials_hopper_kernel(const float* partials, int splits, C* c, int M, int N, GemmEpilogue epilogue) {
  const int row = static_cast<int>(blockIdx.x * kRows + threadIdx.y);
  const int column = static_cast<int>(blockIdx.y * kPairs + threadIdx.x) * 2;
  if (row >= M || column >= N) return;
  const std::int64_t place = std::int64_t(row) * N + column;
  const std::int64_t matrix = std::int64_t(M) * N;

  const auto part = [&](int split) {
    return *reinterpret_cast<const float2*>(partials + split * matrix + place);
  };
  float2 sum = part(0);
  for (int split = 1; split < splits; ++split) {
    const float2 next = part(split);
    sum.x += next.x;
    sum.y += next.y;
  }
  const float bias = epilogue.bias != nullptr ? epilogue.bias[row] : 0.0f;
  *reinterpret_cast<PairOf<C>*>(c + place) =
      as_pair(finish(epilogue, sum.x, bias, c + place), finish(epilogue, sum.y, bias, c + place + 1), c);
}

template <class C>
void sum(const float* partials, int splits, C* c, int M, int N, const GemmEpilogue& epilogue,
         simt::stream_t stream) {
  require(N % 2 == 0 && is_aligned(partials, 8) && is_aligned(c, 2 * sizeof(C)),
          "sum_partials_hopper: N must be a multiple of 2, and the arrays aligned to two elements");
  const dim3 grid((M + kRows - 1) / kRows, (N + 2 * kPairs - 1) / (2 * kPairs));
  require(grid.y <= 65535, "sum_partials_hopper: a grid has room for N up to 4194240");
  simt::launch(sum_partials_hopper_kernel<C>, grid, dim3(kPairs, kRows), 0, stream, partials, splits, c, M, N,
               epilogue);
}

}  // namespace

void sum_partials_hopper(const float* partials, int splits, simt::bf16* c, int M, int N,
                         const GemmEpilogue& epilogue, simt::stream_t stream) {
  sum(partials, splits, c, M, N, epilogue, stream);
}

void sum_partials_hopper(const float* partials, int splits, float* c, int M, int N,
                         const GemmEpilogue& epilogue, simt::stream_t stream) {
  sum(partials, splits, c, M, N, epilogue, stream);
}

}  // namespace alexnet
