// CUDA's built-in functions for g++: barriers, warp operations, atomics and a few of arithmetic. The list
// grows as kernels need more. Left out on purpose; a kernel that uses them does not build here:
//
//   __expf, __logf, __powf ...   their bits differ between GPU models and from every CPU; use expf, logf,
//   powf atomicAdd on float           the sum's bits depend on the order of arrival; use a fixed tree of
//   partial sums
//   __activemask                 what it returns is up to compiler and scheduler; pass the mask down instead
//   min, max on float            CUDA's drop NaN; write the comparison that keeps it
//
// All are inlined, so that the sanitizers' reports name the kernel's line and not one of this file.
#pragma once

#include <bit>
#include <cstring>
#include <type_traits>

#include "simt/emulator/runtime.h"

#define SIMT_SITE ::simt::emulator::Site site = ::simt::emulator::Site::current()

// ---- Barriers of the whole block

__forceinline__ void __syncthreads(SIMT_SITE) {
  simt::emulator::barrier(0, -1, true, simt::emulator::Vote::none, false, site);
}
__forceinline__ int __syncthreads_or(int predicate, SIMT_SITE) {
  return simt::emulator::barrier(0, -1, true, simt::emulator::Vote::any, predicate != 0, site);
}
__forceinline__ int __syncthreads_and(int predicate, SIMT_SITE) {
  return simt::emulator::barrier(0, -1, true, simt::emulator::Vote::all, predicate != 0, site);
}
__forceinline__ int __syncthreads_count(int predicate, SIMT_SITE) {
  return simt::emulator::barrier(0, -1, true, simt::emulator::Vote::count, predicate != 0, site);
}

// ---- Warps

namespace simt::emulator {

template <class T>
__forceinline__ T shuffle(WarpOperation operation, unsigned mask, T value, int argument, int width,
                          Site site) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>, "shuffles move at most 8 bytes");
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = warp(operation, mask, bits, argument, width, site);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace simt::emulator

__forceinline__ void __syncwarp(unsigned mask = ~0u, SIMT_SITE) {
  simt::emulator::warp(simt::emulator::WarpOperation::sync, mask, 0, 0, 32, site);
}
template <class T>
__forceinline__ T __shfl_sync(unsigned mask, T value, int lane, int width = 32, SIMT_SITE) {
  return simt::emulator::shuffle(simt::emulator::WarpOperation::shuffle, mask, value, lane, width, site);
}
template <class T>
__forceinline__ T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, SIMT_SITE) {
  return simt::emulator::shuffle(simt::emulator::WarpOperation::shuffle_up, mask, value,
                                 static_cast<int>(delta), width, site);
}
template <class T>
__forceinline__ T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, SIMT_SITE) {
  return simt::emulator::shuffle(simt::emulator::WarpOperation::shuffle_down, mask, value,
                                 static_cast<int>(delta), width, site);
}
template <class T>
__forceinline__ T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, SIMT_SITE) {
  return simt::emulator::shuffle(simt::emulator::WarpOperation::shuffle_xor, mask, value, lanes, width, site);
}
__forceinline__ unsigned __ballot_sync(unsigned mask, int predicate, SIMT_SITE) {
  const bool vote = predicate != 0;
  return static_cast<unsigned>(
      simt::emulator::warp(simt::emulator::WarpOperation::ballot, mask, vote, 0, 32, site));
}
__forceinline__ int __any_sync(unsigned mask, int predicate, SIMT_SITE) {
  return __ballot_sync(mask, predicate, site) != 0;
}
__forceinline__ int __all_sync(unsigned mask, int predicate, SIMT_SITE) {
  return __ballot_sync(mask, predicate == 0, site) == 0;
}

// ---- Atomics on integers (int, unsigned, unsigned long long)

#define SIMT_ATOMIC(name, operation)                                                                      \
  template <class T>                                                                                      \
  __forceinline__ T name(T* address, std::type_identity_t<T> value, SIMT_SITE) {                          \
    return simt::emulator::atomic(simt::emulator::AtomicOperation::operation, address, value, T{}, site); \
  }
SIMT_ATOMIC(atomicAdd, add)
SIMT_ATOMIC(atomicMin, minimum)
SIMT_ATOMIC(atomicMax, maximum)
SIMT_ATOMIC(atomicAnd, conjunction)
SIMT_ATOMIC(atomicOr, disjunction)
SIMT_ATOMIC(atomicExch, exchange)
#undef SIMT_ATOMIC
float atomicAdd(float* address, float value) = delete;

template <class T>
__forceinline__ T atomicCAS(T* address, std::type_identity_t<T> compare, std::type_identity_t<T> value,
                            SIMT_SITE) {
  return simt::emulator::atomic(simt::emulator::AtomicOperation::compare_exchange, address, value, compare,
                                site);
}

// Emulated memory is always in order, so a fence has nothing to do; the race build does not use it either.
__forceinline__ void __threadfence() {}
__forceinline__ void __threadfence_block() {}
__forceinline__ void __nanosleep(unsigned, SIMT_SITE) { simt::emulator::spin(site); }

// ---- Arithmetic

unsigned __activemask() = delete;

template <class T>
__forceinline__ T __ldg(const T* address) {
  return *address;
}

// Rounded to nearest even and never fused, as in CUDA. The build does not contract, so plain operators do.
__forceinline__ float __fadd_rn(float a, float b) { return a + b; }
__forceinline__ float __fmul_rn(float a, float b) { return a * b; }
__forceinline__ float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
__forceinline__ float __fdiv_rn(float a, float b) { return a / b; }
__forceinline__ float __fsqrt_rn(float a) { return std::sqrt(a); }
__forceinline__ float rsqrtf(float a) { return 1.0f / std::sqrt(a); }

__forceinline__ unsigned __float_as_uint(float a) { return std::bit_cast<unsigned>(a); }
__forceinline__ int __float_as_int(float a) { return std::bit_cast<int>(a); }
__forceinline__ float __uint_as_float(unsigned a) { return std::bit_cast<float>(a); }
__forceinline__ float __int_as_float(int a) { return std::bit_cast<float>(a); }

__forceinline__ unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(std::uint64_t{a} * b >> 32);
}
__forceinline__ int __popc(unsigned a) { return std::popcount(a); }
__forceinline__ int __clz(int a) { return std::countl_zero(static_cast<unsigned>(a)); }
__forceinline__ int __ffs(int a) { return __builtin_ffs(a); }

template <class T>
  requires std::is_integral_v<T>
__forceinline__ constexpr T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
  requires std::is_integral_v<T>
__forceinline__ constexpr T max(T a, T b) {
  return a < b ? b : a;
}
