// ReLU: y = max(x, 0), element by element. The simplest kernel of the project, and the one to read first.
//
// What a GPU wants. A kernel is one function that thousands of threads run at once, each on its own piece of
// the data. Threads come in blocks (here of 256) and blocks in a grid; inside the kernel `threadIdx` says
// which thread of its block this is, `blockIdx` which block of the grid, `blockDim` and `gridDim` how many
// there are. So
//
//     index = blockIdx.x * blockDim.x + threadIdx.x        0, 1, 2, ... over the whole grid
//
//     block 0                block 1                block 2
//     [t0 t1 t2 ... t255]    [t0 t1 t2 ... t255]    [t0 ...
//      x0 x1 x2 ... x255      x256     ...  x511     x512 ...
//
// Neighbouring threads touch neighbouring addresses, so the 32 threads that the hardware runs together (a
// warp) read whole 128-byte lines: "coalesced". When the data is longer than the grid, every thread steps on
// by the size of the grid until the data ends (a "grid-stride loop"), so any count works with any grid.
//
// What limits it. One comparison for 4 bytes read and 4 written: it runs as fast as memory does. What helps
// is to move 16 bytes at a time (float4), which takes a quarter of the load and store instructions. That
// needs addresses that are multiples of 16; buffers that are not, and the last one to three elements, go one
// by one.
//
// NaN. `x <= 0` is false for NaN, so a NaN goes through and can be found. fmaxf(x, 0) would turn it into 0.

#include "kernels/relu/relu.h"

#include <algorithm>

#include "kernels/common/check.h"
#include "simt/simt.h"

namespace alexnet {
namespace {

// A multiple of the warp (32) that divides the 2048 threads a multiprocessor of an A100 or H100 holds.
constexpr int kThreads = 256;

// 8 such blocks fill a multiprocessor, and the largest GPUs have fewer than 256 of those. More blocks would
// only wait in line; the grid-stride loop does their work.
constexpr int kMaxBlocks = 8 * 256;

__device__ __forceinline__ float positive_part(float x) { return x <= 0.0f ? 0.0f : x; }

__device__ __forceinline__ float4 positive_part(float4 x) {
  return make_float4(positive_part(x.x), positive_part(x.y), positive_part(x.z), positive_part(x.w));
}

// The gradient goes through where the output was positive (or NaN) and stops where it was zero.
__device__ __forceinline__ float pass_where_positive(float dy, float y) { return y <= 0.0f ? 0.0f : dy; }

__device__ __forceinline__ float4 pass_where_positive(float4 dy, float4 y) {
  return make_float4(pass_where_positive(dy.x, y.x), pass_where_positive(dy.y, y.y),
                     pass_where_positive(dy.z, y.z), pass_where_positive(dy.w, y.w));
}

// The contract of both kernels below. Grid and block: one-dimensional, any size. Every array has `count`
// elements. A Pack is float (any address) or float4 (addresses that are multiples of 16), and a thread owns
// the packs first, first + step, first + 2 * step, ... Indices are 64-bit, since 2^31 floats are only 8 GB.

template <class Pack>
__global__ void relu_forward_kernel(const float* x, float* y, std::int64_t count) {
  constexpr int kWidth = sizeof(Pack) / sizeof(float);
  const std::int64_t first = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t step = std::int64_t(gridDim.x) * blockDim.x;
  const std::int64_t packs = count / kWidth;

  const auto* x_packs = reinterpret_cast<const Pack*>(x);
  auto* y_packs = reinterpret_cast<Pack*>(y);
  for (std::int64_t i = first; i < packs; i += step) {
    y_packs[i] = positive_part(x_packs[i]);
  }

  // The tail: fewer than kWidth elements.
  for (std::int64_t i = packs * kWidth + first; i < count; i += step) {
    y[i] = positive_part(x[i]);
  }
}

template <class Pack>
__global__ void relu_backward_kernel(const float* dy, const float* y, float* dx, std::int64_t count) {
  constexpr int kWidth = sizeof(Pack) / sizeof(float);
  const std::int64_t first = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t step = std::int64_t(gridDim.x) * blockDim.x;
  const std::int64_t packs = count / kWidth;

  const auto* dy_packs = reinterpret_cast<const Pack*>(dy);
  const auto* y_packs = reinterpret_cast<const Pack*>(y);
  auto* dx_packs = reinterpret_cast<Pack*>(dx);
  for (std::int64_t i = first; i < packs; i += step) {
    dx_packs[i] = pass_where_positive(dy_packs[i], y_packs[i]);
  }

  for (std::int64_t i = packs * kWidth + first; i < count; i += step) {
    dx[i] = pass_where_positive(dy[i], y[i]);
  }
}

}  // namespace

ReluConfig choose_relu(std::int64_t count, bool aligned) {
  const int width = aligned && count >= 4 ? 4 : 1;
  const std::int64_t packs = count / width;
  const std::int64_t blocks = (packs + kThreads - 1) / kThreads;
  return {width, kThreads, static_cast<int>(std::min<std::int64_t>(blocks, kMaxBlocks))};
}

std::string to_string(const ReluConfig& config) {
  return std::to_string(config.blocks) + " blocks of " + std::to_string(config.threads) + " threads, " +
         std::to_string(config.width) + (config.width == 1 ? " float" : " floats") + " at a time";
}

// From here on it is host code: it runs on the CPU, checks the contract and starts the kernel on `stream`.

void relu_forward(const float* x, float* y, std::int64_t count, simt::stream_t stream) {
  require(count >= 0, "relu_forward: count is negative: " + std::to_string(count));
  if (count == 0) return;
  require_same_or_apart(x, y, count, "relu_forward: x and y");

  const ReluConfig config = choose_relu(count, is_aligned(x, 16) && is_aligned(y, 16));
  const auto kernel = config.width == 4 ? relu_forward_kernel<float4> : relu_forward_kernel<float>;
  simt::launch(kernel, dim3(config.blocks), dim3(config.threads), 0, stream, x, y, count);
}

void relu_backward(const float* dy, const float* y, float* dx, std::int64_t count, simt::stream_t stream) {
  require(count >= 0, "relu_backward: count is negative: " + std::to_string(count));
  if (count == 0) return;
  require_same_or_apart(dy, dx, count, "relu_backward: dy and dx");
  require_same_or_apart(y, dx, count, "relu_backward: y and dx");

  const ReluConfig config = choose_relu(count, is_aligned(dy, 16) && is_aligned(y, 16) && is_aligned(dx, 16));
  const auto kernel = config.width == 4 ? relu_backward_kernel<float4> : relu_backward_kernel<float>;
  simt::launch(kernel, dim3(config.blocks), dim3(config.threads), 0, stream, dy, y, dx, count);
}

}  // namespace alexnet
