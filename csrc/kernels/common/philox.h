// Philox4x32-10: random numbers as a function of a counter and a key, without state.
//
// J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. Ten rounds
// of two 32 x 32 -> 64-bit products turn four words of counter and two of key into four words that pass every
// statistical test tried. A thread that knows where it is in a tensor knows its random numbers.
#pragma once

#include <cstdint>

#include "simt/simt.h"

namespace alexnet {

__host__ __device__ inline std::uint32_t product_high(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::uint32_t>((std::uint64_t{a} * b) >> 32);
}

__host__ __device__ inline uint4 philox4x32(uint4 counter, uint2 key) {
  constexpr std::uint32_t kMultiplier0 = 0xD2511F53;
  constexpr std::uint32_t kMultiplier1 = 0xCD9E8D57;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9;  // the golden ratio
  constexpr std::uint32_t kWeyl1 = 0xBB67AE85;  // sqrt(3) - 1
  SIMT_UNROLL
  for (int round = 0; round < 10; ++round) {
    const std::uint32_t high0 = product_high(kMultiplier0, counter.x);
    const std::uint32_t high1 = product_high(kMultiplier1, counter.z);
    const std::uint32_t low0 = kMultiplier0 * counter.x;
    const std::uint32_t low1 = kMultiplier1 * counter.z;
    counter = make_uint4(high1 ^ counter.y ^ key.x, low1, high0 ^ counter.w ^ key.y, low0);
    key = make_uint2(key.x + kWeyl0, key.y + kWeyl1);
  }
  return counter;
}

}  // namespace alexnet
