// Pieces of error messages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "simt/emulator/vocabulary.h"

namespace simt::emulator {

// "relu.cu:57"
inline std::string where(const Site& site) {
  const std::string_view file = site.file_name();
  return std::string(file.substr(file.rfind('/') + 1)) + ":" + std::to_string(site.line());
}

inline std::string triple(unsigned x, unsigned y, unsigned z) {
  return "(" + std::to_string(x) + ", " + std::to_string(y) + ", " + std::to_string(z) + ")";
}
inline std::string triple(dim3 size) { return triple(size.x, size.y, size.z); }
inline std::string triple(uint3 index) { return triple(index.x, index.y, index.z); }

// "5" or "0-30, 32": numbers in ascending order, at most a handful of ranges.
std::string ranges(std::vector<int> numbers);

// "0x0000ffff"
std::string hexadecimal(unsigned value);

}  // namespace simt::emulator
