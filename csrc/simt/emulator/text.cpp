// Pieces of error messages.

#include "simt/emulator/text.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace simt::emulator {

std::string ranges(std::vector<int> numbers) {
  std::sort(numbers.begin(), numbers.end());
  constexpr int kMostRanges = 6;
  std::string text;
  int shown = 0;
  for (std::size_t first = 0; first < numbers.size(); ++shown) {
    if (shown == kMostRanges) return text + ", ...";
    std::size_t last = first;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    if (shown > 0) text += ", ";
    text += std::to_string(numbers[first]);
    if (last > first) text += "-" + std::to_string(numbers[last]);
    first = last + 1;
  }
  return text;
}

std::string hexadecimal(unsigned value) {
  std::array<char, 8> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
  const std::string text(digits.data(), end);
  return "0x" + std::string(8 - text.size(), '0') + text;
}

}  // namespace simt::emulator
