// Convolution forward and its gradient of x on the tensor cores of compute capability 9.0: x, w, y in
// bfloat16, sums and bias in float32. Arrays are those of conv.h. Host files can include this: it knows
// nothing of the GPU.
//
//   conv_fprop.cu    y from x and w, with bias and ReLU     conv_problem.h       steps of one tap
//   conv_dgrad.cu    dx from dy and w, stride 1             conv_row_problem.h   steps of a row of taps
//   conv_plan.cu     which tiles, and tensor maps           conv_tiles.h         what both have in common
//                                                           conv_cut.h           tiles and their order
#pragma once

#include <string>

#include "kernels/conv/conv.h"
#include "simt/simt.h"

namespace alexnet {

// How a launch is cut. A tile is `rows` filters (channels in dgrad) x `columns`: `positions` neighbours of a
// row of the result, each with columns / positions images. A step sums `depth` channels (filters) of `taps`
// taps, one or a row of the filter.
struct ConvHopperConfig {
  int rows, columns, depth, positions, taps;
  int tiles;
};
std::string to_string(const ConvHopperConfig& config);

// Whether the kernels take this call; what they do not, the general kernels do. Asked for: `shape` valid; N
// and K multiples of 8, since the copy engine's rows are multiples of 16 bytes; all arrays at multiples of 16
// bytes; at most two groups, and then the filters of each a multiple of 8; strides up to 8. dgrad: stride 1,
// and every pixel under some window.
bool conv_fprop_hopper_fits(const ConvShape& shape, const simt::bf16* x, const simt::bf16* w,
                            const simt::bf16* y);
bool conv_dgrad_hopper_fits(const ConvShape& shape, const simt::bf16* dy, const simt::bf16* w,
                            const simt::bf16* relu_y, const simt::bf16* dx);

// The fastest cut by estimate, of a shape that fits. multiprocessors: of the device.
ConvHopperConfig choose_conv_fprop_hopper(const ConvShape& shape, int multiprocessors);
ConvHopperConfig choose_conv_dgrad_hopper(const ConvShape& shape, int multiprocessors);

// A cut by its sizes, for those who measure. Throws std::invalid_argument when no kernel has them.
ConvHopperConfig conv_fprop_hopper_config(const ConvShape& shape, int rows, int columns, int depth,
                                          int positions);
ConvHopperConfig conv_dgrad_hopper_config(const ConvShape& shape, int rows, int columns, int depth,
                                          int positions);

// y = conv(x, w) + b, negative results 0 if `relu` (NaN stays). b may be null. y overlaps nothing else.
// Throws std::invalid_argument for a call that does not fit. At most `multiprocessors` blocks, each on one.
void conv_fprop_hopper(const simt::bf16* x, const simt::bf16* w, const float* b, simt::bf16* y,
                       const ConvShape& shape, bool relu, const ConvHopperConfig& config, int multiprocessors,
                       simt::stream_t stream);

// dx, the gradient of x. relu_y [C, H, W, N] or null: dx is 0 where it is 0 or negative.
void conv_dgrad_hopper(const simt::bf16* dy, const simt::bf16* w, const simt::bf16* relu_y, simt::bf16* dx,
                       const ConvShape& shape, const ConvHopperConfig& config, int multiprocessors,
                       simt::stream_t stream);

}  // namespace alexnet
