// The gradient of a convolution's input on tensor cores, stride 1: dx from dy and w, bfloat16 in and out,
// float32 sums; dx is 0 where relu_y, the layer below's output, is 0 or negative. Read conv_fprop.cu first:
// this is the same kernel with filters and channels exchanged.
//
//     dx[c, (h, w), n]  +=  sum over k of  w[c, (r, s), k]  *  dy[k, (h + pad - r, w + pad - s), n]
//
// Rows of a tile are channels, columns images of dx's positions, and a step is one tap and 64 filters. The
// pixels are dy's: the box walks towards smaller rows and columns as r and s grow, and taps that lie outside
// dy for all positions of the tile are left out.
//
//                     dy: 64 filters x 256 columns            a step's bytes, 128 x 256 x 64:
//                    +-------------------------------+          dy [4 blocks][64 filters][64 images]   32 KB
//                  k | 64 images | 64 ... |    |     |          w  [128 channels][64 filters]          16 KB
//          k         +-------------------------------+
//        +---+       +-------------------------------+        dy lies as x does forward. w is the same array
//      c | w |       | consumer 0: 64 channels       |        read the other way: its rows of 64 filters now
//        |   |       | consumer 1: 64 channels       |        run along the axis of the sum ("K-major"), so
//        +---+       +-------------------------------+        no transposed copy of it is made.
//
// Staging and mask. A consumer's staging is empty while it multiplies, so the mask's blocks are fetched into
// it before the first step, and have long arrived at the last one: each warp reads its 16 x 16 elements of
// the mask from the places where it then writes its results.
//
//     producer     load load load ... (the next tile's, as stages come empty)
//     consumer     [stores of the last tile have read staging] ask for mask | multiply ... | mask there?
//                  | zero, staging, store | ask for the next tile's mask | multiply ...
//     copy engine  dy and w, all the time; the mask while the tile is multiplied; dx while the next one is
//
// Where staging holds half of the blocks, so does the mask, and its other half is waited for between the
// rounds.
//
// There is no bias. conv_plan.cu chooses the tile, as forward.
//
// Tiles, stages and staging in KB, as forward; 64 x 512 is for conv2's 48 channels, which 64 x 256 in steps
// of one tap would leave waiting for dy (80 KB for 1024 cycles, here 34):
//
//     192 x 256   3 x 56 + 48       64 x 256   4 x 40 + 32      128 x 256   4 x 36 + 64   rows of 5 taps
//     128 x 256   3 x 48 + 64      128 x 128   6 x 32 + 32       64 x 512   4 x 42 + 32   rows of 5 taps

#include <utility>

#include "kernels/common/check.h"
#include "kernels/common/memo.h"
#include "kernels/conv/hopper/conv_plan.h"

namespace alexnet {
namespace {

// As in conv_fprop.cu; six instances. The last two: row consumers, image consumers, taps, stages, blocks of
// staging.
constexpr ConvKernel kKernels[] = {
    conv_kernel<ConvProblem<true, 3, 256, 64, 3, 2>>(), conv_kernel<ConvProblem<true, 2, 256, 64, 3, 4>>(),
    conv_kernel<ConvProblem<true, 1, 256, 64, 4, 4>>(), conv_kernel<ConvProblem<true, 2, 128, 64, 6, 2>>(),
    conv_kernel<ConvRowProblem<true, 2, 1, 5, 4, 4>>(), conv_kernel<ConvRowProblem<true, 1, 2, 5, 4, 2>>(),
};

}  // namespace

bool conv_dgrad_hopper_fits(const ConvShape& shape, const simt::bf16* dy, const simt::bf16* w,
                            const simt::bf16* relu_y, const simt::bf16* dx) {
  return shape.stride_h == 1 && shape.stride_w == 1 && conv_fits(backward_pass(shape), {dy, w, relu_y, dx});
}

ConvHopperConfig choose_conv_dgrad_hopper(const ConvShape& shape, int multiprocessors) {
  thread_local Memo<std::pair<ConvShape, int>, ConvHopperConfig> chosen;
  return chosen.of({shape, multiprocessors},
                   [&] { return choose_conv(backward_pass(shape), kKernels, multiprocessors); });
}

ConvHopperConfig conv_dgrad_hopper_config(const ConvShape& shape, int rows, int columns, int depth,
                                          int positions) {
  return configure_conv(backward_pass(shape), find_conv(kKernels, rows, columns, depth), positions);
}

void conv_dgrad_hopper(const simt::bf16* dy, const simt::bf16* w, const simt::bf16* relu_y, simt::bf16* dx,
                       const ConvShape& shape, const ConvHopperConfig& config, int multiprocessors,
                       simt::stream_t stream) {
  require_valid(shape);
  require(conv_dgrad_hopper_fits(shape, dy, w, relu_y, dx),
          "conv_dgrad_hopper: a shape or address that does not fit");
  const ConvHopperArguments g = conv_arguments(backward_pass(shape), {dy, w, relu_y, dx}, config);
  const ConvKernel& kernel = find_conv(kKernels, config.rows, config.columns, config.depth);
  kernel.launch(g, config.tiles, multiprocessors, stream);
}

}  // namespace alexnet
