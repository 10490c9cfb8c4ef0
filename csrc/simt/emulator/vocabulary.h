// CUDA's words for g++: qualifiers, vector types and built-in variables.
//
// Raw __shared__ stays undefined on purpose: a kernel that uses it must not compile here (SIMT_SHARED is the
// portable spelling).
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <stdexcept>

#define __global__
#define __device__
#define __host__
#define __grid_constant__
#define __align__(n) alignas(n)
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

// Alignments are CUDA's: a float4 at an address that is no multiple of 16 faults on a GPU.
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) int2 {
  int x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(2) uchar2 {
  unsigned char x, y;
};
struct alignas(4) uchar4 {
  unsigned char x, y, z, w;
};

constexpr float2 make_float2(float x, float y) { return {x, y}; }
constexpr float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
constexpr int2 make_int2(int x, int y) { return {x, y}; }
constexpr int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
constexpr uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
constexpr uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
constexpr uchar2 make_uchar2(unsigned char x, unsigned char y) { return {x, y}; }
constexpr uchar4 make_uchar4(unsigned char x, unsigned char y, unsigned char z, unsigned char w) {
  return {x, y, z, w};
}

// One set for each CPU thread, since several run blocks at the same time.
extern constinit thread_local uint3 threadIdx, blockIdx;
extern constinit thread_local dim3 blockDim, gridDim;
constexpr int warpSize = 32;

namespace simt {

// What a GPU would refuse, and what the emulator found wrong in a kernel. A RuntimeError in Python.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

namespace emulator {

// Where in the source a primitive was called: the default argument of each of them.
using Site = std::source_location;

}  // namespace emulator
}  // namespace simt
