// The first layer's convolution, bfloat16, on Hopper's matrix units. The kernel and the story are in
// first_layer_problem.h.
#pragma once

#include <string>

#include "kernels/conv/conv.h"
#include "simt/simt.h"

namespace alexnet {

// `launches` launches of one kernel, each for `filters` filters (64, 96 or 128, some of which may not exist),
// whose ring has `stages` stages; `steps` wgmmas of 16 products a tile, or 0 where a loop counts them;
// `blocks` blocks share the `tiles` pairs of a position and 64 images.
struct FirstLayerHopperConfig {
  int filters, stages, steps;
  int launches;
  int tiles, blocks;
};

// Whether the kernel takes this shape and these arrays: one group of at most 384 taps * channels, a number of
// images that is a multiple of 8, x and y at multiples of 16 bytes.
bool conv_first_layer_hopper_fits(const ConvShape& shape, const simt::bf16* x, const simt::bf16* y);

// `shape` fits.
FirstLayerHopperConfig choose_conv_first_layer_hopper(const ConvShape& shape);
std::string to_string(const FirstLayerHopperConfig& config);

// y = conv(x, w) + b, negative results 0 if `relu` (NaN stays), for what fits, on a GPU of compute capability
// 9.0. x [C, H, W, N], w [C, R, S, K], y [K, P, Q, N]; b [K] or null. y overlaps nothing else. `config` is
// the chosen one, or has another number of blocks.
void conv_first_layer_hopper(const simt::bf16* x, const simt::bf16* w, const float* b, simt::bf16* y,
                             const ConvShape& shape, bool relu, const FirstLayerHopperConfig& config,
                             simt::stream_t stream);

}  // namespace alexnet
