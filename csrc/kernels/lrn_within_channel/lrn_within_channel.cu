// Local response normalisation within one channel: as lrn.cu, with windows of size x size pixels of the same
// map.
//
// Mapping. A thread owns one column of one map of one image and walks down its rows; a warp is 32
// neighbouring images. A window's sum is a sum of row sums: at each row the thread squares and adds `size`
// neighbours, and keeps the last `size` such sums in registers.
//
//                 columns w-2 .. w+2
//     row L-4      . . . . .   -> sum ┐
//        ...       . . . . .   -> sum │ ring of 5 row sums -> scale of pixel (L-2, w)
//     row L        . . . . .   -> sum ┘ (new)
//
// The neighbours are loaded by the neighbouring threads of the block too, and come from the first-level
// cache.
//
// Backward, dx of a pixel needs t = dy * x * scale^(-beta-1) of all pixels around it. Each thread computes t
// of its own column only; a row of them is exchanged through shared memory:
//
//     t_row[2][columns of the block][images]      two rows in turns, so that one barrier a row is enough
//
// then sums over the row, and the ring of row sums, as before. A block of 32 columns writes 32 - (size - 1)
// of them; at its sides are threads that compute t for others only. x and dy are read once from memory, but
// for those.
//
// What limits it: forward, memory (2 * 4 bytes a pixel, and about 25 instructions); backward, memory and the
// barriers. A thread has size + 1 loads under way, a multiprocessor 2048 threads: 48 KB.

#include "kernels/lrn_within_channel/lrn_within_channel.h"

#include <algorithm>

#include "kernels/common/check.h"
#include "kernels/common/element.h"
#include "kernels/lrn/power.h"
#include "kernels/lrn_within_channel/any_size.h"
#include "simt/simt.h"

namespace alexnet {
namespace {

constexpr int kImages = 32;           // a warp
constexpr int kForwardColumns = 16;   // 512 threads; windows of 5 read 20 columns then
constexpr int kBackwardColumns = 32;  // 1024 threads: the fewer blocks, the fewer columns are computed twice

// Where a thread works. Beyond the map or the batch it computes zeros, which others may add.
struct Lane {
  std::int64_t at_row_0;  // index of (c, 0, col, n)
  std::int64_t row_step;
  int col;
  bool inside;
};

// first: the column, relative to the first one the block writes, of threadIdx.y = 0.
__device__ __forceinline__ Lane lane_of(const MapShape& shape, int columns, int column_tiles,
                                        int batch_pieces, int first) {
  unsigned block = blockIdx.x;
  const int n = static_cast<int>(block % batch_pieces * blockDim.x + threadIdx.x);
  block /= batch_pieces;
  const int col = static_cast<int>(block % column_tiles) * columns + first + static_cast<int>(threadIdx.y);
  const auto c = static_cast<std::int64_t>(block / column_tiles);
  return {(c * shape.H * shape.W + col) * shape.N + n, std::int64_t{shape.W} * shape.N, col,
          col >= 0 && col < shape.W && n < shape.N};
}

template <int kSize>
__device__ __forceinline__ void push(float (&ring)[kSize], float newest) {
  SIMT_UNROLL
  for (int i = 0; i + 1 < kSize; ++i) ring[i] = ring[i + 1];
  ring[kSize - 1] = newest;
}

template <int kSize>
__device__ __forceinline__ float sum_of(const float (&ring)[kSize]) {
  float sum = 0.0f;
  SIMT_UNROLL
  for (int i = 0; i < kSize; ++i) sum += ring[i];
  return sum;
}

struct RowSum {
  float squares;  // of the kSize pixels around the thread's column
  float centre;   // the pixel itself
};

template <int kSize, class T>
__device__ __forceinline__ RowSum row_sum(const T* x, const Lane& lane, const MapShape& shape, int row) {
  constexpr int kBefore = kSize / 2;
  float value[kSize] = {};
  if (lane.inside && row < shape.H) {
    SIMT_UNROLL
    for (int i = 0; i < kSize; ++i) {
      const int col = lane.col - kBefore + i;
      if (col >= 0 && col < shape.W) {
        value[i] = to_float(x[lane.at_row_0 + row * lane.row_step + std::int64_t{i - kBefore} * shape.N]);
      }
    }
  }
  float squares = 0.0f;
  SIMT_UNROLL
  for (int i = 0; i < kSize; ++i) squares = fmaf(value[i], value[i], squares);
  return {squares, value[kBefore]};
}

__device__ __forceinline__ Powers powers_of(float s, float beta) {
  return beta == 0.75f ? powers_three_quarters(s) : powers_of_any_beta(s, beta);
}

// The contract of both kernels: grid and block are choose_*'s. Arrays are [C, H, W, N]. constants.size is
// kSize, odd.

template <class T, int kSize>
__global__ void __launch_bounds__(kImages* kForwardColumns)
    lrn_within_forward_kernel(const T* x, T* y, MapShape shape, LrnConstants constants, int columns,
                              int column_tiles, int batch_pieces) {
  constexpr int kAfter = kSize - 1 - kSize / 2;
  const Lane lane = lane_of(shape, columns, column_tiles, batch_pieces, 0);
  if (!lane.inside) return;
  float sums[kSize] = {};          // of rows row - kSize + 1 .. row
  float centres[kAfter + 1] = {};  // x of rows row - kAfter .. row
  for (int row = 0; row < shape.H + kAfter; ++row) {
    const RowSum newest = row_sum<kSize>(x, lane, shape, row);
    push(sums, newest.squares);
    push(centres, newest.centre);
    if (row < kAfter) continue;
    const float scale = fmaf(constants.alpha, sum_of(sums), constants.k);
    y[lane.at_row_0 + (row - kAfter) * lane.row_step] =
        from_float<T>(centres[0] * powers_of(scale, constants.beta).minus_beta);
  }
}

template <class T, int kSize>
__global__ void __launch_bounds__(kImages* kBackwardColumns)
    lrn_within_backward_kernel(const T* x, const T* dy, T* dx, MapShape shape, LrnConstants constants,
                               int columns, int column_tiles, int batch_pieces) {
  constexpr int kBefore = kSize / 2;
  constexpr int kAfter = kSize - 1 - kBefore;
  SIMT_SHARED(t_row, float[2][kBackwardColumns][kImages]);
  const Lane lane = lane_of(shape, columns, column_tiles, batch_pieces, -kAfter);
  const int column_in_block = static_cast<int>(threadIdx.y);
  const bool writes = column_in_block >= kAfter && column_in_block < kAfter + columns;
  const float factor = 2.0f * constants.alpha * constants.beta;

  float sums[kSize] = {};          // of squares, of rows row - kSize + 1 .. row
  float centres[kSize] = {};       // x of the same rows
  float t_sums[kSize] = {};        // of t, of the rows before row - kAfter, and that one
  float direct[kBefore + 1] = {};  // dy * scale^-beta of rows row - kAfter - kBefore .. row - kAfter
  for (int row = 0; row < shape.H + kSize - 1; ++row) {
    const RowSum newest = row_sum<kSize>(x, lane, shape, row);
    push(sums, newest.squares);
    push(centres, newest.centre);

    const int middle = row - kAfter;  // whose window is complete now
    Powers power{};
    float gradient = 0.0f;
    if (lane.inside && middle >= 0 && middle < shape.H) {
      gradient = to_float(dy[lane.at_row_0 + middle * lane.row_step]);
      power = powers_of(fmaf(constants.alpha, sum_of(sums), constants.k), constants.beta);
    }
    push(direct, gradient * power.minus_beta);
    t_row[row % 2][column_in_block][threadIdx.x] = gradient * centres[kBefore] * power.minus_beta_minus_1;
    __syncthreads();

    float t_sum = 0.0f;
    if (writes) {
      SIMT_UNROLL
      for (int i = 0; i < kSize; ++i) t_sum += t_row[row % 2][column_in_block - kAfter + i][threadIdx.x];
    }
    push(t_sums, t_sum);
    const int complete = middle - kBefore;  // the row all of whose t are known now
    if (writes && lane.inside && complete >= 0) {
      dx[lane.at_row_0 + complete * lane.row_step] =
          from_float<T>(fmaf(-factor * centres[0], sum_of(t_sums), direct[0]));
    }
  }
}

int ceil_divide(int a, int b) { return (a + b - 1) / b; }

// `helpers` columns of a block write nothing.
LrnWithinConfig choose(const MapShape& shape, int size, int most_columns, int helpers) {
  LrnWithinConfig config{};
  config.walk = size == 3 || size == 5 || size == 7 || size == 9;
  config.threads_x = 1;
  while (config.threads_x < kImages && config.threads_x < shape.N) config.threads_x *= 2;
  config.column_tiles = ceil_divide(shape.W, most_columns - helpers);
  config.columns = ceil_divide(shape.W, config.column_tiles);  // about the same number in each
  config.threads_y = config.columns + helpers;
  config.batch_pieces = ceil_divide(shape.N, config.threads_x);
  config.blocks = std::int64_t{shape.C} * config.column_tiles * config.batch_pieces;
  return config;
}

void check_maps(const std::string& name, const MapShape& shape, const LrnConstants& constants,
                const LrnWithinConfig& config) {
  require(shape.C >= 1 && shape.H >= 1 && shape.W >= 1 && shape.N >= 1, name + ": an empty shape");
  require(constants.size >= 1, name + ": a window of " + std::to_string(constants.size));
  require(config.blocks < std::int64_t{1} << 31,
          name + ": " + to_string(config) + ", more than a grid holds");
}

std::int64_t count_of(const MapShape& shape) { return std::int64_t{shape.C} * shape.H * shape.W * shape.N; }

}  // namespace

LrnWithinConfig choose_lrn_within_channel(const MapShape& shape, int size) {
  return choose(shape, size, kForwardColumns, 0);
}

LrnWithinConfig choose_lrn_within_channel_backward(const MapShape& shape, int size) {
  return choose(shape, size, kBackwardColumns, size <= 9 ? size - 1 : 0);
}

std::string to_string(const LrnWithinConfig& config) {
  const std::string shape = config.walk
                                ? " blocks of " + std::to_string(config.threads_x) + " x " +
                                      std::to_string(config.threads_y) + " threads, each one column of a map"
                                : " blocks wanted, each pixel on its own";
  return std::to_string(config.blocks) + shape;
}

template <class T>
void lrn_within_channel_forward(const T* x, T* y, const MapShape& shape, const LrnConstants& constants,
                                simt::stream_t stream) {
  const LrnWithinConfig config = choose_lrn_within_channel(shape, constants.size);
  check_maps("lrn_within_channel_forward", shape, constants, config);
  require_apart(x, count_of(shape), y, count_of(shape), "lrn_within_channel_forward: x and y");
  if (!config.walk) return lrn_within_any_size_forward(x, y, shape, constants, stream);
  auto* kernel = lrn_within_forward_kernel<T, 3>;
  if (constants.size == 5) kernel = lrn_within_forward_kernel<T, 5>;
  if (constants.size == 7) kernel = lrn_within_forward_kernel<T, 7>;
  if (constants.size == 9) kernel = lrn_within_forward_kernel<T, 9>;
  simt::launch(kernel, dim3(static_cast<unsigned>(config.blocks)), dim3(config.threads_x, config.threads_y),
               0, stream, x, y, shape, constants, config.columns, config.column_tiles, config.batch_pieces);
}

template <class T>
void lrn_within_channel_backward(const T* x, const T* dy, T* dx, const MapShape& shape,
                                 const LrnConstants& constants, simt::stream_t stream) {
  const LrnWithinConfig config = choose_lrn_within_channel_backward(shape, constants.size);
  check_maps("lrn_within_channel_backward", shape, constants, config);
  require_apart(x, count_of(shape), dx, count_of(shape), "lrn_within_channel_backward: x and dx");
  require_apart(dy, count_of(shape), dx, count_of(shape), "lrn_within_channel_backward: dy and dx");
  if (!config.walk) return lrn_within_any_size_backward(x, dy, dx, shape, constants, stream);
  auto* kernel = lrn_within_backward_kernel<T, 3>;
  if (constants.size == 5) kernel = lrn_within_backward_kernel<T, 5>;
  if (constants.size == 7) kernel = lrn_within_backward_kernel<T, 7>;
  if (constants.size == 9) kernel = lrn_within_backward_kernel<T, 9>;
  simt::launch(kernel, dim3(static_cast<unsigned>(config.blocks)), dim3(config.threads_x, config.threads_y),
               0, stream, x, dy, dx, shape, constants, config.columns, config.column_tiles,
               config.batch_pieces);
}

template void lrn_within_channel_forward(const float*, float*, const MapShape&, const LrnConstants&,
                                         simt::stream_t);
template void lrn_within_channel_forward(const simt::bf16*, simt::bf16*, const MapShape&, const LrnConstants&,
                                         simt::stream_t);
template void lrn_within_channel_backward(const float*, const float*, float*, const MapShape&,
                                          const LrnConstants&, simt::stream_t);
template void lrn_within_channel_backward(const simt::bf16*, const simt::bf16*, simt::bf16*, const MapShape&,
                                          const LrnConstants&, simt::stream_t);

}  // namespace alexnet
