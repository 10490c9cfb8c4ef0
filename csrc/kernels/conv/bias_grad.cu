// Gradient of a bias: db[k] = sum of row k of dy, [K, positions x images]. Read relu.cu first.
//
// Mapping. A warp sums one part of one row: its 32 lanes read neighbouring quads, 128 elements at once, and
// each lane keeps four sums, one for each element of its quads. Then lanes exchange sums in five steps, the
// distance halved each time (a butterfly), through registers alone. The last two of them:
//
//     lane          0     1     2     3
//                   a     b     c     d
//     distance 2   a+c   b+d   c+a   d+b
//     distance 1   all   all   all   all
//
// The sums of a row's parts go to the workspace, and a second kernel (../gemm/sum_partials.cu) adds them in a
// fixed order.
//
// What limits it: one addition for each element read, so memory. conv1's dy is 96 rows of 387200 floats at
// 128 images; a warp for each row would leave most of the GPU idle, hence the parts.

#include <algorithm>

#include "kernels/common/check.h"
#include "kernels/common/pack.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/tiles.h"
#include "kernels/gemm/gemm.h"

namespace alexnet {
namespace {

constexpr int kWarps = 8;

// Enough warps to have every multiprocessor full: 132 with 64 each. Rows shorter than 1024 are not cut: 32
// lanes read them in 8 quads.
constexpr int kEnoughWarps = kMultiprocessors * 64;
constexpr int kLeastCount = 1024;

// Grid: (blocks of kWarps rows, parts). Block: 32 * kWarps. A warp owns element (part, row) of sums [parts,
// K]. kWidth 4: dy at a multiple of 4 elements and count a multiple of 4. `part` is the length of a part, a
// multiple of 4.
template <class Element, int kWidth>
__global__ void bias_grad_kernel(const Element* dy, float* sums, int K, std::int64_t count,
                                 std::int64_t part) {
  const int row = blockIdx.x * kWarps + threadIdx.x / 32;
  if (row >= K) return;  // a whole warp
  const std::int64_t first = blockIdx.y * part;
  const std::int64_t end = first + part < count ? first + part : count;

  Pack<float, kWidth> totals{};
  const Element* from = dy + row * count;
  SIMT_UNROLL
  for (std::int64_t i = first + int(threadIdx.x % 32) * kWidth; i < end; i += 32 * kWidth) {
    const auto values = to_floats(*reinterpret_cast<const Pack<Element, kWidth>*>(from + i));
    SIMT_UNROLL
    for (int n = 0; n < kWidth; ++n) totals.at[n] += values.at[n];
  }

  float sum = totals.at[0];
  SIMT_UNROLL
  for (int n = 1; n < kWidth; ++n) sum += totals.at[n];
  SIMT_UNROLL
  for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(~0u, sum, distance);
  if (threadIdx.x % 32 == 0) sums[std::int64_t(blockIdx.y) * K + row] = sum;
}

std::int64_t part_length(std::int64_t count, int splits) { return ceil_div(ceil_div(count, splits), 4) * 4; }

}  // namespace

BiasGradConfig choose_bias_grad(int K, std::int64_t count, std::size_t element_size, bool aligned) {
  BiasGradConfig config{};
  config.blocks = static_cast<int>(ceil_div(K, kWarps));
  config.threads = 32 * kWarps;
  const std::int64_t wanted =
      std::clamp<std::int64_t>(kEnoughWarps / K, 1, std::max<std::int64_t>(1, count / kLeastCount));
  config.splits = static_cast<int>(ceil_div(count, part_length(count, static_cast<int>(wanted))));
  config.quads = aligned && count % 4 == 0;
  config.element_size = element_size;
  return config;
}

std::string to_string(const BiasGradConfig& config) {
  return std::to_string(config.blocks) + " blocks of " + std::to_string(config.threads) +
         " threads, rows in " + std::to_string(config.splits) + (config.splits == 1 ? " part" : " parts") +
         ", reads of " + std::to_string((config.quads ? 4 : 1) * config.element_size) + " bytes";
}

std::size_t bias_grad_workspace_bytes(int K, std::int64_t count, std::size_t element_size) {
  const int splits = choose_bias_grad(K, count, element_size, true).splits;
  return splits == 1 ? 0 : sizeof(float) * splits * static_cast<std::size_t>(K);
}

template <class Element>
void bias_grad(const Element* dy, float* db, int K, std::int64_t count, float* workspace,
               simt::stream_t stream) {
  require(K >= 1 && count >= 1, "bias_grad: K and count must be at least 1");
  const BiasGradConfig config =
      choose_bias_grad(K, count, sizeof(Element), is_aligned(dy, 4 * sizeof(Element)));
  require(config.splits == 1 || workspace != nullptr, "bias_grad: this shape needs a workspace");
  float* sums = config.splits == 1 ? db : workspace;
  const auto kernel = config.quads ? bias_grad_kernel<Element, 4> : bias_grad_kernel<Element, 1>;
  simt::launch(kernel, dim3(config.blocks, config.splits), dim3(config.threads), 0, stream, dy, sums, K,
               count, part_length(count, config.splits));
  if (config.splits > 1) {
    sum_partials(sums, config.splits, db, 1, K, GemmEpilogue{1.0f, 0.0f, nullptr, false}, stream);
  }
}

template void bias_grad(const float*, float*, int, std::int64_t, float*, simt::stream_t);
template void bias_grad(const simt::bf16*, float*, int, std::int64_t, float*, simt::stream_t);

}  // namespace alexnet
