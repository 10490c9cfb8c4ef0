// Dropout, float32 and bfloat16. It is its own gradient: the same mask and scale on dy.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "simt/simt.h"

namespace alexnet {

// Which random numbers a call draws. Features and images count from first_row and first_image on.
struct DropoutDraw {
  double keep;  // in (0, 1]
  bool inverted;
  std::uint64_t seed;
  std::uint32_t layer;
  std::uint32_t first_row;
  std::uint32_t first_image;
  std::uint32_t step;                 // where step_address is null
  const std::uint32_t* step_address;  // device memory whose 32 bits are the step
};

// `blocks` blocks of `threads_x` threads along the images, four images each, and `threads_y` along the
// features. vector: four images are one access.
struct DropoutConfig {
  bool vector;
  int threads_x;
  int threads_y;
  int blocks_x;
  int blocks_y;
};

// `aligned`: x and y are multiples of 4 elements. features, images >= 1.
DropoutConfig choose_dropout(std::int64_t features, std::int64_t images, std::uint32_t first_image,
                             bool aligned);
std::string to_string(const DropoutConfig& config);

// y[f, n] = kept(f, n) ? scale * x[f, n] : 0 for x, y [features, images], with scale = 1 / keep if inverted,
// else 1. y may be x; otherwise they must not overlap.
template <class T>
void dropout(const T* x, T* y, std::int64_t features, std::int64_t images, const DropoutDraw& draw,
             simt::stream_t stream);

// What the kernel draws from, computed on the host: four random words of a counter and a key
// (common/philox.h).
std::array<std::uint32_t, 4> philox_words(const std::array<std::uint32_t, 4>& counter,
                                          const std::array<std::uint32_t, 2>& key);

}  // namespace alexnet
