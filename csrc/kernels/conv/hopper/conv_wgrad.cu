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
//        rows of x that the box does not fill (a box of 5 taps x 32 channels in a tile of 256): zeros,
//        written once by all threads
//
// Which taps are skipped. A tile's positions are those where its box lies at least partly in the image. conv3
// to conv5 have boxes of one tap, and skip all padding, 10 % of the products; conv2's are a row of the
// filter, and skip padding above and below, 4 %. More channels to a box mean fewer taps, and the choice
// (wgrad_plan.cu) weighs that.
//
// Who waits for whom, in a block that has 3 steps of tile 4 and then 5 of tile 5 (s0 ... s3: stages):
//
//     producer     copies into s0 s1 s2 (tile 4) and s3 (tile 5); then for each next step waits until its
//                  stage is empty
//     consumers    s0 full: issue wgmma; s1 full: issue, s0's are done: s0 empty; s2 full: issue, s1 empty;
//                  s2 done, s2 empty. Write the sums of tile 4 from registers to place block + 4 of the
//                  workspace, while tile 5's copies arrive. s3 full ...
//
// Which operand is rows. Filters, as a rule: consumers share rows in blocks of 64, and 2012's layers have 128
// or 192 filters a group, while columns can be any multiple of 8 up to 256. For conv3, 192 filters x 256
// channels, it is the other way round, 4 x 64 inputs, two blocks for each of two consumers: as wide as a tile
// gets, and a wgmma of 256 columns would not fit the registers of three consumers. For stores it is all one:
// a piece is written as the registers hold it, and only wgrad_sum.cu, which writes a weight once, has to
// know.
//
// db. The tiles whose sum goes over all positions (the middle tap's, and of them those of the first channels)
// have all of dy in their stages anyway. Before each step's wgmmas, while those of the step before are under
// way, their consumers add it up: each thread 16 images of one to four filters, 16 bytes at a time.
//
// What limits it: the matrix units where a tile is 192 x 192 or more; where it is 128 x 256 or less, what the
// L2 cache delivers (48 KB for 2.1 million multiply-adds, 0.78 us of them). Arithmetic, not measurements.

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

// The instances: rows, columns, consumers, whether the rows are filters. wgrad_plan.cu says what for.
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
