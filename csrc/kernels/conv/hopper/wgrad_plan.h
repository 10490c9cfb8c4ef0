// How the sums of a filter gradient are cut: into tiles of dw, the steps of each tile, and the blocks that do
// them.
//
// Tiles. The inputs of a tile (its (tap, channel) pairs) are one box of x at each position: box_channels
// channels at box_rows x box_columns neighbouring taps. Tiles are numbered with the filters fastest, then the
// channels, then the groups, and the box of taps slowest:
//
//     conv2 (5x5, 48 channels a group): box 48 x 1x5     conv3 (3x3, 256 channels): box 256 x 1x1
//
//       taps  +-----------+  tiles 0, 1: its two groups     taps  +---+---+---+  tiles 0, 1: filters 0 to
//             | x x x x x |                                       | x |   |   |  191 and 192 to 383
//             +-----------+  tiles 2, 3                           +---+---+---+
//             | x x x x x |                                       |   |   |   |
//             +-----------+                                       +---+---+---+
//              ...                                                 ...
//
// Steps. A step is one output position (p, q) and 64 images. A tile sums over all positions where any of its
// taps lies inside the image; the others would add zeros. With one tap to a box that skips all padding:
//
//     3x3, pad 1, 13x13 outputs      taps: corners 12 * 12, edges 12 * 13, middle 13 * 13 positions
//
// Blocks. All tiles' steps, one tile after the other, are a line, which is cut into equal parts, one for each
// multiprocessor: so none is idle, whatever the number of tiles is and however unequal they are.
//
//     line     | tile 0              | tile 1              | tile 2              |
//     blocks   | block 0      | block 1      | block 2      | block 3      | ...
//
// What a block does of a tile is a piece. Block b's sums for tile t go to place b + t of the workspace: from
// one piece to the next either b or t grows by one, or both, so no place is used twice, and the pieces of a
// tile lie one after another. wgrad_sum.cu adds them in that order.
//
// Dealing. Which of a tile's steps does a piece do? If each took a run of them, blocks would read all over x
// and dy at any moment, and at 1024 images these are far larger than the L2 cache. So the steps are dealt
// like cards, in order of time, to the blocks that are at work on the tile at that time:
//
//     time         0    1    2    3    4    5
//     block 0                     5    7    9       (its times 0 to 2 went to the tile before)
//     block 1      0    2    4    6    8   10
//     block 2      1    3                           (its times from 2 on go to the next tile)
//
// and all blocks go through the positions together, from first to last.
#pragma once

#include <cstdint>

#include "kernels/conv/hopper/wgrad_hopper.h"

namespace alexnet {

constexpr int kImages = 64;      // of a step: what fills the 128 bytes of a swizzled row
constexpr int kMostBoxes = 128;  // of taps

// The outputs along one axis that are summed.
struct Outputs {
  int begin, count;
};

// Those that read inside the image at any of the taps `first` to `last`. At least one, even where none does:
// then a tile adds zeros once, and every tile has a piece.
__host__ __device__ inline Outputs useful_outputs(int first, int last, int outputs, int size, int stride,
                                                  int pad) {
  const int low = pad - last;               // output * stride >= low
  const int high = size - 1 + pad - first;  // output * stride <= high
  const int begin = low > 0 ? (low + stride - 1) / stride : 0;
  const int end = high < 0 ? 0 : high / stride + 1;
  if (begin >= outputs) return {outputs - 1, 1};
  const int count = (end < outputs ? end : outputs) - begin;
  return {begin, count > 0 ? count : 1};
}

// A tile of dw. channel and filter count within the group; r and s are the first taps of its box.
struct WgradTile {
  int index;
  int group, channel, filter;
  int r, s;
  Outputs p, q;
  int begin, end;  // its steps on the line
};

struct WgradPlan {
  ConvWgradHopperConfig config;
  ConvShape shape;
  int filter_tiles, channel_tiles;  // of a group
  int boxes_across, boxes;          // of taps
  int image_blocks;                 // of 64
  int db_box;                       // the first box for which all positions are summed, or -1
  int block_steps;                  // of each block; the last one may have fewer
  int starts[kMostBoxes + 1];       // starts[i]: the steps of one tile at each of the boxes before i

  __host__ __device__ int tiles_of_box() const { return shape.groups * channel_tiles * filter_tiles; }
  __host__ __device__ int steps() const { return starts[boxes] * tiles_of_box(); }
  __host__ __device__ int pieces() const { return config.blocks + config.tiles - 1; }
  __host__ __device__ int filters() const { return shape.K / shape.groups; }
  __host__ __device__ int channels() const { return shape.C / shape.groups; }
  __host__ __device__ int box_size() const {
    return config.box_channels * config.box_rows * config.box_columns;
  }
  // Floats of a piece: the sums of a tile, then four for each filter whose sum is db.
  __host__ __device__ int sums_of_tile() const { return config.tile_filters * config.tile_inputs; }
  __host__ __device__ int piece_size() const { return sums_of_tile() + 4 * config.tile_filters; }

  // Whether the blocks that work on this tile add up dy as well: one tile for each of its filters does.
  __host__ __device__ bool gives_db(const WgradTile& tile) const {
    return tile.index / tiles_of_box() == db_box && tile.channel == 0;
  }

  __host__ __device__ Outputs rows_of(int box) const {
    const int first = box / boxes_across * config.box_rows;
    const int end = first + config.box_rows;
    return useful_outputs(first, (end < shape.R ? end : shape.R) - 1, shape.P, shape.H, shape.stride_h,
                          shape.pad_top);
  }
  __host__ __device__ Outputs columns_of(int box) const {
    const int first = box % boxes_across * config.box_columns;
    const int end = first + config.box_columns;
    return useful_outputs(first, (end < shape.S ? end : shape.S) - 1, shape.Q, shape.W, shape.stride_w,
                          shape.pad_left);
  }

  __host__ __device__ WgradTile tile(int index) const {
    const int box = index / tiles_of_box();
    const int of_box = index % tiles_of_box();
    const int steps = starts[box + 1] - starts[box];
    WgradTile tile;
    tile.index = index;
    tile.filter = of_box % filter_tiles * config.tile_filters;
    tile.channel = of_box / filter_tiles % channel_tiles * config.box_channels;
    tile.group = of_box / filter_tiles / channel_tiles;
    tile.r = box / boxes_across * config.box_rows;
    tile.s = box % boxes_across * config.box_columns;
    tile.p = rows_of(box);
    tile.q = columns_of(box);
    tile.begin = starts[box] * tiles_of_box() + of_box * steps;
    tile.end = tile.begin + steps;
    return tile;
  }

  // The index of the tile that a step of the line belongs to.
  __host__ __device__ int tile_of(int step) const {
    int box = 0;
    while (step >= starts[box + 1] * tiles_of_box()) ++box;
    return box * tiles_of_box() + (step - starts[box] * tiles_of_box()) / (starts[box + 1] - starts[box]);
  }
};

// The blocks that a tile is dealt to: `first` from time `from` on, `last` until time `to`, those between all
// the time.
struct Deal {
  int first, last;
  int from, to;

  __host__ __device__ Deal(const WgradTile& tile, int block_steps)
      : first(tile.begin / block_steps),
        last((tile.end - 1) / block_steps),
        from(tile.begin % block_steps),
        to((tile.end - 1) % block_steps + 1) {}

  // When a block begins with the tile, and how many steps it does.
  __host__ __device__ int begin(int block) const { return block == first ? from : 0; }
  __host__ __device__ int count(int block, int block_steps) const {
    return (block == last ? to : block_steps) - begin(block);
  }

  // What a block does at a time: the number of the step within the tile.
  __host__ __device__ int step(int block, int time) const {
    if (first == last) return time - from;
    const int between = last - first - 1;
    const int by_first = time > from ? time - from : 0;
    const int by_last = time < to ? time : to;
    const int before = by_first + between * time + by_last;
    const bool first_is_here = time >= from;
    return before + (block == first ? 0 : block - first - 1 + first_is_here);
  }
};

// The plan of a choice, with the steps that the shape's stride and padding leave.
WgradPlan make_plan(const ConvShape& shape, const ConvWgradHopperConfig& config);

// The first half, by the kernels' files.
void conv_wgrad_pieces(const simt::bf16* x, const simt::bf16* dy, float* pieces, const WgradPlan& plan,
                       bool with_db, simt::stream_t stream);
void conv_first_layer_wgrad_pieces(const simt::bf16* x, const simt::bf16* dy, float* pieces,
                                   const WgradPlan& plan, bool with_db, simt::stream_t stream);

// The second half: adds the pieces of every tile.
void sum_pieces(const float* pieces, const WgradPlan& plan, const ConvWgradResult& result,
                simt::stream_t stream);

}  // namespace alexnet
