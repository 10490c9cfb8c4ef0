// The first layer's launch; the kernel and the story are in first_layer_problem.h.

#include <algorithm>

#include "kernels/common/check.h"
#include "kernels/common/hopper/pipeline.h"
#include "kernels/conv/hopper/first_layer_hopper.h"
#include "kernels/conv/hopper/first_layer_problem.h"
#include "simt/hopper.h"

namespace alexnet {
namespace {

constexpr int kImages = kFirstLayerImages;
constexpr int kMostProducts = kFirstLayerProducts;
constexpr int kMultiprocessors = 132;  // of the largest Hopper GPU

simt::TensorMap map_of_x(const simt::bf16* x, const ConvShape& s) {
  simt::TensorMapSpec spec{};
  spec.base = x;
  spec.type = simt::ElementType::bfloat16;
  spec.rank = 4;
  const int sizes[] = {s.N, s.W, s.H, s.C};
  const int box[] = {kImages, s.S, s.R, s.C};
  std::uint64_t stride = sizeof(simt::bf16);
  for (int i = 0; i < 4; ++i) {
    spec.size[i] = sizes[i];
    spec.box[i] = box[i];
    if (i > 0) spec.stride[i - 1] = stride;
    stride *= sizes[i];
  }
  return simt::make_tensor_map(spec);
}

simt::TensorMap map_of_y(const simt::bf16* y, const ConvShape& s, int filters) {
  simt::TensorMapSpec spec{};
  spec.base = y;
  spec.type = simt::ElementType::bfloat16;
  spec.rank = 3;
  spec.size[0] = s.N;
  spec.size[1] = std::uint64_t(s.P) * s.Q;
  spec.size[2] = s.K;
  spec.stride[0] = s.N * sizeof(simt::bf16);
  spec.stride[1] = spec.size[1] * spec.stride[0];
  spec.box[0] = kImages;
  spec.box[1] = 1;
  spec.box[2] = filters;
  return simt::make_tensor_map(spec);
}

template <class Problem>
void start(const FirstLayerArguments& arguments, const FirstLayerHopperConfig& config,
           simt::stream_t stream) {
  launch_pipeline<Problem>(arguments, config.tiles, config.blocks, stream);
}

// The kernels. AlexNet's first layer sums 363 products, 23 wgmmas.
struct Instance {
  int filters, stages, steps;
  void (*start)(const FirstLayerArguments&, const FirstLayerHopperConfig&, simt::stream_t);
};
template <int kFilters, int kStages, int kSteps>
constexpr Instance kInstance = {kFilters, kStages, kSteps,
                                start<FirstLayerProblem<kFilters, kStages, kSteps>>};
constexpr int kAlexnetSteps = 23;
constexpr Instance kInstances[] = {kInstance<64, 3, kAlexnetSteps>, kInstance<96, 3, kAlexnetSteps>,
                                   kInstance<128, 2, kAlexnetSteps>, kInstance<64, 3, 0>,
                                   kInstance<128, 2, 0>};

// The first that has room for all filters, or the last there is.
const Instance& instance_for(int filters, int steps) {
  const Instance* found = nullptr;
  for (const Instance& one : kInstances) {
    if (one.steps != steps) continue;
    found = &one;
    if (one.filters >= filters) break;
  }
  return *found;
}

}  // namespace

bool conv_first_layer_hopper_fits(const ConvShape& s, const simt::bf16* x, const simt::bf16* y) {
  return s.groups == 1 && std::int64_t(s.C) * s.R * s.S <= kMostProducts &&
         std::max({s.C, s.R, s.S}) <= 256 && s.N % 8 == 0 && is_aligned(x, 16) && is_aligned(y, 16);
}

FirstLayerHopperConfig choose_conv_first_layer_hopper(const ConvShape& s) {
  FirstLayerHopperConfig config{};
  const int steps = (s.C * s.R * s.S + 15) / 16;
  const Instance& instance = instance_for(s.K, steps == kAlexnetSteps ? steps : 0);
  config.filters = instance.filters;
  config.stages = instance.stages;
  config.steps = instance.steps;
  config.launches = (s.K + config.filters - 1) / config.filters;
  const std::int64_t tiles = std::int64_t(s.P) * s.Q * ((s.N + kImages - 1) / kImages);
  require(tiles < std::int64_t{1} << 31, "conv_first_layer_hopper: too many positions and images");
  config.tiles = static_cast<int>(tiles);
  config.blocks = std::min(config.tiles, kMultiprocessors);
  return config;
}

std::string to_string(const FirstLayerHopperConfig& config) {
  const std::string launches = config.launches == 1 ? "" : std::to_string(config.launches) + " launches, ";
  return launches + "tiles of 64 images x " + std::to_string(config.filters) + " filters, " +
         std::to_string(config.stages) + " stages, " + std::to_string(config.tiles) + " tiles by " +
         std::to_string(config.blocks) + " blocks";
}

void conv_first_layer_hopper(const simt::bf16* x, const simt::bf16* w, const float* b, simt::bf16* y,
                             const ConvShape& shape, bool relu, const FirstLayerHopperConfig& config,
                             simt::stream_t stream) {
  require_valid(shape);
  require(conv_first_layer_hopper_fits(shape, x, y),
          "conv_first_layer_hopper: not for this shape or address");
  FirstLayerArguments arguments{};
  arguments.x = map_of_x(x, shape);
  arguments.y = map_of_y(y, shape, config.filters / 2);
  arguments.w = w;
  arguments.b = b;
  arguments.K = shape.K;
  arguments.products = shape.C * shape.R * shape.S;
  arguments.P = shape.P;
  arguments.Q = shape.Q;
  arguments.image_blocks = (shape.N + kImages - 1) / kImages;
  arguments.stride_h = shape.stride_h;
  arguments.stride_w = shape.stride_w;
  arguments.pad_top = shape.pad_top;
  arguments.pad_left = shape.pad_left;
  arguments.relu = relu;
  for (int launch = 0; launch < config.launches; ++launch) {
    arguments.first_filter = launch * config.filters;
    instance_for(config.filters, config.steps).start(arguments, config, stream);
  }
}

}  // namespace alexnet
