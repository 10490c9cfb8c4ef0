// Checks of a launcher's contract. They throw: std::invalid_argument becomes a ValueError in Python.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace alexnet {

inline void require(bool condition, const std::string& message) {
  if (!condition) throw std::invalid_argument(message);
}

inline bool is_aligned(const void* pointer, std::size_t bytes) {
  return reinterpret_cast<std::uintptr_t>(pointer) % bytes == 0;
}

// Bytes up to the next multiple of 16: where the next array in a workspace begins.
constexpr std::size_t room_for(std::size_t bytes) { return (bytes + 15) / 16 * 16; }

// Throws when two buffers of `count` elements share some of their bytes but are not the same buffer. A
// pointwise kernel may write over its input (one thread reads an element, then writes it), never over a
// neighbour's.
template <class T>
void require_same_or_apart(const T* a, const T* b, std::int64_t count, const std::string& names) {
  const auto first = reinterpret_cast<std::uintptr_t>(a);
  const auto second = reinterpret_cast<std::uintptr_t>(b);
  const auto distance = first < second ? second - first : first - second;
  const bool apart = distance / sizeof(T) >= static_cast<std::uintptr_t>(count);
  require(distance == 0 || apart,
          names + " overlap in part; they may be the same buffer or have nothing in common");
}

// Throws when two buffers of so many elements share a byte.
template <class A, class B>
void require_apart(const A* a, std::int64_t a_count, const B* b, std::int64_t b_count,
                   const std::string& names) {
  const auto first = reinterpret_cast<std::uintptr_t>(a);
  const auto second = reinterpret_cast<std::uintptr_t>(b);
  const bool apart = first + static_cast<std::uintptr_t>(a_count) * sizeof(A) <= second ||
                     second + static_cast<std::uintptr_t>(b_count) * sizeof(B) <= first;
  require(apart, names + " overlap; they must have nothing in common");
}

}  // namespace alexnet
