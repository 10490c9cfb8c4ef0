// bfloat16 for g++, with the bits of CUDA's __nv_bfloat16.
#pragma once

#include <bit>
#include <cstdint>

namespace simt {

struct bf16 {
  std::uint16_t bits;
};

constexpr std::uint16_t bf16_bits(bf16 x) { return x.bits; }
constexpr bf16 bf16_from_bits(std::uint16_t bits) { return {bits}; }

constexpr float to_float(bf16 x) { return std::bit_cast<float>(std::uint32_t{x.bits} << 16); }

// To nearest, ties to even. Every NaN becomes 0x7fff, as on a GPU.
constexpr bf16 to_bf16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7fffffff) > 0x7f800000) return {0x7fff};
  const std::uint32_t last_kept_digit = bits >> 16 & 1;
  return {static_cast<std::uint16_t>((bits + 0x7fff + last_kept_digit) >> 16)};
}

}  // namespace simt
