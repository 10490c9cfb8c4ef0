// Gradient of the filters on the matrix units: dw[c, r, s, k] = sum over p, q, n of
// x[c, p*stride-pad+r, q*stride-pad+s, n] * dy[k, p, q, n]. Read wgrad_plan.h and common/hopper/pipeline.h
// first, and ../conv_wgrad.cu, which does the same without them.
//
// In both x and dy the images are contiguous, and the sum is over images: a step of 64 images at one position
// (p, q) is a product of two matrices whose rows are 128 bytes along the sum, wgmma's Major::k for both.
// Nothing is turned, packed or gathered. Padding is the copy engine's: a box may begin at pixel -1.
//
//     dw as a matrix             inputs: a box of x, for conv2 5 taps x 48 channels
//                               +----------------------------------------+
//     filters: a box of dy      | 128 x 240 sums in the registers of two |    a step: 64 images at (p, q)
//                               | consumers, 64 filters each             |
//                               +----------------------------------------+
//
//     a stage (128 x 240: 46 KB, four of them)
//        dy   filter 0    | 64 images: 128 bytes, in 16-byte pieces exchanged by the copy engine |
//             ...
//             filter 127
//        x    input 0     | 64 images |    input i: tap i / 48 of the box, channel i % 48
//             ...
//             input 239
//        rows of x that the box does not fill (box 5 x 32 in a tile of 256): zeros, and ones in the first of
//        them, written once by all threads. Multiplied with dy, ones give the sum of dy (wgrad_sum.cu)
//
// Who waits for whom, in a block that has 3 steps of tile 4 and then 5 of tile 5 (s0 ... s3: stages):
//
//     producer     copies into s0 s1 s2 (tile 4), s3 (tile 5); then waits for s0 to be empty, s1, ...
//     consumers    wait for s0 full; wgmma; s1; s0 empty; s2; s1 empty; all done, s2 empty; sums of tile 4
//                  from registers to place block + 4 of the workspace, while tile 5's copies arrive; s3 full
//                  ...
//
// Which operand is rows. Filters, as a rule: consumers share rows in blocks of 64, and 2012's layers have 128
// or 192 filters a group, while columns can be any multiple of 8 up to 256. For conv3, 192 filters x 256
// channels, it is the other way round: 4 x 64 inputs, two blocks for each of two consumers, which with 192
// sums a thread read less of shared memory for each product than three consumers with 128 would. For the
// stores it is all one, since a piece is written as the registers hold it; only wgrad_sum.cu, which writes a
// weight once, needs to know.
//
// What limits it: the matrix units, at 90 % of what a large product reaches, for tiles of 192 x 192 and more;
// what the L2 cache delivers (49 KB for each 2.1 million multiply-adds) for 128 x 256 and less. Both are
// arithmetic and not yet measured.

#include "kernels/common/check.h"
#include "kernels/conv/hopper/wgrad_problem.h"

namespace alexnet {
namespace {

constexpr int kStages = 4;  // of up to 56 KB

template <int kRows, int kColumns, int kConsumers, bool kFiltersAreRows>
bool launch_if_chosen(const simt::bf16* x, const simt::bf16* dy, float* pieces, const WgradPlan& plan,
                      bool with_db, simt::stream_t stream) {
  using Problem = WgradProblem<kRows, kColumns, kConsumers, kFiltersAreRows, kStages>;
  const ConvWgradHopperConfig& config = plan.config;
  if (config.tile_filters != Problem::kFilters || config.tile_inputs != Problem::kInputs) return false;
  launch_pipeline<Problem>(Problem::arguments(x, dy, pieces, plan, with_db), config.blocks, config.blocks,
                           stream);
  return true;
}

// The instances: rows, columns, consumers, whether the rows are filters. kTileSizes of wgrad_plan.cu.
constexpr auto kLaunchers = {
    launch_if_chosen<256, 192, 2, false>, launch_if_chosen<256, 192, 2, true>,
    launch_if_chosen<192, 192, 3, true>,  launch_if_chosen<128, 256, 2, true>,
    launch_if_chosen<128, 240, 2, true>,  launch_if_chosen<128, 192, 2, true>,
    launch_if_chosen<64, 256, 1, true>,   launch_if_chosen<64, 128, 1, true>,
};

}  // namespace

void conv_wgrad_pieces(const simt::bf16* x, const simt::bf16* dy, float* pieces, const WgradPlan& plan,
                       bool with_db, simt::stream_t stream) {
  for (const auto launch : kLaunchers) {
    if (launch(x, dy, pieces, plan, with_db, stream)) return;
  }
  require(false, "conv_wgrad_hopper: no kernel for " + to_string(plan.config));
}

}  // namespace alexnet
