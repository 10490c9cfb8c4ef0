// How the launches of pointwise.h cut their elements.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

namespace alexnet {

namespace pointwise {

constexpr int kThreads = 256;
constexpr int kPacks = 2;            // see pointwise.h
constexpr int kMaxBlocks = 8 * 256;  // they fill the largest GPUs, see relu.cu

}  // namespace pointwise

// `blocks` blocks of `threads` threads, each moving kPacks times `width` elements at a time.
struct PointwiseConfig {
  int width;
  int threads;
  int blocks;
};

// element_size: in bytes; `aligned`: every pointer of the call is a multiple of 16 bytes. count >= 1.
inline PointwiseConfig choose_pointwise(std::int64_t count, std::size_t element_size, bool aligned) {
  const int in_16_bytes = 16 / static_cast<int>(element_size);
  const int width = aligned && count >= in_16_bytes ? in_16_bytes : 1;
  const std::int64_t per_block = std::int64_t{width} * pointwise::kThreads * pointwise::kPacks;
  const std::int64_t blocks = (count + per_block - 1) / per_block;
  return {width, pointwise::kThreads,
          static_cast<int>(std::min<std::int64_t>(blocks, pointwise::kMaxBlocks))};
}

inline std::string to_string(const PointwiseConfig& config) {
  return std::to_string(config.blocks) + " blocks of " + std::to_string(config.threads) + " threads, " +
         std::to_string(pointwise::kPacks) + " x " + std::to_string(config.width) +
         (config.width == 1 ? " element" : " elements") + " at a time";
}

}  // namespace alexnet
