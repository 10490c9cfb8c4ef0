// From the sums in a consumer's registers to bfloat16 in memory, by way of shared memory: the common pieces
// of epilogues whose result has 64 neighbouring columns (images) in each row of the copy's box.
//
// A consumer's 64 x n sums leave in blocks of 64 rows x 64 columns, 8 KB each:
//
//   registers  --stmatrix-->  block in shared memory  --tma_store-->  memory
//
//   block   row 0   | 16-byte pieces 0 ... 7, exchanged: piece i of row r lies at place i ^ (r % 8), as the
//           row 1   | copy engine expects it (128-byte swizzle). The eight rows that stmatrix writes at once
//            ...    | then lie in different banks.
//           row 63  |
//
// Why not store from registers: a thread holds two neighbouring columns, four bytes, and a warp's store would
// touch eight rows; the copy engine writes 128 bytes at a time, clips what sticks out of the tensor, and the
// warps go on to the next tile meanwhile.
//
// The order of things, by the 128 threads of a consumer:
//   1. thread 0: tma_store_wait_read<0>()   the previous tile's stores have read the blocks
//   2. warpgroup_sync(consumer)
//   3. write_block() for each block
//   4. fence_proxy_async(), warpgroup_sync(consumer)
//   5. thread 0: tma_store() of each block, tma_store_commit()
#pragma once

#include "simt/hopper.h"

namespace alexnet {

struct alignas(1024) StagedBlock {
  simt::bf16 at[64 * 64];
};

// The 128 threads of a consumer meet. The barriers' numbers are constants, see simt.h.
__device__ __forceinline__ void warpgroup_sync(int consumer) {
  switch (consumer) {
    case 0:
      return simt::barrier_sync<1>(128);
    case 1:
      return simt::barrier_sync<2>(128);
    case 2:
      return simt::barrier_sync<3>(128);
    default:
      return simt::barrier_sync<4>(128);
  }
}

// What stmatrix and ldmatrix want to know of this lane, for the 16 x 16 elements at rows 16 * warp and
// columns 16 * step of the block: lanes 0 to 15 point at the 16 rows' first 8 columns, 16 to 31 at the other
// 8.
__device__ __forceinline__ simt::bf16* staged_row(StagedBlock& block, int step) {
  const int lane = threadIdx.x % 32;
  const int row = threadIdx.x % 128 / 32 * 16 + lane % 16;
  const int piece = (2 * step + lane / 16) ^ (row % 8);
  return block.at + row * 64 + piece * 8;
}

__device__ __forceinline__ std::uint32_t pack_bf16(float low, float high) {
  return simt::bf16_bits(simt::to_bf16(low)) | std::uint32_t{simt::bf16_bits(simt::to_bf16(high))} << 16;
}

// Writes columns `first` to `first` + 63 of a consumer's sums (see hopper.h for who holds what). value(sum,
// i): the result in the thread's upper (i = 0) or lower (i = 1) row. kSums sums are 2 * kSums columns; first
// must be known at compile time once loops are unrolled.
template <int kSums, class Value>
__device__ __forceinline__ void write_block(StagedBlock& block, const float (&sums)[kSums], int first,
                                            const Value& value) {
  SIMT_UNROLL
  for (int step = 0; step < 4; ++step) {
    std::uint32_t packed[4];
    SIMT_UNROLL
    for (int matrix = 0; matrix < 4; ++matrix) {
      const int at = first / 2 + 8 * step + 2 * matrix;
      packed[matrix] = pack_bf16(value(sums[at], matrix % 2), value(sums[at + 1], matrix % 2));
    }
    simt::stmatrix_x4(staged_row(block, step), packed);
  }
}

// The same for a block that holds the mask, bfloat16 of the same shape: the result is 0 where that is 0 or
// negative.
template <int kSums>
__device__ __forceinline__ void write_masked_block(StagedBlock& block, const float (&sums)[kSums],
                                                   int first) {
  const auto masked = [](float sum, std::uint32_t mask_bits) {
    return simt::to_float(simt::bf16_from_bits(static_cast<std::uint16_t>(mask_bits))) <= 0.0f ? 0.0f : sum;
  };
  SIMT_UNROLL
  for (int step = 0; step < 4; ++step) {
    std::uint32_t packed[4];
    simt::ldmatrix_x4(packed, staged_row(block, step));
    SIMT_UNROLL
    for (int matrix = 0; matrix < 4; ++matrix) {
      const int at = first / 2 + 8 * step + 2 * matrix;
      packed[matrix] =
          pack_bf16(masked(sums[at], packed[matrix]), masked(sums[at + 1], packed[matrix] >> 16));
    }
    simt::stmatrix_x4(staged_row(block, step), packed);
  }
}

// Bias, which belongs to a row, and ReLU, through which NaN goes.
struct BiasRelu {
  float bias[2];
  bool relu;

  __device__ __forceinline__ float operator()(float sum, int i) const {
    const float value = sum + bias[i];
    return relu && value <= 0.0f ? 0.0f : value;
  }
};

}  // namespace alexnet
