// What a Hopper GPU (compute capability 9.0) has beyond simt.h: barriers that count bytes, an engine that
// copies boxes of tensors, and matrix units that read shared memory. The only inline PTX of the project.
//
// Kernels that include this are compiled for sm_90a alone and launched on such a GPU alone. Under nvcc the
// names below are cuda_hopper.h and cuda_wgmma.h, under g++ emulator/hopper.h.
//
//   Mbarrier                            in shared memory; counts arrivals, and bytes that copies have brought
//   mbarrier_init(b, count)             by one thread, then fence_mbarrier_init() and __syncthreads()
//   mbarrier_arrive(b)                  one of `count` arrivals of this phase
//   mbarrier_arrive_expect_tx(b, n)     the same, and the phase ends only when n more bytes have come
//   mbarrier_wait(b, parity)            until the phase with this parity (0, 1, 0, ...) has ended. A new
//                                       barrier is in phase 0, and "phase -1" has ended: waiting for parity 1
//                                       returns at once
//   mbarrier_test(b, parity)            whether it has
//
//   make_tensor_map(TensorMapSpec)      on the host: how a tensor lies in memory, and the box of it to copy
//   tma_load(to, map, b, {i0, i1, ...}) one thread: copies the box that begins at element {i0, i1, ...} into
//                                       shared memory, zeros for what lies outside the tensor, and gives its
//                                       bytes (zeros too) to barrier b
//   tma_store(map, from, {i0, ...})     one thread: the other way; what lies outside is not written
//   tma_store_commit()                  this thread's stores since the last commit are one group
//   tma_store_wait_read<n>()            until all but the last n groups have read shared memory
//   tma_store_wait<n>()                 until all but the last n groups are done
//   tma_prefetch(map)                   brings the map itself into the cache
//   fence_proxy_async()                 by threads that wrote shared memory, before the barrier after which a
//                                       tma_store, tma_load or wgmma touches what they wrote
//
//   wgmma<Major A, Major B>(d, a, b, add)
//                                       by the 128 threads of a warpgroup: D (+)= A B, 64 x n x 16, bfloat16
//                                       in, float32 out, n = 2 * size of d (8, 16, ... 256). a and b are
//                                       descriptors; `add` false: D = A B
//   wgmma<Major B>(d, a, b, add)        the same with A in registers, uint32_t[4]
//   wgmma_fence()                       before the first wgmma, and after d or a were touched by other means
//   wgmma_commit()                      what was issued since the last commit is one group
//   wgmma_wait<n>(d, ...)               until all but the last n groups are done; names the accumulators that
//                                       may be read afterwards
//   wgmma_descriptor(tile, leading, stride, swizzle)
//                                       an operand in shared memory
//
//   ldmatrix_x4<trans>(r, row)          four 8x8 matrices from shared memory into a warp's registers; lane i
//   stmatrix_x4<trans>(row, r)          gives the address of row i % 8 of matrix i / 8; and the other way
//   mma_m16n8k16(d, a, b)               a warp: D += A B, bfloat16 in, float32 out
//   cp_async16(to, from, bytes)         16 bytes from global to shared memory, but the last 16 - bytes zero
//   cp_async_commit()                   groups of one thread's copies, as above
//   cp_async_wait<n>()
//   setmaxnreg_inc<n>()                 by a warpgroup: registers of each thread from here on
//   setmaxnreg_dec<n>()
//
// Registers. Thread t of a warpgroup holds of D, with w = t / 32, g = t % 32 / 4, q = t % 4:
//     d[4 * j + 2 * i + h]  is  row 16 * w + 8 * i + g, column 8 * j + 2 * q + h.
// A in registers: a[2 * j + i] holds row 16 * w + 8 * i + g, columns 8 * j + 2 * q (low half) and + 1.
//
// Descriptors of tiles with a 128-byte swizzle, as tma_load writes them when the inner box is 64 elements.
// Tiles begin at multiples of 1024 bytes; k16 is the next step of 16 along K:
//   Major::k   a row of the tile is 64 elements of K; stride = 1024 (8 rows); leading unused; k16 + 32 bytes
//   Major::mn  a row of the tile is 64 elements of M or N for one k; stride = 1024 (8 values of k); leading =
//              bytes from one block of 64 elements of M or N to the next; k16 + 2048 bytes
#pragma once

#include "simt/simt.h"

namespace simt {

enum class ElementType { bfloat16, float32 };
enum class Swizzle { none, bytes_32, bytes_64, bytes_128 };
enum class Major { k, mn };

// A tensor of `rank` 2 to 5 dimensions, the first of which is contiguous, and the box of it that a copy
// takes. base: a multiple of 16. size, box, step: elements of each dimension; box at most 256. A step above 1
// (never for the first dimension, at most 8) takes every step-th element, ceil(box / step) of them. stride:
// bytes from one element to the next of dimensions 1, 2, ...; multiples of 16. With a swizzle the first
// dimension of the box fills it (32, 64 or 128 bytes).
struct TensorMapSpec {
  const void* base;
  ElementType type;
  int rank;
  std::uint64_t size[5];
  std::uint64_t stride[4];
  std::uint32_t box[5];
  std::uint32_t step[5] = {1, 1, 1, 1, 1};
  Swizzle swizzle = Swizzle::bytes_128;
};

}  // namespace simt

#if SIMT_EMULATED
#include "simt/emulator/hopper.h"
#else
#include "simt/cuda_hopper.h"
#if defined(__CUDACC__)
#include "simt/cuda_wgmma.h"
#endif
#endif
