// The rates that the plan of the bf16 kernels rests on, measured by the least code that shows them:
//
//   patch_boxes      TMA's rate of conv1's box {64 images, 11, 11, 3}: 363 rows of 128 bytes
//   tile_boxes       of the stages of conv3's fprop, tiles of 128 filters x 256 images, as every block
//                    fetches them without sharing: what the L2 hands out
//   wgmma_*          of the tensor cores alone, operands in shared memory, by columns of a wgmma
//   sum_partials     of the reduction after a split sum: 4096 x 128, four parts
//
// probes [small]: prints "name value unit" lines. One source for a GPU and for the emulator, where `small`
// shows that it runs; numbers count on a GPU alone.

#include <chrono>
#include <cstdio>
#include <cstring>
#include <vector>

#include "kernels/gemm/gemm.h"
#include "simt/hopper.h"
#include "simt/host.h"

namespace {

using simt::Major;
using simt::Mbarrier;
using simt::TensorMap;

constexpr int kStages = 3;
constexpr int kMaxBytes = 48 * 1024;  // of a stage

struct Ring {
  alignas(1024) unsigned char stage[kStages][kMaxBytes];
  Mbarrier full[kStages], empty[kStages];
};

// One thread fetches a step's bytes into the next stage, another gives the stage back as soon as they are
// there.
template <class Load>
__device__ void turn_ring(int steps, int bytes, Load load) {
  SIMT_DYN_SHARED(ring, Ring);
  if (threadIdx.x == 0) {
    for (int i = 0; i < kStages; ++i) {
      mbarrier_init(ring.full[i], 1);
      mbarrier_init(ring.empty[i], 1);
    }
    simt::fence_mbarrier_init();
  }
  __syncthreads();
  const bool producer = threadIdx.x == 0;
  if (!producer && threadIdx.x != 32) return;
  int stage = 0;
  unsigned parity = 0;
  for (int step = 0; step < steps; ++step) {
    if (producer) {
      mbarrier_wait(ring.empty[stage], parity ^ 1);
      mbarrier_arrive_expect_tx(ring.full[stage], static_cast<unsigned>(bytes));
      load(step, ring.stage[stage], ring.full[stage]);
    } else {
      mbarrier_wait(ring.full[stage], parity);
      mbarrier_arrive(ring.empty[stage]);
    }
    if (++stage == kStages) {
      stage = 0;
      parity ^= 1;
    }
  }
}

// blockIdx.x: from where on; gridDim.x: to the next. Block of 64 threads. x is [3, H, W, N] with N % 64 == 0.
__global__ void __launch_bounds__(64)
    patch_boxes(const __grid_constant__ TensorMap x, int outputs, int image_blocks, int steps) {
  turn_ring(steps, 363 * 128, [&](int step, void* to, Mbarrier& full) {
    const int tile = (static_cast<int>(blockIdx.x) + step * static_cast<int>(gridDim.x)) %
                     (outputs * outputs * image_blocks);
    const int position = tile / image_blocks;
    simt::tma_load(to, x, full,
                   {tile % image_blocks * 64, position % outputs * 4, position / outputs * 4, 0});
  });
}

// Grid and block as above. w: {K, taps, C}; x: {64, C, N / 64, W, H}, or all of an image as one row of
// positions.
__global__ void __launch_bounds__(64)
    tile_boxes(const __grid_constant__ TensorMap w, const __grid_constant__ TensorMap x, int filter_tiles,
               int side, int channels, int steps) {
  const int blocks = channels / 64;
  turn_ring(steps, 48 * 1024, [&](int step, void* to, Mbarrier& full) {
    const int block = static_cast<int>(blockIdx.x);
    const int filters = block % filter_tiles * 128;
    const int position = block / filter_tiles % ((side - 2) * (side - 2));
    const int tap = step / blocks % 9, channel = step % blocks * 64;
    auto* bytes = static_cast<unsigned char*>(to);
    simt::tma_load(bytes, w, full, {filters, tap, channel});
    simt::tma_load(bytes + 8192, w, full, {filters + 64, tap, channel});
    simt::tma_load(bytes + 16384, x, full,
                   {0, channel, 0, position % (side - 2) + tap % 3, position / (side - 2) + tap / 3});
  });
}

struct Operands {
  alignas(1024) simt::bf16 a[2][64 * 64];
  alignas(1024) simt::bf16 b[256 * 64];
};

// Two warpgroups, each 64 rows of its own by kColumns columns, K-major operands; y: 256 values.
template <int kColumns>
__global__ void __launch_bounds__(256) wgmma_rate(int steps, float* y) {
  SIMT_DYN_SHARED(operands, Operands);
  const int thread = static_cast<int>(threadIdx.x);
  for (int i = thread; i < 2 * 64 * 64; i += 256)
    operands.a[i / 4096][i % 4096] = simt::to_bf16(float(i * 7 % 13) - 6);
  for (int i = thread; i < 256 * 64; i += 256) operands.b[i] = simt::to_bf16(float(i * 5 % 11) - 5);
  simt::fence_proxy_async();
  __syncthreads();
  float d[kColumns / 2];
  SIMT_UNROLL
  for (int i = 0; i < kColumns / 2; ++i) d[i] = 0;
  simt::wgmma_fence();
  for (int step = 0; step < steps; ++step) {
    SIMT_UNROLL
    for (int k = 0; k < 4; ++k) {
      const auto a = simt::wgmma_descriptor(&operands.a[thread / 128][k * 16], 16, 1024);
      simt::wgmma<Major::k, Major::k>(d, a, simt::wgmma_descriptor(&operands.b[k * 16], 16, 1024), true);
    }
    simt::wgmma_commit();
    simt::wgmma_wait<1>();
  }
  simt::wgmma_wait<0>(d);
  float sum = 0;
  SIMT_UNROLL
  for (int i = 0; i < kColumns / 2; ++i) sum += d[i];
  y[thread] = sum;
}

template <class Run>
double seconds(Run run) {
  run();  // warms up
  simt::synchronize();
  const auto begin = std::chrono::steady_clock::now();
  run();
  simt::synchronize();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void print(const char* name, double value, const char* unit) {
  std::printf("%s %.6g %s\n", name, value, unit);
}

struct Size {
  int blocks, images, edge, channels, filters, steps;
};

using simt::ElementType;

void measure_patch_boxes(const Size& size) {
  const auto edge = static_cast<std::uint64_t>(size.edge), images = static_cast<std::uint64_t>(size.images);
  const simt::DeviceBuffer<simt::bf16> x(3 * edge * edge * images);
  const std::uint64_t row = images * 2;
  const TensorMap map = simt::make_tensor_map({x.data(),
                                               ElementType::bfloat16,
                                               4,
                                               {images, edge, edge, 3},
                                               {row, row * edge, row * edge * edge},
                                               {64, 11, 11, 3}});
  const int outputs = (size.edge - 11) / 4 + 1;
  const double time = seconds([&] {
    simt::launch(patch_boxes, dim3(static_cast<unsigned>(size.blocks)), dim3(64), sizeof(Ring), 0, map,
                 outputs, size.images / 64, size.steps);
  });
  print("patch_boxes", 363.0 * 128 * size.blocks * size.steps / time / 1e12, "TB/s");
}

void measure_tile_boxes(const Size& size) {
  const auto side = static_cast<std::uint64_t>(13), images = static_cast<std::uint64_t>(256);
  const auto channels = static_cast<std::uint64_t>(size.channels),
             filters = static_cast<std::uint64_t>(size.filters);
  const simt::DeviceBuffer<simt::bf16> x(channels * side * side * images), w(channels * 9 * filters);
  const std::uint64_t row = images * 2;
  const TensorMap x_map = simt::make_tensor_map({x.data(),
                                                 ElementType::bfloat16,
                                                 5,
                                                 {64, channels, images / 64, side, side},
                                                 {row * side * side, 128, row, row * side},
                                                 {64, 64, 4, 1, 1}});
  const TensorMap w_map = simt::make_tensor_map(
      {w.data(), ElementType::bfloat16, 3, {filters, 9, channels}, {filters * 2, filters * 18}, {64, 1, 64}});
  const double time = seconds([&] {
    simt::launch(tile_boxes, dim3(static_cast<unsigned>(size.blocks)), dim3(64), sizeof(Ring), 0, w_map,
                 x_map, size.filters / 128, static_cast<int>(side), size.channels, size.steps);
  });
  print("tile_boxes", 48.0 * 1024 * size.blocks * size.steps / time / 1e12, "TB/s");
}

template <int kColumns>
void measure_wgmma(const Size& size, const char* name) {
  simt::DeviceBuffer<float> y(256);
  const double time = seconds([&] {
    simt::launch(wgmma_rate<kColumns>, dim3(static_cast<unsigned>(size.blocks)), dim3(256), sizeof(Operands),
                 0, size.steps, y.data());
  });
  print(name, 2.0 * 128 * kColumns * 64 * size.blocks * size.steps / time / 1e12, "TFLOP/s");
}

void measure_sum_partials(const Size& size) {
  constexpr int kParts = 4;
  const int rows = size.filters * 8, columns = 128;
  simt::DeviceBuffer<float> partials(std::size_t(kParts) * rows * columns);
  simt::DeviceBuffer<float> c(std::size_t(rows) * columns);
  const int calls = size.steps / 32 + 1;
  const double time = seconds([&] {
    for (int i = 0; i < calls; ++i) {
      alexnet::sum_partials(partials.data(), kParts, c.data(), rows, columns, {1.0f, 0.0f, nullptr, true}, 0);
    }
  });
  print("sum_partials", time / calls * 1e6, "us");
}

}  // namespace

int main(int arguments, char** argument) {
  const bool small = arguments == 2 && std::strcmp(argument[1], "small") == 0;
  if (arguments > 2 || (arguments == 2 && !small)) return 2;
  const Size size =
      small ? Size{2, 64, 31, 64, 128, 6} : Size{simt::gpu().multiprocessors, 1024, 227, 256, 512, 6000};
  measure_patch_boxes(size);
  measure_tile_boxes(size);
  measure_wgmma<64>(size, "wgmma_64_columns");
  measure_wgmma<96>(size, "wgmma_96_columns");
  measure_wgmma<128>(size, "wgmma_128_columns");
  measure_wgmma<192>(size, "wgmma_192_columns");
  measure_wgmma<256>(size, "wgmma_256_columns");
  measure_sum_partials(size);
  return 0;
}
