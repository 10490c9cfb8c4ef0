// Matrix product of bfloat16 on Hopper's matrix units: c [M, N] = relu(alpha * op(a) op(b) + beta * c +
// bias), sums in float32. Read ../gemm.cu for what it is for and why K is cut, then
// ../../common/hopper/pipeline.h for who waits for whom.
//
// Mapping. A tile of c is 128 rows x 256 or 128 columns. A block of three warpgroups works on one after
// another: the producer's thread copies a step of a and of b, 64 products deep, and each of the two consumers
// multiplies 64 of the rows by all columns, 128 or 64 sums a thread.
//
//                          b: 64 x 256                  Shared memory, 256 columns:   128 columns:
//                        +-------------+                 3 stages of 16 + 32 KB       6 stages of 16 + 16 KB
//                        |             |                 staging  2 * 4 * 8 KB        staging  2 * 2 * 8 KB
//        a: 128 x 64     +-------------+                      208 KB                       224 KB   of 227
//        +-----+         +-------------+
//        |     |         | consumer 0  | 64 rows    A stage is a, then b, as operands.h draws them. More
//        +-----+         +-------------+            stages are for the narrow tile, whose step is over in 512
//        |     |         | consumer 1  | 64 rows    clocks: the copies of several have to be under way.
//        +-----+         +-------------+
//
// Time, of one tile with its K in four steps (L: copies under way, M: wgmma, E: epilogue, S: stores):
//
//   producer      L0 L1 L2 .. waits for M0 .. L3, then the next tile's L0 L1 L2 ...
//   consumers        .. M0 M1 M2 M3 E         .. next tile's M0 ...
//   copy engine                      S S      reads the staging while the consumers multiply again
//
// The epilogue. The bias belongs to a row: a thread has two, which it reads where its tile begins and adds as
// the sums leave the registers. c in bfloat16 goes through the staging blocks (common/hopper/epilogue.h), and
// the copy engine writes it. Sums in float32 (c itself, or a part's matrix in the workspace) go to memory
// from the registers: four threads' pairs are 32 bytes, the least that memory moves.
//
// How a tile is chosen: choose.cu estimates the time of both widths with K in 1 to 32 parts, and takes the
// least.
//
// What limits it: the matrix units for large matrices; for fully connected layers with 128 images the reading
// of the weights, 4.3 TB/s; in between the way from the level-2 cache to the multiprocessors.

#include <type_traits>

#include "kernels/common/check.h"
#include "kernels/common/hopper/pipeline.h"
#include "kernels/gemm/hopper/gemm_hopper.h"
#include "kernels/gemm/hopper/operands.h"
#include "kernels/gemm/hopper/results.h"
#include "simt/hopper.h"

namespace alexnet {
namespace {

using simt::Major;

// Where the results go. With `sums` they are written there in float32, a matrix [M, N] for each part of K;
// else to c by its map. c is read where beta is not 0.
struct Output {
  simt::TensorMap map;
  const simt::bf16* c;
  float* sums;
  int M, N;
  GemmEpilogue epilogue;
};

constexpr int stages_of(int columns) { return columns == 256 ? 3 : 6; }

template <int kColumns, Major kMajorA, Major kMajorB>
using Product = GemmProduct<kGemmHopperRows, kColumns, kMajorA, kMajorB, stages_of(kColumns)>;

template <int kColumns, Major kMajorA, Major kMajorB>
class GemmProblem : public Product<kColumns, kMajorA, kMajorB> {
 public:
  using Base = Product<kColumns, kMajorA, kMajorB>;
  using typename Base::Sums;
  using typename Base::Tile;

  struct Arguments {
    typename Base::Operands operands;
    Output output;
  };
  struct Shared {
    StagedBlock blocks[Base::kConsumers][kColumns / 64];
  };

  __device__ __forceinline__ explicit GemmProblem(const Arguments& arguments)
      : Base(arguments.operands), output_(arguments.output) {}

  // Reads the bias, which arrives while the first steps do.
  __device__ __forceinline__ void begin(const Tile& tile, int consumer, Shared&) {
    const ResultRows rows = rows_of(tile, consumer);
    const float* bias = output_.epilogue.bias;
    last_.relu = output_.epilogue.relu;
    SIMT_UNROLL
    for (int i = 0; i < 2; ++i) {
      last_.bias[i] = bias != nullptr && rows.row_of(i) < rows.M ? bias[rows.row_of(i)] : 0.0f;
    }
  }

  __device__ __forceinline__ void finish(const Tile& tile, int consumer, Sums& sums, Shared& shared) {
    const ResultRows rows = rows_of(tile, consumer);
    if (output_.epilogue.alpha != 1.0f || output_.epilogue.beta != 0.0f) scale(rows, sums[0]);
    if (output_.sums == nullptr) {
      store_bf16(output_.map, rows, consumer, sums[0], shared.blocks[consumer], last_);
      return;
    }
    float* matrix = output_.sums + tile.part * (std::int64_t(rows.M) * rows.N);
    for_each_pair<Base::kSums>(rows, [&](int i, int j) {
      const float* pair = &sums[0][4 * j + 2 * i];
      *reinterpret_cast<float2*>(matrix + rows.element(i, j)) =
          make_float2(last_(pair[0], i), last_(pair[1], i));
    });
  }

 private:
  __device__ __forceinline__ ResultRows rows_of(const Tile& tile, int consumer) const {
    return {output_.M, output_.N, this->first_row(tile, consumer), tile.column};
  }

  // alpha and beta, which hardly a caller uses.
  __device__ __forceinline__ void scale(const ResultRows& rows, float (&sums)[Base::kSums]) const {
    const GemmEpilogue& epilogue = output_.epilogue;
    for_each_pair<Base::kSums>(rows, [&](int i, int j) {
      SIMT_UNROLL
      for (int h = 0; h < 2; ++h) {
        float& sum = sums[4 * j + 2 * i + h];
        const std::int64_t element = rows.element(i, j) + h;
        sum *= epilogue.alpha;
        if (epilogue.beta == 0.0f) continue;
        const float old =
            output_.sums != nullptr ? output_.sums[element] : simt::to_float(output_.c[element]);
        sum += epilogue.beta * old;
      }
    });
  }

  const Output& output_;
  BiasRelu last_;  // of the thread's two rows
};

template <int kColumns, Major kMajorA, Major kMajorB>
void start(const simt::bf16* a, const simt::bf16* b, const GemmShape& shape, const GemmHopperConfig& config,
           const Output& output, simt::stream_t stream) {
  using Problem = GemmProblem<kColumns, kMajorA, kMajorB>;
  const typename Problem::Arguments arguments{Problem::Base::operands(a, b, shape, config), output};
  launch_pipeline<Problem>(arguments, arguments.operands.units.count(), config.blocks, stream);
}

// The eight kernels.
template <int kColumns>
void start_with_majors(const simt::bf16* a, const simt::bf16* b, const GemmShape& shape,
                       const GemmHopperConfig& config, const Output& output, simt::stream_t stream) {
  if (shape.trans_a) {
    const auto run =
        shape.trans_b ? start<kColumns, Major::mn, Major::k> : start<kColumns, Major::mn, Major::mn>;
    run(a, b, shape, config, output, stream);
  } else {
    const auto run =
        shape.trans_b ? start<kColumns, Major::k, Major::k> : start<kColumns, Major::k, Major::mn>;
    run(a, b, shape, config, output, stream);
  }
}

template <class C>
void run(const simt::bf16* a, const simt::bf16* b, C* c, const GemmShape& shape, const GemmEpilogue& epilogue,
         const GemmHopperConfig& config, float* workspace, simt::stream_t stream) {
  require(gemm_hopper_fits(shape, a, b, c), "gemm_hopper: the copy engine cannot take these arrays");
  const bool split = config.splits > 1;
  require(!split || (workspace != nullptr && is_aligned(workspace, 8)),
          "gemm_hopper: this shape needs a workspace, at a multiple of 8");

  Output output{};
  output.M = shape.M;
  output.N = shape.N;
  output.epilogue = split ? GemmEpilogue{1.0f, 0.0f, nullptr, false} : epilogue;
  if (split) {
    output.sums = workspace;
  } else if constexpr (std::is_same_v<C, float>) {
    output.sums = c;
  } else {
    output.c = c;
    output.map = map_of_result(c, shape.M, shape.N);
  }
  if (config.tile_columns == 256) {
    start_with_majors<256>(a, b, shape, config, output, stream);
  } else {
    start_with_majors<128>(a, b, shape, config, output, stream);
  }
  if (split) sum_partials(workspace, config.splits, c, shape.M, shape.N, epilogue, stream);
}

}  // namespace

void gemm_hopper(const simt::bf16* a, const simt::bf16* b, simt::bf16* c, const GemmShape& shape,
                 const GemmEpilogue& epilogue, const GemmHopperConfig& config, float* workspace,
                 simt::stream_t stream) {
  run(a, b, c, shape, epilogue, config, workspace, stream);
}

void gemm_hopper(const simt::bf16* a, const simt::bf16* b, float* c, const GemmShape& shape,
                 const GemmEpilogue& epilogue, const GemmHopperConfig& config, float* workspace,
                 simt::stream_t stream) {
  run(a, b, c, shape, epilogue, config, workspace, stream);
}

}  // namespace alexnet
