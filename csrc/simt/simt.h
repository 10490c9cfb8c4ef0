// One front end for kernels that two compilers understand.
//
//   nvcc  names of CUDA as they are, plus the few below (cuda.h): the `_cuda` module.
//   g++   the same names from the emulator (emulator/), which runs a launch on the CPU: `_emulated`.
//
// A kernel file includes this header and nothing else of CUDA. All that a CUDA program calls by its name
// (threadIdx, float4, __syncthreads, __shfl_xor_sync, atomicAdd, __umulhi ...) keeps that name. What g++
// cannot read is spelled
//
//   simt::launch(kernel, grid, block, shared_bytes, stream, arguments...)   for kernel<<<...>>>(arguments...)
//   SIMT_SHARED(tile, float[64][17]);       static shared memory, as       __shared__ float tile[64][17];
//   SIMT_DYN_SHARED(tiles, Tiles);          dynamic shared memory, as one struct: Tiles& tiles
//   simt::barrier_sync<1>(128)              128 threads of the block meet at named barrier 1 (1 to 15)
//   simt::barrier_arrive<1>(128)            the same without waiting
//   SIMT_UNROLL                             before a loop, #pragma unroll
//   simt::gpu()                             on the host: capability (90 for 9.0) and multiprocessors of the
//                                           current device; launchers choose by them
//   simt::bf16, to_float, to_bf16           bfloat16; to_bf16 rounds to nearest, ties to even
//
// Host files of the CUDA build that need no nvcc (the bindings) are compiled by g++ with SIMT_CUDA defined.
#pragma once

namespace simt {

struct Gpu {
  int capability;  // 10 * major + minor
  int multiprocessors;
};

}  // namespace simt

#if defined(__CUDACC__) || defined(SIMT_CUDA)
#define SIMT_EMULATED 0
#include "simt/cuda.h"
#else
#define SIMT_EMULATED 1
#include "simt/emulator/emulator.h"
#endif
