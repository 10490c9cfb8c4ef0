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
// The GPU. It is a hundred or more multiprocessors, each a processor of its own. A block runs on one of them
// from its first to its last instruction; a multiprocessor holds several blocks, up to 2048 threads on large
// GPUs, and while the threads of one warp wait for memory it runs another's. Blocks that find no room wait
// until others end.
//
// The words. __global__ marks a kernel, __device__ a function that kernels call, __forceinline__ that it
// shall become part of its caller. The CPU (the "host") only starts kernels: simt::launch(kernel, grid,
// block, bytes, stream, arguments...). A stream is a queue of work for the GPU; the call returns before the
// kernel has run, and work of one stream runs in order. The bytes are for memory that a block's threads
// share, which gemm needs and this does not: 0.
//
// What limits it. One comparison for 4 bytes read and 4 written: it runs as fast as memory does. What helps
// is to move 16 bytes at a time (a Pack of four floats), which takes a quarter of the load and store
// instructions. That needs addresses that are multiples of 16; buffers that are not, and the last one to
// three elements, go one by one.
//
// Halving the bytes halves the time. So the same kernel also takes bfloat16 (bf16 for short), which is the
// upper half of a float: as large and as small numbers, with 8 significant bits in place of 24, and eight of
// them in 16 bytes. T below is either type. What a kernel computes, it computes in float: to_float(x) is x
// itself, or the float with the same upper half. The way back rounds, but not here, where what is written is
// what was read, or 0.
//
// NaN. `x <= 0` is false for NaN, so a NaN goes through and can be found. fmaxf(x, 0) would turn it into 0.

#include "kernels/relu/relu.h"

#include <algorithm>

#include "kernels/common/check.h"
#include "kernels/common/pack.h"
#include "simt/simt.h"

namespace alexnet {
namespace {

// A multiple of the warp (32) that divides the 2048 threads a multiprocessor of an A100 or H100 holds.
constexpr int kThreads = 256;

// 8 such blocks fill a multiprocessor, and the largest GPUs have fewer than 256 of those. More blocks would
// only wait in line; the grid-stride loop does their work.
constexpr int kMaxBlocks = 8 * 256;

template <class T>
__device__ __forceinline__ T positive_part(T x) {
  return to_float(x) <= 0.0f ? T{} : x;
}

// The gradient goes through where the output was positive (or NaN) and stops where it was zero.
template <class T>
__device__ __forceinline__ T pass_where_positive(T dy, T y) {
  return to_float(y) <= 0.0f ? T{} : dy;
}

// The contract of both kernels below. Grid and block: one-dimensional, any size. Every array has `count`
// elements. A pack is one element (any address) or 16 bytes of them (addresses that are multiples of 16), and
// a thread owns the packs first, first + step, first + 2 * step, ... Indices are 64-bit, since 2^31 floats
// are only 8 GB.

template <class T, int kWidth>
__global__ void relu_forward_kernel(const T* x, T* y, std::int64_t count) {
  const std::int64_t first = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t step = std::int64_t(gridDim.x) * blockDim.x;
  const std::int64_t packs = count / kWidth;

  const auto* x_packs = reinterpret_cast<const Pack<T, kWidth>*>(x);
  auto* y_packs = reinterpret_cast<Pack<T, kWidth>*>(y);
  for (std::int64_t i = first; i < packs; i += step) {
    Pack<T, kWidth> pack = x_packs[i];
    SIMT_UNROLL
    for (int j = 0; j < kWidth; ++j) pack.at[j] = positive_part(pack.at[j]);
    y_packs[i] = pack;
  }

  // The tail: fewer than kWidth elements.
  for (std::int64_t i = packs * kWidth + first; i < count; i += step) {
    y[i] = positive_part(x[i]);
  }
}

template <class T, int kWidth>
__global__ void relu_backward_kernel(const T* dy, const T* y, T* dx, std::int64_t count) {
  const std::int64_t first = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t step = std::int64_t(gridDim.x) * blockDim.x;
  const std::int64_t packs = count / kWidth;

  const auto* dy_packs = reinterpret_cast<const Pack<T, kWidth>*>(dy);
  const auto* y_packs = reinterpret_cast<const Pack<T, kWidth>*>(y);
  auto* dx_packs = reinterpret_cast<Pack<T, kWidth>*>(dx);
  for (std::int64_t i = first; i < packs; i += step) {
    Pack<T, kWidth> gradient = dy_packs[i];
    const Pack<T, kWidth> output = y_packs[i];
    SIMT_UNROLL
    for (int j = 0; j < kWidth; ++j) gradient.at[j] = pass_where_positive(gradient.at[j], output.at[j]);
    dx_packs[i] = gradient;
  }

  for (std::int64_t i = packs * kWidth + first; i < count; i += step) {
    dx[i] = pass_where_positive(dy[i], y[i]);
  }
}

}  // namespace

ReluConfig choose_relu(std::int64_t count, std::size_t element_size, bool aligned) {
  const int in_16_bytes = 16 / static_cast<int>(element_size);
  const int width = aligned && count >= in_16_bytes ? in_16_bytes : 1;
  const std::int64_t packs = count / width;
  const std::int64_t blocks = (packs + kThreads - 1) / kThreads;
  return {width, kThreads, static_cast<int>(std::min<std::int64_t>(blocks, kMaxBlocks))};
}

std::string to_string(const ReluConfig& config) {
  return std::to_string(config.blocks) + " blocks of " + std::to_string(config.threads) + " threads, " +
         std::to_string(config.width) + (config.width == 1 ? " element" : " elements") + " at a time";
}

// From here on it is host code: it runs on the CPU, checks the contract and starts the kernel on `stream`.

template <class T>
void relu_forward(const T* x, T* y, std::int64_t count, simt::stream_t stream) {
  require(count >= 0, "relu_forward: count is negative: " + std::to_string(count));
  if (count == 0) return;
  require_same_or_apart(x, y, count, "relu_forward: x and y");

  const ReluConfig config = choose_relu(count, sizeof(T), is_aligned(x, 16) && is_aligned(y, 16));
  const auto kernel = config.width > 1 ? relu_forward_kernel<T, kPackWidth<T>> : relu_forward_kernel<T, 1>;
  simt::launch(kernel, dim3(config.blocks), dim3(config.threads), 0, stream, x, y, count);
}

template <class T>
void relu_backward(const T* dy, const T* y, T* dx, std::int64_t count, simt::stream_t stream) {
  require(count >= 0, "relu_backward: count is negative: " + std::to_string(count));
  if (count == 0) return;
  require_same_or_apart(dy, dx, count, "relu_backward: dy and dx");
  require_same_or_apart(y, dx, count, "relu_backward: y and dx");

  const bool aligned = is_aligned(dy, 16) && is_aligned(y, 16) && is_aligned(dx, 16);
  const ReluConfig config = choose_relu(count, sizeof(T), aligned);
  const auto kernel = config.width > 1 ? relu_backward_kernel<T, kPackWidth<T>> : relu_backward_kernel<T, 1>;
  simt::launch(kernel, dim3(config.blocks), dim3(config.threads), 0, stream, dy, y, dx, count);
}

// The types these are compiled for.
template void relu_forward(const float*, float*, std::int64_t, simt::stream_t);
template void relu_forward(const simt::bf16*, simt::bf16*, std::int64_t, simt::stream_t);
template void relu_backward(const float*, const float*, float*, std::int64_t, simt::stream_t);
template void relu_backward(const simt::bf16*, const simt::bf16*, simt::bf16*, std::int64_t, simt::stream_t);

}  // namespace alexnet
