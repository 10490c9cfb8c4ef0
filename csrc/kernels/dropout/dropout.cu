// Dropout: each element is kept with probability `keep`, the others become 0.
//
// Whether an element is kept is a function of where it is: word (image & 3) of
//
//     philox4x32(counter = (image >> 2, feature, layer, step), key = seed)
//
// below keep * 2^32, with the global feature and image. So no mask is stored, the backward pass draws the
// same bits again, and every split of the batch or of the features draws the bits of the whole.
//
// Mapping: a thread owns one feature and the four images that share a counter, and computes Philox once for
// them.
//
//     images     0 1 2 3 | 4 5 6 7 | 8 ...                first_image = 2:   . . 0 1 | 2 3 4 5 | 6 ...
//     thread.x      0    |    1    |                                            0    |    1    |
//
// A row of the tensor need not begin with a whole group; where it always does (first_image and N are
// multiples of 4) and addresses allow, the four images are one access.
//
// What limits it: memory, though only just. Philox takes about 100 instructions for 4 elements (40 of them
// multiply, at half rate), which is about what a multiprocessor issues in the time that 32 bytes take. Four
// bf16 are 16 bytes: there it is Philox that limits.

#include "kernels/dropout/dropout.h"

#include <algorithm>
#include <cmath>

#include "kernels/common/check.h"
#include "kernels/common/pack.h"
#include "kernels/common/philox.h"
#include "simt/simt.h"

namespace alexnet {
namespace {

constexpr int kThreads = 256;
constexpr int kMaxBlocks = 8 * 256;  // they fill the largest GPUs, see relu.cu

// The draw as the kernel wants it.
struct Mask {
  uint2 key;
  std::uint32_t last_kept;  // a word is kept up to this one
  float scale;
  std::uint32_t layer;
  std::uint32_t first_row;
  std::uint32_t first_image;
  std::uint32_t step;
  const std::uint32_t* step_address;
};

template <class T>
__device__ __forceinline__ T masked(T x, std::uint32_t word, const Mask& mask) {
  return from_float<T>(word <= mask.last_kept ? to_float(x) * mask.scale : 0.0f);
}

// Grid and block: two-dimensional, any size; x walks the groups of four images of a row, y the features. x
// and y are [features, images]. kVector: images and mask.first_image are multiples of 4, addresses of four
// elements.
template <class T, bool kVector>
__global__ void dropout_kernel(const T* x, T* y, std::int64_t features, std::int64_t images, Mask mask) {
  const std::uint32_t step = mask.step_address != nullptr ? *mask.step_address : mask.step;
  const std::int64_t first_group = mask.first_image / 4;
  const std::int64_t groups = (mask.first_image + images + 3) / 4 - first_group;

  for (std::int64_t f = std::int64_t(blockIdx.y) * blockDim.y + threadIdx.y; f < features;
       f += std::int64_t(gridDim.y) * blockDim.y) {
    for (std::int64_t g = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x; g < groups;
         g += std::int64_t(gridDim.x) * blockDim.x) {
      const uint4 words =
          philox4x32(make_uint4(static_cast<std::uint32_t>(first_group + g),
                                mask.first_row + static_cast<std::uint32_t>(f), mask.layer, step),
                     mask.key);
      // The group's first image within this array; negative where the array begins inside the group.
      const std::int64_t n = (first_group + g) * 4 - mask.first_image;
      const std::int64_t at = f * images + n;
      const std::uint32_t word[4] = {words.x, words.y, words.z, words.w};
      if constexpr (kVector) {
        Pack<T, 4> pack = reinterpret_cast<const Pack<T, 4>*>(x)[at / 4];
        SIMT_UNROLL
        for (int i = 0; i < 4; ++i) pack.at[i] = masked(pack.at[i], word[i], mask);
        reinterpret_cast<Pack<T, 4>*>(y)[at / 4] = pack;
      } else {
        SIMT_UNROLL
        for (int i = 0; i < 4; ++i) {
          if (n + i >= 0 && n + i < images) y[at + i] = masked(x[at + i], word[i], mask);
        }
      }
    }
  }
}

std::int64_t ceil_divide(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace

DropoutConfig choose_dropout(std::int64_t features, std::int64_t images, std::uint32_t first_image,
                             bool aligned) {
  DropoutConfig config{};
  config.vector = aligned && images % 4 == 0 && first_image % 4 == 0;
  const std::int64_t groups = ceil_divide(first_image + images, 4) - first_image / 4;
  // The smallest power of two that holds a row's groups, at most a warp.
  config.threads_x = 1;
  while (config.threads_x < 32 && config.threads_x < groups) config.threads_x *= 2;
  config.threads_y = kThreads / config.threads_x;
  const std::int64_t blocks_x = ceil_divide(groups, config.threads_x);
  const std::int64_t blocks_y = ceil_divide(features, config.threads_y);
  config.blocks_x = static_cast<int>(std::min<std::int64_t>(blocks_x, kMaxBlocks));
  config.blocks_y =
      static_cast<int>(std::min<std::int64_t>(blocks_y, std::max(1, kMaxBlocks / config.blocks_x)));
  return config;
}

std::string to_string(const DropoutConfig& config) {
  return std::to_string(config.blocks_x) + " x " + std::to_string(config.blocks_y) + " blocks of " +
         std::to_string(config.threads_x) + " x " + std::to_string(config.threads_y) +
         " threads (images x features), four images " + (config.vector ? "at a time" : "one by one");
}

template <class T>
void dropout(const T* x, T* y, std::int64_t features, std::int64_t images, const DropoutDraw& draw,
             simt::stream_t stream) {
  require(features >= 1 && images >= 1,
          "dropout: a shape of [" + std::to_string(features) + ", " + std::to_string(images) + "]");
  require(draw.keep > 0 && draw.keep <= 1, "dropout: keep = " + std::to_string(draw.keep));
  require(features <= (std::int64_t{1} << 32) - draw.first_row, "dropout: a feature beyond 2^32");
  require(images <= (std::int64_t{1} << 32) - draw.first_image, "dropout: an image beyond 2^32");
  require_same_or_apart(x, y, features * images, "dropout: x and y");

  Mask mask{};
  mask.key = make_uint2(static_cast<std::uint32_t>(draw.seed), static_cast<std::uint32_t>(draw.seed >> 32));
  // word < keep * 2^32, in integers. The product is exact.
  mask.last_kept =
      static_cast<std::uint32_t>(static_cast<std::uint64_t>(std::ceil(draw.keep * 4294967296.0)) - 1);
  mask.scale = draw.inverted ? static_cast<float>(1.0 / draw.keep) : 1.0f;
  mask.layer = draw.layer;
  mask.first_row = draw.first_row;
  mask.first_image = draw.first_image;
  mask.step = draw.step;
  mask.step_address = draw.step_address;

  const bool aligned = is_aligned(x, 4 * sizeof(T)) && is_aligned(y, 4 * sizeof(T));
  const DropoutConfig config = choose_dropout(features, images, draw.first_image, aligned);
  const auto kernel = config.vector ? dropout_kernel<T, true> : dropout_kernel<T, false>;
  simt::launch(kernel, dim3(config.blocks_x, config.blocks_y), dim3(config.threads_x, config.threads_y), 0,
               stream, x, y, features, images, mask);
}

template void dropout(const float*, float*, std::int64_t, std::int64_t, const DropoutDraw&, simt::stream_t);
template void dropout(const simt::bf16*, simt::bf16*, std::int64_t, std::int64_t, const DropoutDraw&,
                      simt::stream_t);

std::array<std::uint32_t, 4> philox_words(const std::array<std::uint32_t, 4>& counter,
                                          const std::array<std::uint32_t, 2>& key) {
  const uint4 words =
      philox4x32(make_uint4(counter[0], counter[1], counter[2], counter[3]), make_uint2(key[0], key[1]));
  return {words.x, words.y, words.z, words.w};
}

}  // namespace alexnet
