// One front end for kernels that two compilers understand.
//
//   nvcc  names of CUDA as they are, plus the few below: the `_cuda` module.
//   g++   the same names from the emulator, which runs a launch on the CPU: the `_emulated` module.
//
// A kernel file includes this header and nothing else of CUDA. It launches with simt::launch() instead of
// <<<...>>>, which g++ cannot read. All else (threadIdx, dim3, float4, __global__) keeps its CUDA name.
//
// Host files of the CUDA build that need no nvcc (the bindings) are compiled by g++ with SIMT_CUDA defined.
#pragma once

#if defined(__CUDACC__) || defined(SIMT_CUDA)

#define SIMT_EMULATED 0

#include <cuda_runtime.h>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>

namespace simt {

using stream_t = cudaStream_t;

// A launch or a runtime call that failed. A RuntimeError in Python.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  throw Error(std::string(what) + ": " + cudaGetErrorString(status) + " (" + cudaGetErrorName(status) + ")");
}

#if defined(__CUDACC__)
// Starts `kernel` on `stream` and returns at once. Throws simt::Error when the launch itself is refused (a
// grid of zero blocks, no driver); what goes wrong while the kernel runs shows at the next synchronisation.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes, stream_t stream,
            Arguments&&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "wrong number of kernel arguments");
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  check(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(std::forward<Arguments>(arguments))...),
        "kernel launch");
}
#endif

}  // namespace simt

#else

#define SIMT_EMULATED 1

#include "simt/emulator/emulator.h"

#endif
