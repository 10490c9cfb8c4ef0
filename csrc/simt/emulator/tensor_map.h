// A tensor map of the emulator: what make_tensor_map was given.
#pragma once

#include "simt/emulator/intrinsics.h"

namespace simt {

struct TensorMapSpec;  // hopper.h

// The address comes first, as a whole word: a launch looks at the words of its arguments for pointers.
struct TensorMap {
  void* base;
  std::uint64_t stride[4];  // bytes; of dimensions 1, 2, ...
  std::uint32_t size[5];
  std::uint16_t box[5];
  std::uint8_t step[5];
  std::uint8_t rank;
  std::uint8_t element_bytes;
  std::uint8_t swizzle;  // 0 to 3
};

// Throws simt::Error, saying why, for what cuTensorMapEncodeTiled does not accept.
TensorMap make_tensor_map(const TensorMapSpec& spec, SIMT_SITE);

namespace emulator {

// After how many bytes the pattern of a swizzle repeats; its operands and boxes begin at multiples of it.
constexpr std::uint32_t swizzle_repeat(int swizzle) { return swizzle == 0 ? 128 : 128u << swizzle; }

// Where a byte goes that would be at `address` without a swizzle: bits 4 to 6 are mixed with bits 7 to 9.
constexpr std::uint32_t swizzled(std::uint32_t address, int swizzle) {
  const std::uint32_t mask = (1u << swizzle) - 1;
  return address ^ ((address >> 7 & mask) << 4);
}

// Elements that a box has along a dimension.
inline std::uint32_t box_count(const TensorMap& map, int dimension) {
  const std::uint32_t box = map.box[dimension], step = map.step[dimension];
  return (box + step - 1) / step;
}
std::uint32_t box_bytes(const TensorMap& map);

// One row of a box: `bytes` from `offset` on in the box, of which those from `skip` on, `inside` of them, are
// at `global`. inside is 0 when the row lies outside the tensor.
struct BoxRow {
  std::uint32_t offset, bytes;
  unsigned char* global;
  std::uint32_t skip, inside;
};

// Row number `row` of the box that begins at element `at`; 0 <= row < box_rows().
std::uint32_t box_rows(const TensorMap& map);
BoxRow box_row(const TensorMap& map, const int* at, std::uint32_t row);

}  // namespace emulator
}  // namespace simt
