// What both directions of this folder ask before they choose a kernel.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/common/check.h"
#include "kernels/common/element.h"
#include "kernels/common/windows.h"
#include "kernels/max_pool/max_pool.h"
#include "simt/simt.h"

namespace alexnet {
namespace {

// Of a block. 512: a patch of 4 x 4 windows for 128 images; two such blocks fit a multiprocessor with the 64
// registers that nine loads under way need.
constexpr int kThreads = 512;

// Images at a time. Positions of more than 256 are two bytes and go one by one.
int width_of(const Windows& w, std::size_t element_size, bool aligned) {
  const int in_a_pack = kPackBytes / static_cast<int>(element_size);
  const bool few_positions = std::int64_t{w.R} * w.S <= 256;
  return aligned && w.N % in_a_pack == 0 && few_positions ? in_a_pack : 1;
}

// Whether the addresses of x's and y's elements, and of the 8-bit positions, are multiples of a pack.
template <class T>
bool all_aligned(const T* x, const T* y, const std::uint8_t* arg) {
  return is_aligned(x, kPackBytes) && is_aligned(y, kPackBytes) && is_aligned(arg, kPackWidth<T>);
}

// Whether positions in a map are 32-bit numbers.
bool small_maps(const Windows& w) {
  constexpr std::int64_t kLimit = std::int64_t{1} << 31;
  return std::int64_t{w.H} * w.W * w.N < kLimit && std::int64_t{w.P} * w.Q * w.N < kLimit;
}

void check_positions(const std::string& name, const Windows& w, int most) {
  check_windows(name, w);
  require(std::int64_t{w.R} * w.S <= most, name + ": windows of " + std::to_string(w.R) + " x " +
                                               std::to_string(w.S) + " have more than " +
                                               std::to_string(most) + " positions");
}

}  // namespace
}  // namespace alexnet
