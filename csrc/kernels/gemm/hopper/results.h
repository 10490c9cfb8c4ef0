// A consumer's 64 rows of sums and where they go: what the epilogues of gemm.cu and gemm_sgd.cu share.
#pragma once

#include "kernels/common/hopper/epilogue.h"
#include "kernels/common/hopper/pipeline.h"
#include "simt/hopper.h"

namespace alexnet {

// The result, [M, N], and the consumer's place in it: rows `row` to row + 63, from `column` on.
struct ResultRows {
  int M, N;
  int row, column;

  // A thread's sums are in two rows, i = 0 and 1, ...
  __device__ __forceinline__ int row_of(int i) const {
    return row + static_cast<int>(threadIdx.x) % kWarpgroup / 32 * 16 +
           static_cast<int>(threadIdx.x) % 32 / 4 + 8 * i;
  }
  // ... and there in pairs, j = 0, 1, ...: sums 4 * j + 2 * i and the next (hopper.h).
  __device__ __forceinline__ int column_of(int j) const {
    return column + static_cast<int>(threadIdx.x) % 4 * 2 + 8 * j;
  }
  __device__ __forceinline__ std::int64_t element(int i, int j) const {
    return std::int64_t(row_of(i)) * N + column_of(j);
  }
};

// Calls function(i, j) for the thread's pairs of sums that are in the result. N is even: a pair is in it or
// out of it.
template <int kSums, class Function>
__device__ __forceinline__ void for_each_pair(const ResultRows& rows, const Function& function) {
  SIMT_UNROLL
  for (int i = 0; i < 2; ++i) {
    if (rows.row_of(i) >= rows.M) continue;
    SIMT_UNROLL
    for (int j = 0; j < kSums / 4; ++j) {
      if (rows.column_of(j) < rows.N) function(i, j);
    }
  }
}

// By the 128 threads of a consumer: value(sum, i) of all its sums to memory in bfloat16, by way of the
// staging blocks. The copies go on when this returns; the next call waits for them.
template <int kSums, class Value>
__device__ __forceinline__ void store_bf16(const simt::TensorMap& map, const ResultRows& rows, int consumer,
                                           const float (&sums)[kSums], StagedBlock (&blocks)[kSums / 32],
                                           const Value& value) {
  const bool stores = threadIdx.x % kWarpgroup == 0;
  if (stores) simt::tma_store_wait_read<0>();
  warpgroup_sync(consumer);
  SIMT_UNROLL
  for (int block = 0; block < kSums / 32; ++block) write_block(blocks[block], sums, 64 * block, value);
  simt::fence_proxy_async();
  warpgroup_sync(consumer);
  if (!stores) return;
  SIMT_UNROLL
  for (int block = 0; block < kSums / 32; ++block) {
    const int column = rows.column + 64 * block;
    if (rows.row < rows.M && column < rows.N) simt::tma_store(map, blocks[block].at, {column, rows.row});
  }
  simt::tma_store_commit();
}

// A bfloat16 array [M, N] as store_bf16 writes it: in blocks of 64 x 64.
inline simt::TensorMap map_of_result(const simt::bf16* array, int M, int N) {
  simt::TensorMapSpec spec{};
  spec.base = array;
  spec.type = simt::ElementType::bfloat16;
  spec.rank = 2;
  spec.size[0] = N;
  spec.size[1] = M;
  spec.stride[0] = N * sizeof(simt::bf16);
  spec.box[0] = 64;
  spec.box[1] = 64;
  return simt::make_tensor_map(spec);
}

}  // namespace alexnet
