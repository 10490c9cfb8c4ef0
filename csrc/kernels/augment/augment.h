// From stored bytes to a minibatch: crop, mirror, shift colours, subtract the mean, change the layout.
// float32 and bfloat16.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/common/status.h"
#include "simt/simt.h"

namespace alexnet {

template <class T>
struct AugmentArguments {
  const std::uint8_t* images;  // [n, H, W, C]
  int n, H, W, C;
  int h, w;                   // of a crop
  const int* offsets;         // [n, 2]: (y, x) of each crop's corner
  const std::uint8_t* flips;  // [n]: mirrored where not 0
  const float* color_shift;   // [n, C], or null
  const float*
      mean;  // null; [C] where mean_H is 0; else [mean_H, mean_W, C], whose centre crop is subtracted
  int mean_H, mean_W;
  T* x;                // [C, h, w, n]
  StatusWord* status;  // null, or where a crop that leaves its image is noted
};

// Blocks of `threads` threads, each for 32 images and `run` bytes of a crop's row.
struct AugmentConfig {
  int threads;
  int run;
  std::int64_t blocks_x;
  int blocks_y;
};

AugmentConfig choose_augment(int n, int C, int h, int w);
std::string to_string(const AugmentConfig& config);

// x[c,i,j,n] = images[n, y + i, x + (flips[n] ? w - 1 - j : j), c] + color_shift[n,c] - mean. An image whose
// crop leaves it becomes NaN, which the loss shows.
template <class T>
void augment(const AugmentArguments<T>& arguments, simt::stream_t stream);

}  // namespace alexnet
