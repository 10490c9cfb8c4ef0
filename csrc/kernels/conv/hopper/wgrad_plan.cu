// Which tiles a filter gradient is cut into. The terms are those of wgrad_plan.h.

#include "kernels/conv/hopper/wgrad_plan.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "kernels/common/check.h"
#include "kernels/common/memo.h"

namespace alexnet {
namespace {

struct TileSize {
  int filters, inputs;
  bool filters_are_rows;
};

// All sizes that are compiled, and what for. Rows come in blocks of 64, one or two for each consumer; columns
// are what one wgmma multiplies, at most 256. 192 filters are half of conv3's 384 and a group of conv4; 256
// inputs are conv3's channels, 192 those of a group of conv4 and conv5, and 240 five taps x 48 channels of
// conv2. 64 filters are for small nets. 96 x 384 is conv1 with all its inputs, conv_first_layer_wgrad.cu.
constexpr TileSize kTileSizes[] = {{192, 256, false}, {256, 192, true}, {192, 192, true},
                                   {128, 256, true},  {128, 240, true}, {128, 192, true},
                                   {64, 256, true},   {64, 128, true},  {96, 384, false}};
constexpr int kFirstLayerInputs = 384;

constexpr int kMostInBox = 256;  // along one axis, for the copy engine

constexpr int kMostTiles = 65535;  // one dimension of wgrad_sum.cu's grid

// What a multiprocessor of an H200 does in a microsecond: 90 % of the 790 TFLOP/s that were measured for
// large products, and its share of 8 TB/s, which is what is known to come from the L2 cache. Estimates, which
// order the sizes and no more.
constexpr double kMultiplyAdds = 0.9 * 790e6 / 2 / 132;
constexpr double kBytes = 8e6 / 132;

// Fewer steps than this in a block do not fill the pipeline.
constexpr int kLeastSteps = 4;

int ceil_div(int a, int b) { return (a + b - 1) / b; }

struct Choice {
  ConvWgradHopperConfig config;
  double cost;  // microseconds
};

// Whether all numbers of the plan have room. At most as many boxes as taps, at most as many steps as that.
bool is_too_large(const ConvShape& shape, const ConvWgradHopperConfig& config) {
  const double boxes = double(ceil_div(shape.R, config.box_rows)) * ceil_div(shape.S, config.box_columns);
  const double tiles = boxes * shape.groups * ceil_div(shape.C / shape.groups, config.box_channels) *
                       ceil_div(shape.K / shape.groups, config.tile_filters);
  const double steps = tiles * shape.P * shape.Q * ceil_div(shape.N, kImages);
  return boxes > kMostBoxes || tiles > kMostTiles || steps > std::numeric_limits<int>::max() / 2;
}

// All outputs along one axis that the boxes of taps see, one box after the other.
int outputs_of_boxes(int taps, int of_box, int outputs, int size, int stride, int pad) {
  int sum = 0;
  for (int tap = 0; tap < taps; tap += of_box) {
    sum += useful_outputs(tap, std::min(tap + of_box, taps) - 1, outputs, size, stride, pad).count;
  }
  return sum;
}

Choice evaluate(const ConvShape& shape, ConvWgradHopperConfig config, int multiprocessors) {
  if (is_too_large(shape, config)) return {config, -1};
  const int tiles_of_box = shape.groups * ceil_div(shape.C / shape.groups, config.box_channels) *
                           ceil_div(shape.K / shape.groups, config.tile_filters);
  const int rows =
      outputs_of_boxes(shape.R, config.box_rows, shape.P, shape.H, shape.stride_h, shape.pad_top);
  const int columns =
      outputs_of_boxes(shape.S, config.box_columns, shape.Q, shape.W, shape.stride_w, shape.pad_left);
  const int steps = tiles_of_box * rows * columns * ceil_div(shape.N, kImages);
  config.tiles = tiles_of_box * ceil_div(shape.R, config.box_rows) * ceil_div(shape.S, config.box_columns);
  config.blocks = std::clamp(steps / kLeastSteps, 1, multiprocessors);

  // A wgmma of few columns is limited by what it reads from shared memory.
  const int width = config.filters_are_rows ? config.tile_inputs : config.tile_filters;
  const double rate = kMultiplyAdds * (width >= 192 ? 1.0 : width >= 128 ? 0.93 : 0.85);
  const double tile = double(config.tile_filters) * config.tile_inputs;
  const double box = double(config.box_channels) * config.box_rows * config.box_columns;
  const double step =
      std::max(tile * kImages / rate, (config.tile_filters + box) * kImages * sizeof(simt::bf16) / kBytes);
  // Every piece is written and read once, by all multiprocessors together.
  const double piece = 2.0 * sizeof(float) * tile / kBytes;
  const double pieces = 1 + (config.tiles - 1.0) / config.blocks;
  return {config, ceil_div(steps, config.blocks) * step + pieces * piece};
}

// The stride and padding that the sizes suggest, with equal padding on all sides. The choice goes by these
// and not by the real ones, so that it, and the workspace, depend on the arrays' sizes alone.
ConvShape as_sizes_suggest(ConvShape shape) {
  const auto stride = [](int size, int outputs) { return std::max(1, (size + outputs / 2) / outputs); };
  const auto pad = [](int size, int taps, int outputs, int stride) {
    return std::clamp(((outputs - 1) * stride + taps - size + 1) / 2, 0, taps - 1);
  };
  shape.stride_h = stride(shape.H, shape.P);
  shape.stride_w = stride(shape.W, shape.Q);
  shape.pad_top = pad(shape.H, shape.R, shape.P, shape.stride_h);
  shape.pad_left = pad(shape.W, shape.S, shape.Q, shape.stride_w);
  return shape;
}

void keep_better(Choice& best, const Choice& other) {
  if (other.cost >= 0 && (best.cost < 0 || other.cost < best.cost)) best = other;
}

// All boxes that a tile of that size can hold: a run of taps of a row, or several whole rows.
void try_size(const ConvShape& shape, const TileSize& size, int multiprocessors, Choice& best) {
  const int channels = shape.C / shape.groups;
  const auto try_box = [&](int rows, int columns) {
    const int most = std::min(size.inputs / (rows * columns), kMostInBox);
    if (most == 0 || columns > kMostInBox) return;
    // Equal shares rather than full tiles and a small rest.
    const int share = ceil_div(channels, ceil_div(channels, most));
    keep_better(best,
                evaluate(shape, {size.filters, size.inputs, size.filters_are_rows, share, rows, columns},
                         multiprocessors));
  };
  for (int columns = 1; columns <= std::min(shape.S, size.inputs); ++columns) try_box(1, columns);
  for (int rows = 2; rows <= std::min(shape.R, size.inputs / shape.S); ++rows) try_box(rows, shape.S);
}

// `shape` as its sizes suggest.
Choice choose_by_sizes(const ConvShape& shape, int multiprocessors) {
  Choice best{{}, -1};
  for (const TileSize& size : kTileSizes) {
    if (size.inputs != kFirstLayerInputs) {
      try_size(shape, size, multiprocessors, best);
    } else if (shape.groups == 1 && std::int64_t(shape.C) * shape.R * shape.S <= size.inputs &&
               std::max({shape.C, shape.R, shape.S}) <= kMostInBox) {
      keep_better(
          best, evaluate(shape, {size.filters, size.inputs, size.filters_are_rows, shape.C, shape.R, shape.S},
                         multiprocessors));
    }
  }
  return best;
}

// A cost below 0 where no tile fits. A launch asks this up to six times, its operation included.
Choice choose(const ConvShape& shape, int multiprocessors) {
  thread_local Memo<std::pair<ConvShape, int>, Choice> chosen;
  return chosen.of({shape, multiprocessors},
                   [&] { return choose_by_sizes(as_sizes_suggest(shape), multiprocessors); });
}

// All of a plan but how many steps a block does.
WgradPlan cut(const ConvShape& shape, const ConvWgradHopperConfig& config) {
  WgradPlan plan{};
  plan.config = config;
  plan.shape = shape;
  plan.filter_tiles = ceil_div(plan.filters(), config.tile_filters);
  plan.channel_tiles = ceil_div(plan.channels(), config.box_channels);
  plan.boxes_across = ceil_div(shape.S, config.box_columns);
  plan.boxes = plan.boxes_across * ceil_div(shape.R, config.box_rows);
  plan.image_blocks = ceil_div(shape.N, kImages);
  plan.db_box = -1;
  for (int box = 0; box < plan.boxes; ++box) {
    const int positions = plan.rows_of(box).count * plan.columns_of(box).count;
    plan.starts[box + 1] = plan.starts[box] + positions * plan.image_blocks;
    if (plan.db_box < 0 && positions == shape.P * shape.Q) plan.db_box = box;
  }
  return plan;
}

}  // namespace

bool conv_wgrad_hopper_fits(const ConvShape& shape, bool aligned) {
  return aligned && shape.N % 8 == 0 && choose(shape, 1).cost >= 0;
}

ConvWgradHopperConfig choose_conv_wgrad_hopper(const ConvShape& shape, int multiprocessors) {
  require(multiprocessors >= 1, "conv_wgrad_hopper: a GPU has at least 1 multiprocessor");
  const Choice best = choose(shape, multiprocessors);
  require(best.cost >= 0, "conv_wgrad_hopper: no tile fits this shape");
  return best.config;
}

std::size_t conv_wgrad_hopper_workspace_bytes(const ConvShape& shape, int multiprocessors) {
  const WgradPlan plan = cut(shape, choose_conv_wgrad_hopper(shape, multiprocessors));
  return sizeof(float) * plan.piece_size() * plan.pieces();
}

std::string to_string(const ConvWgradHopperConfig& config) {
  const auto text = [](int number) { return std::to_string(number); };
  return text(config.tiles) + " tiles of " + text(config.tile_filters) + " filters x " +
         text(config.tile_inputs) + " inputs, boxes of " + text(config.box_channels) + " channels at " +
         text(config.box_rows) + "x" + text(config.box_columns) + " taps, " + text(config.blocks) + " blocks";
}

WgradPlan make_plan(const ConvShape& shape, const ConvWgradHopperConfig& config) {
  WgradPlan plan = cut(shape, config);
  plan.block_steps = ceil_div(plan.steps(), config.blocks);
  plan.config.blocks = ceil_div(plan.steps(), plan.block_steps);
  return plan;
}

bool conv_wgrad_hopper_gives_db(const ConvShape& shape, int multiprocessors) {
  return make_plan(shape, choose_conv_wgrad_hopper(shape, multiprocessors)).db_box >= 0;
}

void conv_wgrad_hopper(const simt::bf16* x, const simt::bf16* dy, const ConvWgradResult& result,
                       const ConvShape& shape, float* workspace, int multiprocessors, simt::stream_t stream) {
  require_valid(shape);
  require(conv_wgrad_hopper_fits(shape, is_aligned(x, 16) && is_aligned(dy, 16)),
          "conv_wgrad_hopper: N must be a multiple of 8, and x and dy at multiples of 16 bytes");
  require(workspace != nullptr && is_aligned(workspace, 16),
          "conv_wgrad_hopper: wants a workspace at a multiple of 16 bytes");
  for (const SgdUpdate& update : {result.filters, result.bias}) {
    require(update.w == nullptr || update.v != nullptr, "conv_wgrad_hopper: an update wants w and v");
  }
  const WgradPlan plan = make_plan(shape, choose_conv_wgrad_hopper(shape, multiprocessors));
  const bool with_db = result.db != nullptr || result.bias.w != nullptr;
  require(!with_db || plan.db_box >= 0,
          "conv_wgrad_hopper: no tile of this shape sees all of dy; use bias_grad");
  const bool first_layer = plan.config.tile_inputs == kFirstLayerInputs;
  const auto first_half = first_layer ? conv_first_layer_wgrad_pieces : conv_wgrad_pieces;
  first_half(x, dy, workspace, plan, with_db, stream);
  sum_pieces(workspace, plan, result, stream);
}

}  // namespace alexnet
