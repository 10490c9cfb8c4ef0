// Gradient of a convolution's filters on Hopper's tensor cores: x and dy bfloat16, dw float32. Stories:
//
//   wgrad_plan.h                how the sums are cut into pieces and dealt to the multiprocessors
//   wgrad_problem.h             what a block does: the copies and products of a step
//   conv_wgrad.cu               the tiles of most layers
//   conv_first_layer_wgrad.cu   the tile of images of few channels, conv1's
//   wgrad_sum.cu                adds the pieces, and updates the filters if asked to
//   wgrad_plan.cu               which tiles a shape gets
//
// For host files too: nothing here needs hopper.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/conv/conv.h"
#include "kernels/sgd/sgd.h"
#include "simt/simt.h"

namespace alexnet {

// What the copy engine asks for: N is a multiple of 8, x and dy lie at multiples of 16 bytes (`aligned`). Few
// shapes beyond that are refused, see wgrad_plan.cu. `shape` must be valid.
bool conv_wgrad_hopper_fits(const ConvShape& shape, bool aligned);

// How a launch is cut. A tile is tile_filters x tile_inputs of dw, where an input is what one weight of a
// filter multiplies: a channel at a tap. Its inputs are a box of box_channels channels at box_rows x
// box_columns taps.
struct ConvWgradHopperConfig {
  int tile_filters, tile_inputs;
  bool filters_are_rows;  // of the accumulators; else the inputs are
  int box_channels, box_rows, box_columns;
  int tiles = 0;
  int blocks = 0;
};

// `shape` must fit. multiprocessors: of the device, simt::gpu().multiprocessors. Depends on sizes alone,
// neither on stride nor on padding.
ConvWgradHopperConfig choose_conv_wgrad_hopper(const ConvShape& shape, int multiprocessors);
std::string to_string(const ConvWgradHopperConfig& config);

// Bytes of the workspace, never 0. Like the bits of dw it depends on the number of multiprocessors.
std::size_t conv_wgrad_hopper_workspace_bytes(const ConvShape& shape, int multiprocessors);

// What a filter gradient results in. dw [C/groups, R, S, K] and db [K] are written, w and the bias updated
// along with it (sgd.h); whatever is null is left out.
struct ConvWgradResult {
  float* dw = nullptr;
  float* db = nullptr;
  SgdUpdate filters;
  SgdUpdate bias;
};

// Whether db and the update of the bias can be had along with dw, nearly for nothing: where the sum of some
// tile goes over all of dy, as those of the middle tap do if padding keeps the size. Else bias_grad has to
// read dy again.
bool conv_wgrad_hopper_gives_db(const ConvShape& shape, int multiprocessors);

// workspace: conv_wgrad_hopper_workspace_bytes(shape, multiprocessors) bytes at a multiple of 16. No two
// arrays overlap.
void conv_wgrad_hopper(const simt::bf16* x, const simt::bf16* dy, const ConvWgradResult& result,
                       const ConvShape& shape, float* workspace, int multiprocessors, simt::stream_t stream);

}  // namespace alexnet
