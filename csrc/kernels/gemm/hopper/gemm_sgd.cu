// The gradient of a fully connected layer's weights and their update in one pass:
//
//     dw = x dy^T          v = momentum * v - weight_decay * lr * w - lr * dw          w += v
//
// x [inputs, images] and dy [outputs, images] are bfloat16, w and v [inputs, outputs] float32 in place; the
// bfloat16 copy of w for the next step is written along. dw stays in registers.
//
// Why. 58.6 of AlexNet's 62 million weights are in these layers. With 128 images their gradient is 7.5
// billion multiply-adds, 20 us; but w, v, dw and the copy are 26 bytes a weight in two kernels, 1.5 GB or 350
// us. Without dw it is 18 bytes: w and v read and written, the copy written.
//
// Mapping. A tile of w is 64 inputs x 256 outputs; its K is the images, two steps of 64 for 128 of them. The
// producer's thread copies as for gemm.cu (operands.h; both arrays run along K). The consumers take tiles in
// turns (pipeline.h), because here the epilogue is the long part:
//
//     producer     L0 L1 (tile 0)  L0 L1 (tile 1)  L0 L1 (tile 2) ...     as stages come free
//     consumer 0   wait, M0 M1, U U U U U U U U, S        M0 M1 (tile 2), U U ...
//     consumer 1   wait, M0 M1 ........... U U U U U U U U, S   ...
//
//     wait: for a stage's copies, and before the first for the other consumer to have seen those of the tile
//        before. Nobody waits for U but the next tile of the same consumer. There is no bias; every shape has
//        the one tile.
//     U: a thread reads eight pairs of w and of v, updates them with its sums and writes them: 16 KB of each
//        consumer are under way at a time. S: the new weights, rounded, through the staging blocks
//        (store_bf16).
//
// Shared memory: 4 stages of 8 + 32 KB, staging 2 * 4 * 8 KB: 224 KB of 227.
//
// What limits it: memory, 18 bytes a weight at 4.3 TB/s.

#include <algorithm>

#include "kernels/common/check.h"
#include "kernels/common/hopper/pipeline.h"
#include "kernels/gemm/hopper/gemm_hopper.h"
#include "kernels/gemm/hopper/operands.h"
#include "kernels/gemm/hopper/results.h"
#include "kernels/sgd/update.h"
#include "simt/hopper.h"

namespace alexnet {
namespace {

constexpr int kRows = 64;
constexpr int kColumns = 256;
constexpr int kStages = 4;
constexpr int kRasterRows = 24;  // 132 tiles at work are about a square: 24 * 64 rows, 5.5 * 256 columns
constexpr int kPairs = 8;        // read at a time
constexpr int kMultiprocessors = 132;  // of the largest Hopper GPU

class GemmSgdProblem : public GemmProduct<kRows, kColumns, simt::Major::k, simt::Major::k, kStages> {
 public:
  struct Arguments {
    Operands operands;
    simt::TensorMap w_bf16;
    SgdUpdate update;
    int inputs, outputs;
  };
  struct Shared {
    StagedBlock blocks[kConsumers][kColumns / 64];
  };

  __device__ __forceinline__ explicit GemmSgdProblem(const Arguments& arguments)
      : GemmProduct(arguments.operands),
        g_(arguments),
        factors_(sgd_factors(arguments.update.rates, arguments.update.state)) {}

  // None where nothing is to be updated: all roles then end at once.
  __device__ __forceinline__ int tiles() const {
    return is_update_on(g_.update.state) ? GemmProduct::tiles() : 0;
  }

  __device__ __forceinline__ void finish(const Tile& tile, int consumer, Sums& sums, Shared& shared) const {
    const ResultRows rows{g_.inputs, g_.outputs, first_row(tile, consumer), tile.column};
    SIMT_UNROLL
    for (int i = 0; i < 2; ++i) {
      if (rows.row_of(i) >= rows.M) continue;
      SIMT_UNROLL
      for (int j = 0; j < kSums / 4; j += kPairs) update_pairs(rows, i, j, sums[0]);
    }
    if (g_.update.w_bf16 == nullptr) return;
    store_bf16(g_.w_bf16, rows, consumer, sums[0], shared.blocks[consumer],
               [](float weight, int) { return weight; });
  }

 private:
  // Pairs `first` to first + 7 of the thread's row i: all reads before the first write, since only then they
  // are under way together. The sums become the new weights.
  __device__ __forceinline__ void update_pairs(const ResultRows& rows, int i, int first,
                                               float (&sums)[kSums]) const {
    float2 w[kPairs] = {};
    float2 v[kPairs] = {};
    SIMT_UNROLL
    for (int j = 0; j < kPairs; ++j) {
      if (rows.column_of(first + j) >= rows.N) continue;
      w[j] = *reinterpret_cast<const float2*>(g_.update.w + rows.element(i, first + j));
      v[j] = *reinterpret_cast<const float2*>(g_.update.v + rows.element(i, first + j));
    }
    SIMT_UNROLL
    for (int j = 0; j < kPairs; ++j) {
      if (rows.column_of(first + j) >= rows.N) continue;
      float& x = sums[4 * (first + j) + 2 * i];
      float& y = sums[4 * (first + j) + 2 * i + 1];
      sgd_update(w[j].x, v[j].x, x, factors_);
      sgd_update(w[j].y, v[j].y, y, factors_);
      *reinterpret_cast<float2*>(g_.update.v + rows.element(i, first + j)) = v[j];
      *reinterpret_cast<float2*>(g_.update.w + rows.element(i, first + j)) = w[j];
      x = w[j].x;
      y = w[j].y;
    }
  }

  const Arguments& g_;
  SgdFactors factors_;
};

}  // namespace

GemmSgdHopperConfig choose_gemm_sgd_hopper(const GemmSgdShape& shape) {
  const auto ceil_div = [](int a, int b) { return (a + b - 1) / b; };
  const std::int64_t tiles = std::int64_t(ceil_div(shape.inputs, kRows)) * ceil_div(shape.outputs, kColumns);
  require(tiles < std::int64_t{1} << 31, "gemm_sgd_hopper: too many tiles");
  const int count = static_cast<int>(tiles);
  return {count, std::min(count, kMultiprocessors)};
}

std::string to_string(const GemmSgdHopperConfig& config) {
  return std::to_string(config.tiles) + " tiles of " + std::to_string(kRows) + "x" +
         std::to_string(kColumns) + ", " + std::to_string(config.blocks) + " blocks";
}

bool gemm_sgd_hopper_fits(const GemmSgdShape& shape, const simt::bf16* x, const simt::bf16* dy,
                          const SgdUpdate& update) {
  return shape.images % 8 == 0 && is_aligned(x, 16) && is_aligned(dy, 16) && shape.outputs % 8 == 0 &&
         is_aligned(update.w, 8) && is_aligned(update.v, 8) && is_aligned(update.w_bf16, 16);
}

void gemm_sgd_hopper(const simt::bf16* x, const simt::bf16* dy, const GemmSgdShape& shape,
                     const SgdUpdate& update, const GemmSgdHopperConfig& config, simt::stream_t stream) {
  require(shape.inputs >= 1 && shape.outputs >= 1 && shape.images >= 1,
          "gemm_sgd_hopper: inputs, outputs and images must be at least 1");
  require(update.w != nullptr && update.v != nullptr, "gemm_sgd_hopper: w or v is a null pointer");
  const std::int64_t count = std::int64_t(shape.inputs) * shape.outputs;
  require_apart(update.w, count, update.v, count, "gemm_sgd_hopper: w and v");
  require(gemm_sgd_hopper_fits(shape, x, dy, update),
          "gemm_sgd_hopper: the copy engine cannot take these arrays");
  const GemmShape product{shape.inputs, shape.outputs, shape.images, false, true};
  GemmHopperConfig cut{};
  cut.splits = 1;
  cut.split_steps = (shape.images + kGemmHopperDepth - 1) / kGemmHopperDepth;
  cut.raster_rows = kRasterRows;

  GemmSgdProblem::Arguments arguments{};
  arguments.operands = GemmSgdProblem::operands(x, dy, product, cut);
  arguments.update = update;
  arguments.inputs = shape.inputs;
  arguments.outputs = shape.outputs;
  if (update.w_bf16 != nullptr) {
    arguments.w_bf16 = map_of_result(update.w_bf16, shape.inputs, shape.outputs);
  }
  launch_pipeline<GemmSgdProblem>(arguments, config.tiles, config.blocks, stream);
}

}  // namespace alexnet
