// What bench_emulator.py runs: kernels whose time says what the emulator's parts cost. Prints "name value"
// lines.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "../tests/emulator/pipelined_gemm.h"
#include "simt/host.h"

namespace {

constexpr int kTile = 64;   // of C, for one block
constexpr int kDepth = 16;  // of a step through K
constexpr int kThreads = 256;
constexpr int kEach = 4;  // a thread owns 4 x 4 elements of C

// C = A B, row after row, sizes multiples of the tile. blockIdx: tile of C (x: columns).
__global__ void gemm(const float* a, const float* b, float* c, int size) {
  SIMT_SHARED(a_tile, float[kDepth][kTile]);
  SIMT_SHARED(b_tile, float[kDepth][kTile]);
  const int thread = static_cast<int>(threadIdx.x);
  const int row = static_cast<int>(blockIdx.y) * kTile;
  const int column = static_cast<int>(blockIdx.x) * kTile;
  const int own_row = thread / (kTile / kEach) * kEach;
  const int own_column = thread % (kTile / kEach) * kEach;
  float sums[kEach][kEach] = {};
  for (int begin = 0; begin < size; begin += kDepth) {
    for (int i = thread; i < kTile * kDepth; i += kThreads) {
      a_tile[i % kDepth][i / kDepth] = a[(row + i / kDepth) * size + begin + i % kDepth];
      b_tile[i / kTile][i % kTile] = b[(begin + i / kTile) * size + column + i % kTile];
    }
    __syncthreads();
    SIMT_UNROLL
    for (int k = 0; k < kDepth; ++k) {
      SIMT_UNROLL
      for (int i = 0; i < kEach; ++i) {
        SIMT_UNROLL
        for (int j = 0; j < kEach; ++j) sums[i][j] += a_tile[k][own_row + i] * b_tile[k][own_column + j];
      }
    }
    __syncthreads();
  }
  for (int i = 0; i < kEach; ++i) {
    for (int j = 0; j < kEach; ++j) c[(row + own_row + i) * size + column + own_column + j] = sums[i][j];
  }
}

__global__ void barriers(int count) {
  for (int i = 0; i < count; ++i) __syncthreads();
}

__global__ void shuffles(int count, unsigned* y) {
  unsigned value = threadIdx.x;
  for (int i = 0; i < count; ++i) value += __shfl_xor_sync(~0u, value, 1);
  y[threadIdx.x] = value;
}

__global__ void copy_one(const float* x, float* y) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  y[i] = x[i];
}

template <class Run>
double seconds(Run run) {
  const auto begin = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

bool gemm_right(const std::vector<float>& a, const std::vector<float>& b, const std::vector<float>& c,
                int size) {
  for (int i = 0; i < size; i += 7) {
    const int j = i * 31 % size;
    float sum = 0;
    for (int k = 0; k < size; ++k) sum += a[i * size + k] * b[k * size + j];
    if (sum != c[i * size + j]) return false;
  }
  return true;
}

// A product on the matrix units, of bfloat16, by the warp-specialised kernel of the tests. Negative: wrong.
double pipelined_gemm_gflops(int size) {
  const auto a = pipelined_gemm::numbers(size * size, 1), b = pipelined_gemm::numbers(size * size, 2);
  const simt::DeviceBuffer<simt::bf16> device_a(a), device_b(b);
  simt::DeviceBuffer<float> device_d(a.size());
  const double time = seconds([&] {
    pipelined_gemm::launch<pipelined_gemm::Bug::none>(device_a.data(), device_b.data(), device_d.data(), size,
                                                      size, size);
  });
  const auto d = device_d.to_host();
  for (int i = 0; i < size; i += 7) {
    const int j = i * 31 % size;
    float sum = 0;
    for (int k = 0; k < size; ++k) sum += simt::to_float(a[k * size + i]) * simt::to_float(b[k * size + j]);
    if (sum != d[i * size + j]) return -1;
  }
  return 2.0 * size * size * size / time / 1e9;
}

}  // namespace

// emulator SIZE COUNT: a product of SIZE x SIZE matrices; COUNT barriers and shuffles.
int main(int arguments, char** argument) {
  if (arguments != 3) return 2;
  const int size = std::atoi(argument[1]) / kTile * kTile;
  const int count = std::atoi(argument[2]);
  std::vector<float> values(static_cast<std::size_t>(size) * size);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(static_cast<int>(i * 7 % 9) - 4);
  const simt::DeviceBuffer<float> a(values), b(values);
  simt::DeviceBuffer<float> c(values.size());
  const unsigned tiles = static_cast<unsigned>(size / kTile);
  const double gemm_time = seconds(
      [&] { simt::launch(gemm, dim3(tiles, tiles), kThreads, 0, 0, a.data(), b.data(), c.data(), size); });
  if (!gemm_right(values, values, c.to_host(), size)) return 1;  // integers: the sums are exact
  std::printf("gemm_gflops %g\n", 2.0 * size * size * size / gemm_time / 1e9);

  const double on_matrix_units = pipelined_gemm_gflops(size);
  if (on_matrix_units < 0) return 1;
  std::printf("pipelined_gemm_gflops %g\n", on_matrix_units);

  const double barrier_time = seconds([&] { simt::launch(barriers, 1, kThreads, 0, 0, count); });
  std::printf("barrier_ns_per_thread %g\n", barrier_time * 1e9 / count / kThreads);
  simt::DeviceBuffer<unsigned> y(32);
  const double shuffle_time = seconds([&] { simt::launch(shuffles, 1, 32, 0, 0, count, y.data()); });
  std::printf("shuffle_ns_per_thread %g\n", shuffle_time * 1e9 / count / 32);
  const unsigned blocks = static_cast<unsigned>(values.size() / kThreads);
  const double copy_time =
      seconds([&] { simt::launch(copy_one, blocks, kThreads, 0, 0, a.data(), c.data()); });
  std::printf("thread_without_barriers_ns %g\n", copy_time * 1e9 / blocks / kThreads);
  return 0;
}
