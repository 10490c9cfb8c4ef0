// Operands of wgmma in shared memory: descriptors, and where the elements are that one describes.
#pragma once

#include <cstdint>

#include "simt/emulator/hopper_runtime.h"
#include "simt/emulator/shared_memory.h"
#include "simt/emulator/tensor_map.h"
#include "simt/hopper.h"

namespace simt::emulator {

std::uint64_t encode_descriptor(const SharedMemory& shared, const void* tile, std::uint32_t leading,
                                std::uint32_t stride, Swizzle swizzle, Site site);

// `count` rows of A or columns of B, 16 elements of K each. Offsets are those in the block's shared memory.
struct Operand {
  std::uint32_t start, leading, stride;  // bytes
  int swizzle;                           // 0 to 3, as in tensor maps
  Major major;
  int count;

  // Where element (i, k) would be without the swizzle (PTX ISA, strides of wgmma's matrix descriptors). Units
  // are 16 bytes, 8 elements; a row of the pattern has 1, 2, 4 or 8 of them, and 8 rows make a pattern.
  std::uint32_t offset(std::uint32_t i, std::uint32_t k) const {
    const std::uint32_t units = 1u << swizzle;
    const std::uint32_t row = units * 16;
    if (major == Major::k) {
      const std::uint32_t step = swizzle == 0 ? leading : 16;
      return start + i % 8 * row + i / 8 * stride + k / 8 * step + k % 8 * 2;
    }
    const std::uint32_t unit = i / 8;
    if (swizzle == 0) return start + unit * stride + k % 8 * row + k / 8 * leading + i % 8 * 2;
    return start + unit % units * 16 + unit / units * leading + k % 8 * row + k / 8 * stride + i % 8 * 2;
  }

  // Calls visit(offset, i, k) for each unit: 8 elements that follow each other from (i, k) on along `major`.
  template <class Visit>
  void for_each_unit(Visit visit) const {
    const auto end = static_cast<std::uint32_t>(count);
    if (major == Major::k) {
      for (std::uint32_t i = 0; i < end; ++i) {
        for (std::uint32_t k = 0; k < 16; k += 8) visit(swizzled(offset(i, k), swizzle), i, k);
      }
    } else {
      for (std::uint32_t k = 0; k < 16; ++k) {
        for (std::uint32_t i = 0; i < end; i += 8) visit(swizzled(offset(i, k), swizzle), i, k);
      }
    }
  }
};

// Throws when the descriptor describes no such operand inside one shared object. `name`: A or B.
Operand decode_operand(const SharedMemory& shared, std::uint64_t descriptor, Major major, int count,
                       const char* name, Site site);

// out[k * count + i]
void read_operand(const SharedMemory& shared, const Operand& operand, float* out);

}  // namespace simt::emulator
