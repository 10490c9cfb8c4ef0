// What the passes of convolution share on the host: which shapes there are, and how a choice is printed.

#include "kernels/conv/conv.h"

#include <limits>

#include "kernels/common/check.h"
#include "kernels/conv/tiles.h"

namespace alexnet {

void require_valid(const ConvShape& shape) {
  const int sizes[] = {shape.C, shape.H, shape.W, shape.N,        shape.K,        shape.R,
                       shape.S, shape.P, shape.Q, shape.stride_h, shape.stride_w, shape.groups};
  for (const int size : sizes) require(size >= 1, "convolution: every size and stride must be at least 1");
  require(shape.pad_top >= 0 && shape.pad_left >= 0, "convolution: padding must not be negative");
  require(shape.C % shape.groups == 0 && shape.K % shape.groups == 0,
          "convolution: groups must divide channels and filters");
  require(shape.groups <= 65535 && std::int64_t(shape.stride_h) * shape.stride_w <= 65535,
          "convolution: a grid has room for 65535 groups, and for strides whose product is at most that");
  // The kernels index a channel of all images (padding included) and the filters with 32 bits, and compute
  // addresses, without using them, up to a tile past the end.
  const double limit = std::numeric_limits<std::int32_t>::max();
  const double in = (shape.H + 2.0 * shape.R) * (shape.W + 2.0 * shape.S) * shape.N;
  const double out = static_cast<double>(shape.P) * shape.Q * shape.N + kLanes;
  const double channels = shape.C / shape.groups + kLanes;
  require(in <= limit && out <= limit,
          "convolution: one channel of all images has 2^31 elements or more; use a smaller batch");
  require(channels * shape.R * shape.S * shape.K <= limit,
          "convolution: the filters have 2^31 elements or more");
  const std::int64_t below = std::int64_t(shape.P - 1) * shape.stride_h - shape.pad_top;
  const std::int64_t right = std::int64_t(shape.Q - 1) * shape.stride_w - shape.pad_left;
  require(below < shape.H && right < shape.W && shape.pad_top < shape.R && shape.pad_left < shape.S,
          "convolution: a window that covers no pixel");
}

std::string to_string(const ConvConfig& config) {
  return std::to_string(config.tiles) + " tiles of " + std::to_string(config.tile_rows) + "x" +
         std::to_string(kLanes) + ", " + std::to_string(config.threads) + " threads, " +
         (config.splits == 1 ? std::string("sums whole")
                             : "sums in " + std::to_string(config.splits) + " parts") +
         ", reads of " + std::to_string((config.quads ? 4 : 1) * config.element_size) + " bytes";
}

}  // namespace alexnet
