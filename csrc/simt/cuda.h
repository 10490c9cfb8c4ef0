// The nvcc half of simt.h: thin spellings over the CUDA runtime.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

// nvcc reads a file once for the device and once for the host compiler, which does not know the pragma.
#if defined(__CUDA_ARCH__)
#define SIMT_UNROLL _Pragma("unroll")
#else
#define SIMT_UNROLL
#endif

#define SIMT_SHARED(name, ...) __shared__::simt::type_t<__VA_ARGS__> name

// 1024: what the strictest user of shared memory (a TMA tile with a 128-byte swizzle) asks for.
#define SIMT_DYN_SHARED(name, ...)                                       \
  extern __shared__ __align__(1024) unsigned char simt_dynamic_shared[]; \
  auto& name = *reinterpret_cast<::simt::type_t<__VA_ARGS__>*>(simt_dynamic_shared)

namespace simt {

// The type inside, for macro arguments such as float[16][17].
template <class T>
using type_t = std::type_identity_t<T>;

using stream_t = cudaStream_t;

// A launch or a runtime call that failed. A RuntimeError in Python.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  throw Error(std::string(what) + ": " + cudaGetErrorString(status) + " (" + cudaGetErrorName(status) + ")");
}

// Of the current device.
inline Gpu gpu() {
  const auto attribute = [](cudaDeviceAttr which) {
    int device = 0, value = 0;
    check(cudaGetDevice(&device), "asking for the current device");
    check(cudaDeviceGetAttribute(&value, which, device), "asking what the device has");
    return value;
  };
  return {10 * attribute(cudaDevAttrComputeCapabilityMajor) + attribute(cudaDevAttrComputeCapabilityMinor),
          attribute(cudaDevAttrMultiProcessorCount)};
}

using bf16 = __nv_bfloat16;

#if defined(__CUDACC__)

__host__ __device__ __forceinline__ std::uint16_t bf16_bits(bf16 x) { return __bfloat16_as_ushort(x); }
__host__ __device__ __forceinline__ bf16 bf16_from_bits(std::uint16_t bits) {
  return __ushort_as_bfloat16(bits);
}
__host__ __device__ __forceinline__ float to_float(bf16 x) { return __bfloat162float(x); }
__host__ __device__ __forceinline__ bf16 to_bf16(float x) { return __float2bfloat16_rn(x); }

// Starts `kernel` on `stream` and returns at once. Throws simt::Error when the launch itself is refused (a
// grid of zero blocks, no driver); what goes wrong while the kernel runs shows at the next synchronisation.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes, stream_t stream,
            Arguments&&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "wrong number of kernel arguments");
  static_assert((!std::is_reference_v<Parameters> && ...), "kernel parameters are passed by value");
  static_assert((std::is_trivially_copyable_v<Parameters> && ...),
                "kernel parameters must be trivially copyable");
  constexpr std::size_t kWithoutAsking = 48 * 1024;
  if (shared_bytes > kWithoutAsking) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(shared_bytes)),
          "asking for dynamic shared memory");
  }
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  check(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(std::forward<Arguments>(arguments))...),
        "kernel launch");
}

// ---- Named barriers: 1 to 15, for a fixed number of the block's threads, whole warps. (0 is __syncthreads.)
// The number is a template argument because a barrier chosen at run time makes ptxas reserve all sixteen.

template <int Id>
__device__ __forceinline__ void barrier_sync(int threads) {
  static_assert(Id >= 1 && Id <= 15, "named barriers are 1 to 15");
  asm volatile("bar.sync %0, %1;" ::"n"(Id), "r"(threads) : "memory");
}

// Counts this thread as arrived and goes on; others wait with barrier_sync.
template <int Id>
__device__ __forceinline__ void barrier_arrive(int threads) {
  static_assert(Id >= 1 && Id <= 15, "named barriers are 1 to 15");
  asm volatile("bar.arrive %0, %1;" ::"n"(Id), "r"(threads) : "memory");
}

#endif

}  // namespace simt
