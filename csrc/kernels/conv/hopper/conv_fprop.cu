// Convolution forward on tensor cores: y = relu(conv(x, w) + b), bfloat16 in and out, float32 sums. Read
// ../conv_fprop.cu for what is computed, common/hopper/pipeline.h for who does what when, and simt/hopper.h
// for the names of the instructions.
//
// A convolution is a matrix product for each tap. At a fixed position (p, q) of y and a tap (r, s),
//
//     y[k, (p, q), n]  +=  sum over c of  w[c, (r, s), k]  *  x[c, (p * stride - pad + r, ...), n]
//
// is filters x images with channels in between, and x's part of it is a box of the array [C, H, W, N] whose
// inner rows, the images, are contiguous. So no im2col: the copy engine takes the box of each tap straight
// from x, and fills with zeros what lies outside the image.
//
// Mapping. A tile is 64 to 192 filters x 256 (128) columns. Columns are images of one position, or, for
// batches smaller than that, of 2 or 4 neighbouring positions:
//
//     N = 256:  | (p, q): images 0 ... 255                                              |
//     N = 128:  | blocks of 64:  (p, q) 0-63 | (p, q+1) 0-63 | (p, q) 64-127 | (p, q+1) 64-127 |
//
// A step is one tap and 64 (48) channels. Taps that read padding at every position of the tile are left out,
// which saves 4 to 10 % of AlexNet's products; where positions differ, the zeros of the copy engine keep the
// sums right. A consumer warpgroup owns 64 filters and all columns: 128 sums a thread. For filters of 5
// columns there are steps of a whole row of taps, see conv_row_problem.h.
//
//                     x: depth channels x 256 columns         a step's bytes, 128 x 256 x 64:
//                    +-------------------------------+          x  [4 blocks][64 channels][64 images]   32 KB
//                  c | 64 images | 64 ... |    |     |          w  [2 blocks][64 channels][64 filters]  16 KB
//          c         +-------------------------------+
//        +---+       +-------------------------------+        Both lie with the axis of the sum across, as
//      k | w |       | consumer 0: 64 filters        |        w and x do in memory ("MN-major"): a row of
//        |   |       | consumer 1: 64 filters        |        128 bytes, swizzled, for each channel.
//        +---+       +-------------------------------+
//
// Shared memory: stages, and staging of y in blocks of 64 filters x 64 images, 8 KB each. KB of 227:
//
//     tile         stages         staging                          what for
//     192 x 256    3 x 56  168    3 consumers x 2 blocks    48     192 or 384 filters; fewest bytes a product
//     128 x 256    3 x 48  144    2 x 4                     64     128 or 256 filters
//     128 x 256    4 x 36  144    2 x 4                     64     the same in steps of 48: conv2's 48 or 96
//     128 x 256    4 x 36  144    2 x 4                     64     rows of 5 taps x 16 channels: conv2
//      64 x 256    4 x 40  160    1 x 4                     32     up to 64 filters
//     128 x 128    6 x 32  192    2 x 2                     32     few positions and images
//
// Who waits for whom: the producer for empty stages, the consumers for full ones (pipeline.h). The bias
// belongs to a row: each thread asks for those of its two rows when the tile begins, and has them long before
// its last step. Then the consumer adds them, clips, and writes its sums to its staging, as soon as the
// stores of its last tile have read it; nobody else waits, and the producer is meanwhile filling the ring for
// the next tile. The tile with 2 blocks for 4 goes round twice.
//
//     producer     tile 1: load load load load ... | tile 2: load load load (ring full) ........ load ...
//     consumer 0   ask for bias, multiply ... multiply | + bias, ReLU, staging, store | ask, multiply ...
//     consumer 1   ask for bias, multiply ... multiply  | + bias, ReLU, staging, store | ask, multiply ...
//     copy engine                                                       [ y of tile 1 ]
//
// Groups (two towers) are a number of the tile. Each has tensor maps of its own, whose edges clip at the
// group's: channels past it are zeros, and filters past it are not written.
//
// What limits it. A step of 128 x 256 x 64 is 48 KB for 1024 cycles of the tensor cores, in which some 35 KB
// arrive from the L2 cache: bytes. With 192 rows or a row of taps in each step (37 and 29 KB for 1024
// cycles), the tensor cores.
//
// How a tile is chosen: conv_plan.cu works out for each kernel below, with 1, 2 and 4 positions, how long the
// steps of all tiles take at the slower of these two rates, in the order in which the blocks get them, and
// takes the cheapest. choose_conv_fprop_hopper's text says what that was.

#include <utility>

#include "kernels/common/check.h"
#include "kernels/common/memo.h"
#include "kernels/conv/hopper/conv_plan.h"

namespace alexnet {
namespace {

// kBackward, consumers (of 64 rows), columns, depth, stages, blocks of staging; six instances.
constexpr ConvKernel kKernels[] = {
    conv_kernel<ConvProblem<false, 3, 256, 64, 3, 2>>(), conv_kernel<ConvProblem<false, 2, 256, 64, 3, 4>>(),
    conv_kernel<ConvProblem<false, 2, 256, 48, 4, 4>>(), conv_kernel<ConvProblem<false, 1, 256, 64, 4, 4>>(),
    conv_kernel<ConvProblem<false, 2, 128, 64, 6, 2>>(), conv_kernel<ConvRowProblem<false, 2, 1, 5, 4, 4>>(),
};

}  // namespace

bool conv_fprop_hopper_fits(const ConvShape& shape, const simt::bf16* x, const simt::bf16* w,
                            const simt::bf16* y) {
  return conv_fits(forward_pass(shape), {x, w, y});
}

ConvHopperConfig choose_conv_fprop_hopper(const ConvShape& shape, int multiprocessors) {
  thread_local Memo<std::pair<ConvShape, int>, ConvHopperConfig> chosen;
  return chosen.of({shape, multiprocessors},
                   [&] { return choose_conv(forward_pass(shape), kKernels, multiprocessors); });
}

ConvHopperConfig conv_fprop_hopper_config(const ConvShape& shape, int rows, int columns, int depth,
                                          int positions) {
  return configure_conv(forward_pass(shape), find_conv(kKernels, rows, columns, depth), positions);
}

void conv_fprop_hopper(const simt::bf16* x, const simt::bf16* w, const float* b, simt::bf16* y,
                       const ConvShape& shape, bool relu, const ConvHopperConfig& config, int multiprocessors,
                       simt::stream_t stream) {
  require_valid(shape);
  require(conv_fprop_hopper_fits(shape, x, w, y), "conv_fprop_hopper: a shape or address that does not fit");
  ConvHopperArguments g = conv_arguments(forward_pass(shape), {x, w, nullptr, y}, config);
  g.bias = b;
  g.relu = relu;
  const ConvKernel& kernel = find_conv(kKernels, config.rows, config.columns, config.depth);
  kernel.launch(g, config.tiles, multiprocessors, stream);
}

}  // namespace alexnet
