// The host's part of conv_fprop.cu and conv_dgrad.cu: what a tile costs, and how the arrays look to the copy
// engine.

#include "kernels/conv/hopper/conv_plan.h"

#include <algorithm>

#include "kernels/common/check.h"

namespace alexnet {
namespace {

// What the estimate knows of an H100 or H200, for each multiprocessor and cycle.
// The tensor cores' multiply-adds in bfloat16; long loops reach 0.93 of them.
constexpr double kProducts = 2048 * 0.93;
// Bytes from the L2 cache: 8 TB/s for 132 multiprocessors at 1.755 GHz, which other kernels have reached.
constexpr double kBytes = 34.5;
// A tile's cycles that hide behind nothing: the results' way to memory, and the end of the last wgmma.
constexpr double kTileCycles = 1500;

// What the copy engine asks for: base and strides in bytes, and the same in elements; the largest step
// between elements.
constexpr int kTmaBytes = 16;
constexpr int kTmaElements = kTmaBytes / sizeof(simt::bf16);
constexpr int kMostStep = 8;

constexpr int kMostPositions = 4;

int ceil_div(int a, int b) { return (a + b - 1) / b; }

// The places where no tap is skipped; positions: results that count as one place.
TapRange inside(const WindowAxis& axis, int positions) {
  const int places = ceil_div(axis.results, positions);
  const auto full = [&](int place) {
    const int first = place * positions;
    return axis.useful(first, std::min(first + positions, axis.results) - 1).count() == axis.taps;
  };
  int begin = 0;
  while (begin < places && !full(begin)) ++begin;
  int end = begin;
  while (end < places && full(end)) ++end;
  return {begin, end};
}

simt::TensorMap map_of(const void* base, int rank, const std::uint64_t (&size)[5],
                       const std::uint64_t (&stride)[4], const std::uint32_t (&box)[5],
                       std::uint32_t column_step = 1, simt::Swizzle swizzle = simt::Swizzle::bytes_128) {
  simt::TensorMapSpec spec{};
  spec.base = base;
  spec.type = simt::ElementType::bfloat16;
  spec.rank = rank;
  std::copy(size, size + 5, spec.size);
  std::copy(stride, stride + 4, spec.stride);
  std::copy(box, box + 5, spec.box);
  std::fill(spec.step, spec.step + 5, 1);
  spec.step[2] = column_step;
  spec.swizzle = swizzle;
  return simt::make_tensor_map(spec);
}

// An array [channels, rows, columns, images] of one group, and boxes of 64 images of it.
struct Images {
  const simt::bf16* base;
  int channels, rows, columns, images;

  std::uint64_t pixel() const { return std::uint64_t{sizeof(simt::bf16)} * images; }
};
struct ImageBox {
  int channels, columns, column_step, blocks;  // blocks: of 64 images, in map_of_blocks
};

simt::TensorMap map_of_images(const Images& of, const ImageBox& box) {
  const std::uint64_t size[5] = {std::uint64_t(of.images), std::uint64_t(of.channels),
                                 std::uint64_t(of.columns), std::uint64_t(of.rows), 0};
  const std::uint64_t stride[4] = {of.pixel() * of.columns * of.rows, of.pixel(), of.pixel() * of.columns, 0};
  const std::uint32_t box_size[5] = {64, std::uint32_t(box.channels), std::uint32_t(box.columns), 1, 0};
  return map_of(of.base, 4, size, stride, box_size, box.column_step);
}

// The same with whole blocks of 64 images as a dimension, so that one box takes several.
simt::TensorMap map_of_blocks(const Images& of, const ImageBox& box) {
  const std::uint64_t size[5] = {64, std::uint64_t(of.channels), std::uint64_t(of.columns),
                                 std::uint64_t(of.images / 64), std::uint64_t(of.rows)};
  const std::uint64_t stride[4] = {of.pixel() * of.columns * of.rows, of.pixel(), 64 * sizeof(simt::bf16),
                                   of.pixel() * of.columns};
  const std::uint32_t box_size[5] = {64, std::uint32_t(box.channels), std::uint32_t(box.columns),
                                     std::uint32_t(box.blocks), 1};
  return map_of(of.base, 5, size, stride, box_size, box.column_step);
}

// [channels of a group, taps, filters], of the filters of one group, in boxes [taps][channels][filters].
simt::TensorMap map_of_weights(const ConvPass& pass, const simt::bf16* base, const ConvHopperConfig& config) {
  const int filters = pass.backward ? pass.depth : pass.rows;
  const int channels = pass.backward ? pass.rows : pass.depth;
  const int taps = pass.down.taps * pass.across.taps;
  const int box_filters = pass.backward ? config.depth : 64;
  const int box_channels = pass.backward ? config.rows : config.depth;
  const std::uint64_t tap = std::uint64_t{sizeof(simt::bf16)} * filters * pass.groups;
  const std::uint64_t size[5] = {std::uint64_t(filters), std::uint64_t(channels), std::uint64_t(taps), 0, 0};
  const std::uint64_t stride[4] = {tap * taps, tap, 0, 0};
  const std::uint32_t box[5] = {std::uint32_t(box_filters), std::uint32_t(box_channels),
                                std::uint32_t(config.taps), 0, 0};
  return map_of(base, 3, size, stride, box, 1,
                box_filters == 64 ? simt::Swizzle::bytes_128 : simt::Swizzle::bytes_32);
}

ConvCut cut_of(const ConvPass& pass, const ConvHopperConfig& config) {
  const TapRange rows = inside(pass.down, 1);
  const TapRange columns = inside(pass.across, config.positions);
  ConvCut cut{};
  cut.down = pass.down;
  cut.across = pass.across;
  cut.places = {pass.down.results, ceil_div(pass.across.results, config.positions),
                rows.begin,        rows.end,
                columns.begin,     columns.end};
  while (cut.positions() < config.positions) ++cut.position_bits;
  cut.row_tiles = ceil_div(pass.rows, config.rows);
  cut.groups = pass.groups;
  cut.image_tiles = ceil_div(pass.images, config.columns / config.positions);
  return cut;
}

// The blocks work in rounds (pipeline.h). Before the last block of images a tile counts the average. There,
// tiles come longest first, and the next round goes the other way: who has a long tile gets a short one, so a
// round counts the mean of its first and last, and the last round its first.
double estimated_cycles(const ConvPass& pass, const ConvHopperConfig& config, int multiprocessors) {
  const ConvCut cut = cut_of(pass, config);
  const bool one_tap = config.taps == 1;
  const double products = double(config.rows) * config.columns * config.depth * config.taps;
  const double seen = one_tap ? 1 : double(config.positions + config.taps - 1) / config.positions;
  const double bytes =
      (double(config.rows) * config.taps + config.columns * seen) * config.depth * sizeof(simt::bf16);
  const double step = std::max(products / kProducts, bytes / kBytes) * ceil_div(pass.depth, config.depth);
  const auto steps_across = [&](int column) { return one_tap ? cut.columns_of({0, column}).count() : 1; };

  std::int64_t down = 0, across = 0;
  for (int row = 0; row < cut.places.rows; ++row) down += cut.rows_of({row, 0}).count();
  for (int column = 0; column < cut.places.columns; ++column) across += steps_across(column);
  const int tiles_of_place = cut.row_tiles * cut.groups;
  const int tiles = cut.tiles_of_images();
  const int before = tiles * (cut.image_tiles - 1);
  const double average = kTileCycles + step * down * across / (cut.places.rows * cut.places.columns);

  const auto cycles_of = [&](int tile) {
    const TilePlace place = cut.places.at(tile / tiles_of_place);
    return kTileCycles + step * cut.rows_of(place).count() * steps_across(place.column);
  };
  double cycles = before / multiprocessors * average;
  for (int first = -(before % multiprocessors); first < tiles; first += multiprocessors) {
    const int longest = std::max(first, 0);
    const int shortest = std::min(first + multiprocessors, tiles) - 1;
    const bool is_last = shortest == tiles - 1;
    cycles += is_last ? cycles_of(longest) : (cycles_of(longest) + cycles_of(shortest)) / 2;
  }
  return cycles;
}

bool can_take(const ConvKernel& kernel, const ConvPass& pass, int positions) {
  if (kernel.taps > 1) {
    return positions == kernel.positions && pass.across.taps == kernel.taps && pass.across.step == 1;
  }
  return (positions == 1 || positions == 2 || positions == kMostPositions) &&
         positions <= kernel.columns / 64;
}

}  // namespace

std::string to_string(const ConvHopperConfig& config) {
  return std::to_string(config.tiles) + " tiles of " + std::to_string(config.rows) + "x" +
         std::to_string(config.columns) + ", " + std::to_string(config.positions) + " positions of " +
         std::to_string(config.columns / config.positions) + " images, steps of " +
         std::to_string(config.depth) +
         (config.taps == 1 ? std::string() : " for " + std::to_string(config.taps) + " taps");
}

ConvPass forward_pass(const ConvShape& shape) {
  return {false,
          shape.K / shape.groups,
          shape.C / shape.groups,
          shape.groups,
          shape.N,
          {shape.P, shape.H, shape.R, shape.stride_h, -shape.pad_top, 1},
          {shape.Q, shape.W, shape.S, shape.stride_w, -shape.pad_left, 1}};
}

ConvPass backward_pass(const ConvShape& shape) {
  return {true,
          shape.C / shape.groups,
          shape.K / shape.groups,
          shape.groups,
          shape.N,
          {shape.H, shape.P, shape.R, 1, shape.pad_top, -1},
          {shape.W, shape.Q, shape.S, 1, shape.pad_left, -1}};
}

bool conv_fits(const ConvPass& pass, const ConvPointers& pointers) {
  const int filters = pass.backward ? pass.depth : pass.rows;
  for (const void* pointer : pointers) {
    if (!is_aligned(pointer, kTmaBytes)) return false;
  }
  if (pass.images % kTmaElements != 0 || filters % kTmaElements != 0) return false;
  if (pass.groups > kMostGroups) return false;
  for (const WindowAxis& axis : {pass.down, pass.across}) {
    if (axis.step > kMostStep) return false;
    for (int result = 0; result < axis.results; ++result) {
      if (axis.useful(result, result).count() <= 0) return false;
    }
  }
  return true;
}

ConvHopperConfig choose_conv(const ConvPass& pass, ConvKernels kernels, int multiprocessors) {
  ConvHopperConfig best{};
  double least = 0;
  for (const ConvKernel& kernel : kernels) {
    for (int positions = 1; positions <= kMostPositions; positions *= 2) {
      if (!can_take(kernel, pass, positions)) continue;
      const ConvHopperConfig config = configure_conv(pass, kernel, positions);
      const double cycles = estimated_cycles(pass, config, multiprocessors);
      if (best.tiles > 0 && cycles >= least) continue;
      best = config;
      least = cycles;
    }
  }
  return best;
}

const ConvKernel& find_conv(ConvKernels kernels, int rows, int columns, int depth) {
  for (const ConvKernel& kernel : kernels) {
    if (kernel.rows == rows && kernel.columns == columns && kernel.depth == depth) return kernel;
  }
  throw std::invalid_argument("convolution: no kernel for tiles of " + std::to_string(rows) + "x" +
                              std::to_string(columns) + " in steps of " + std::to_string(depth));
}

ConvHopperConfig configure_conv(const ConvPass& pass, const ConvKernel& kernel, int positions) {
  require(can_take(kernel, pass, positions),
          "convolution: the kernel for tiles of " + std::to_string(kernel.rows) + "x" +
              std::to_string(kernel.columns) + " in steps of " + std::to_string(kernel.depth) +
              " cannot take this shape, or not with " + std::to_string(positions) + " positions");
  ConvHopperConfig config{kernel.rows, kernel.columns, kernel.depth, positions, kernel.taps, 0};
  const ConvCut cut = cut_of(pass, config);
  const double tiles = double(cut.row_tiles) * cut.groups * cut.places.rows * cut.places.columns;
  require(tiles * cut.image_tiles < 1e9, "convolution: more tiles than a kernel counts");
  config.tiles = cut.tiles();
  return config;
}

ConvHopperArguments conv_arguments(const ConvPass& pass, const ConvArrays& arrays,
                                   const ConvHopperConfig& config) {
  ConvHopperArguments g{};
  g.cut = cut_of(pass, config);
  g.rows = pass.rows;
  g.depth = pass.depth;
  g.masked = arrays.mask != nullptr;
  g.all_blocks = config.taps == 1 && pass.images % 64 == 0;
  const WindowAxis& down = pass.down;
  const WindowAxis& across = pass.across;
  const std::int64_t pixels_of_group = std::int64_t(pass.depth) * down.pixels * across.pixels * pass.images;
  const std::int64_t results_of_group = std::int64_t(pass.rows) * down.results * across.results * pass.images;
  const int columns = (config.positions - 1) * across.step + config.taps;
  const int step = config.positions == 1 ? 1 : across.step;
  for (int group = 0; group < pass.groups; ++group) {
    const auto map_of_pixels = g.all_blocks ? map_of_blocks : map_of_images;
    const auto map_of_result = [&](const simt::bf16* base) {
      return map_of_images(
          {base + group * results_of_group, pass.rows, down.results, across.results, pass.images},
          {64, 1, 1, 1});
    };
    ConvMaps& maps = g.maps[group];
    maps.pixels = map_of_pixels(
        {arrays.pixels + group * pixels_of_group, pass.depth, down.pixels, across.pixels, pass.images},
        {config.depth, columns, step, config.columns / 64 / config.positions});
    maps.weights = map_of_weights(
        pass, arrays.weights + std::int64_t(group) * (pass.backward ? pass.depth : pass.rows), config);
    maps.result = map_of_result(arrays.result);
    if (g.masked) maps.mask = map_of_result(arrays.mask);
  }
  return g;
}

}  // namespace alexnet
