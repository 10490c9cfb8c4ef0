// Gradient of the first layer's filters: the sums of conv_wgrad.cu, read that first, for images of so few
// channels that all inputs of a filter fit into one tile. conv1 has 3 x 11 x 11 = 363, and 96 filters.
//
// One box of x, {64 images, 3 channels, 11 columns, 11 rows} at pixel (4p, 4q), is the whole patch that the
// filters see at position (p, q): the rows of "im2col", 128 bytes each, without im2col. The inputs are the
// rows of the tile, for as columns they would need two wgmmas, and 96 filters as rows a third more than
// there are.
//
//     the tile: 384 inputs x 96 filters                   a stage (60 KB, three of them)
//                 96 filters                                  dy    filter 0    | 64 images |
//               +-----------+                                       ...
//     inputs    | 64 x 96   |  consumer 0                           filter 95
//               | 64 x 96   |                                 x     input 0     | 64 images |
//               +-----------+                                       ...
//               | 64 x 96   |  consumer 1                           input 362
//               | 64 x 96   |                                       21 x zeros  | written once, not by |
//               +-----------+                                                   | copies               |
//               | 64 x 96   |  consumer 2
//               | 64 x 96   |
//               +-----------+
//
// dw is one tile (one for each 96 filters), and all blocks are dealt its steps, 55 * 55 positions x n / 64.
// No position is skipped: a box always lies at least partly inside the image.
//
// Who waits for whom: as in conv_wgrad.cu, with two wgmmas for each 16 images in a consumer, and one piece a
// block: the sums are stored once, at the end. db comes along as it does there; that dy (600 MB at 1024
// images) need not be read once more for it is worth most here.
//
// What limits it: reading x's boxes from the L2 cache, 46 KB for 2.4 million multiply-adds (each pixel is in
// 7.6 boxes on average), or the matrix units at 85 %, because 96 columns make shared memory the bottleneck.
// Not yet measured.

#include "kernels/conv/hopper/wgrad_problem.h"

namespace alexnet {
namespace {

using FirstLayer = WgradProblem<384, 96, 3, false, 3>;

}  // namespace

void conv_first_layer_wgrad_pieces(const simt::bf16* x, const simt::bf16* dy, float* pieces,
                                   const WgradPlan& plan, bool with_db, simt::stream_t stream) {
  const int blocks = plan.config.blocks;
  launch_pipeline<FirstLayer>(FirstLayer::arguments(x, dy, pieces, plan, with_db), blocks, blocks, stream);
}

}  // namespace alexnet
