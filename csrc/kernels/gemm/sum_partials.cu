// The second half of a sum that was cut into parts: adds the parts' matrices, always in the same order, and
// finishes the sums (alpha, beta, bias, ReLU). For the matrix product, general and Hopper's, and for gradients
// of filters and biases.
//
// Mapping: a thread owns four neighbours of c, and then those a whole grid further, until there are no more.
// Where rows are no multiple of four, or arrays lie elsewhere, it owns single elements. No shared memory, no
// thread waits for another.
//
// What limits it: reading the parts, 16 bytes a thread and part at once. They were written a few microseconds
// before and mostly still lie in the level-2 cache.

#include <algorithm>

#include "kernels/common/check.h"
#include "kernels/common/pack.h"
#include "kernels/gemm/epilogue.h"
#include "kernels/gemm/gemm.h"

namespace alexnet {
namespace {

constexpr int kThreads = 256;
constexpr int kMostBlocks = 8 * 2 * 132;  // two rounds of the largest GPU's multiprocessors (H100, H200)

// Any grid of blocks of kThreads: a thread owns packs first, first + step, ... of c, each within a row.
template <class Result, int kWidth>
__global__ void sum_partials_kernel(const float* partials, int splits, Result* c, std::int64_t N,
                                    std::int64_t count, GemmEpilogue epilogue) {
  const std::int64_t first = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t step = std::int64_t(gridDim.x) * blockDim.x;
  for (std::int64_t i = first * kWidth; i < count; i += step * kWidth) {
    using Floats = Pack<float, kWidth>;
    Floats sums = *reinterpret_cast<const Floats*>(partials + i);
    for (int split = 1; split < splits; ++split) {
      const Floats part = *reinterpret_cast<const Floats*>(partials + split * count + i);
      SIMT_UNROLL
      for (int n = 0; n < kWidth; ++n) sums.at[n] += part.at[n];
    }
    const float bias = epilogue.bias != nullptr ? epilogue.bias[i / N] : 0.0f;
    SIMT_UNROLL
    for (int n = 0; n < kWidth; ++n) sums.at[n] = finish(epilogue, sums.at[n], bias, c + i + n);
    *reinterpret_cast<Pack<Result, kWidth>*>(c + i) = from_floats<Result>(sums);
  }
}

}  // namespace

template <class Result>
void sum_partials(const float* partials, int splits, Result* c, std::int64_t M, std::int64_t N,
                  const GemmEpilogue& epilogue, simt::stream_t stream) {
  const bool quads = N % 4 == 0 && is_aligned(partials, 16) && is_aligned(c, 4 * sizeof(Result));
  const std::int64_t count = M * N;
  const std::int64_t packs = quads ? count / 4 : count;
  const auto blocks = std::min<std::int64_t>((packs + kThreads - 1) / kThreads, kMostBlocks);
  simt::launch(quads ? sum_partials_kernel<Result, 4> : sum_partials_kernel<Result, 1>,
               dim3(static_cast<unsigned>(blocks)), dim3(kThreads), 0, stream, partials, splits, c, N, count,
               epilogue);
}

template void sum_partials(const float*, int, float*, std::int64_t, std::int64_t, const GemmEpilogue&,
                           simt::stream_t);
template void sum_partials(const float*, int, simt::bf16*, std::int64_t, std::int64_t, const GemmEpilogue&,
                           simt::stream_t);

}  // namespace alexnet
