// A warp-specialised matrix product, D[m][n] = sum over k of A[k][m] B[k][n]: a producer that copies tiles,
// two warpgroups that multiply them, a ring of buffers with mbarriers between them, and copies of the result.
// One source for the emulator and for a GPU, and for the bugs that can be planted in it.
#pragma once

#include <vector>

#include "simt/hopper.h"
#include "simt/host.h"

namespace pipelined_gemm {

using simt::bf16;
using simt::Major;
using simt::Mbarrier;
using simt::Swizzle;
using simt::TensorMap;

enum class Bug {
  none,
  full_parity,
  empty_parity,
  swizzle,
  leading,
  no_proxy_fence,
  no_wait_for_copies,
  early_release,
  too_few_bytes,
  no_init_fence,
  no_epilogue_barrier,
  no_store_wait,
  no_store_wait_at_the_end,
  too_few_arrivals,
  read_before_wgmma_wait,
  no_wgmma_fence,
  no_commit,
};

constexpr int kStages = 3, kM = 128, kN = 128, kK = 64;
constexpr int kTile = kK * 64;  // elements of a box of operands
constexpr int kThreads = 384;

struct Tiles {
  alignas(1024) bf16 a[kStages][2][kTile];  // [stage][64 columns][k][m]
  alignas(1024) bf16 b[kStages][2][kTile];
  alignas(1024) float d[2][64 * 32];  // [consumer]: a box of the result, one of four at a time
  Mbarrier full[kStages], empty[kStages];
};

template <Bug kBug>
__device__ void produce(Tiles& tiles, const TensorMap& map_a, const TensorMap& map_b, int m0, int n0,
                        int steps) {
  for (int step = 0; step < steps; ++step) {
    const int stage = step % kStages, parity = step / kStages & 1;
    const int before = kBug == Bug::empty_parity ? parity : parity ^ 1;
    simt::mbarrier_wait(tiles.empty[stage], before);  // <- wait_for_empty
    constexpr int kBytes = (kM + kN) * kK * 2 - (kBug == Bug::too_few_bytes ? 128 : 0);
    simt::mbarrier_arrive_expect_tx(tiles.full[stage], kBytes);  // <- announce
    for (int half = 0; half < 2; ++half) {
      Mbarrier& full = tiles.full[stage];
      simt::tma_load(tiles.a[stage][half], map_a, full, {m0 + half * 64, step * kK});  // <- load
      simt::tma_load(tiles.b[stage][half], map_b, full, {n0 + half * 64, step * kK});  // <- load
    }
  }
}

template <Bug kBug>
__device__ void multiply(Tiles& tiles, float (&d)[64], int consumer, int steps) {
  const bool first_lane = threadIdx.x % 32 == 0;
  constexpr Swizzle kSwizzle = kBug == Bug::swizzle ? Swizzle::bytes_64 : Swizzle::bytes_128;
  constexpr int kLeading = kBug == Bug::leading ? 1024 : kTile * 2;
  for (int step = 0; step < steps; ++step) {
    const int stage = step % kStages, parity = step / kStages & 1;
    if constexpr (kBug != Bug::no_wait_for_copies) {
      simt::mbarrier_wait(tiles.full[stage], kBug == Bug::full_parity ? parity ^ 1 : parity);
    }
    if constexpr (kBug != Bug::no_wgmma_fence) simt::wgmma_fence();
    SIMT_UNROLL
    for (int k = 0; k < kK; k += 16) {
      const auto a = simt::wgmma_descriptor(&tiles.a[stage][consumer][k * 64], kTile * 2, 1024, kSwizzle);
      const auto b = simt::wgmma_descriptor(&tiles.b[stage][0][k * 64], kLeading, 1024, kSwizzle);
      simt::wgmma<Major::mn, Major::mn>(d, a, b, step > 0 || k > 0);  // <- multiply
    }
    if constexpr (kBug != Bug::no_commit) simt::wgmma_commit();
    if constexpr (kBug == Bug::early_release) {
      if (first_lane) simt::mbarrier_arrive(tiles.empty[stage]);
    } else {
      simt::wgmma_wait<1>();  // the step before is done
      if (step > 0 && first_lane) simt::mbarrier_arrive(tiles.empty[(step - 1) % kStages]);
    }
  }
}

// Boxes of 64 x 32 floats through shared memory, in the pattern of the 128-byte swizzle.
template <Bug kBug>
__device__ void store(Tiles& tiles, const float (&d)[64], const TensorMap& map_d, int consumer, int m0,
                      int n0) {
  const int thread = static_cast<int>(threadIdx.x) % 128, warp = thread / 32, lane = thread % 32;
  float* box = tiles.d[consumer];
  SIMT_UNROLL
  for (int part = 0; part < 4; ++part) {
    if (thread == 0 && part > 0) {
      if constexpr (kBug != Bug::no_store_wait) simt::tma_store_wait_read<0>();
    }
    if constexpr (kBug != Bug::no_epilogue_barrier) simt::barrier_sync<1>(256);
    SIMT_UNROLL
    for (int j = 0; j < 4; ++j) {
      SIMT_UNROLL
      for (int i = 0; i < 2; ++i) {
        const int row = warp * 16 + i * 8 + lane / 4, column = j * 8 + lane % 4 * 2;
        const int chunk = column / 4 ^ (row & 7), e = part * 16 + j * 4 + i * 2;
        auto* pair = reinterpret_cast<float2*>(box + row * 32 + chunk * 4 + column % 4);
        const float2 values = make_float2(d[e], d[e + 1]);  // <- read
        *pair = values;                                     // <- write
      }
    }
    if constexpr (kBug != Bug::no_proxy_fence) simt::fence_proxy_async();
    if constexpr (kBug != Bug::no_epilogue_barrier) simt::barrier_sync<2>(256);
    if (thread == 0) {
      simt::tma_store(map_d, box, {n0 + part * 32, m0 + consumer * 64});  // <- store
      simt::tma_store_commit();
    }
  }
  if constexpr (kBug != Bug::no_store_wait_at_the_end) {
    if (thread == 0) simt::tma_store_wait_read<0>();
  }
}

template <Bug kBug>
__global__ void __launch_bounds__(kThreads, 1)
    kernel(const __grid_constant__ TensorMap map_a, const __grid_constant__ TensorMap map_b,
           const __grid_constant__ TensorMap map_d, int k) {
  SIMT_DYN_SHARED(tiles, Tiles);
  const int warpgroup = static_cast<int>(threadIdx.x) / 128, steps = (k + kK - 1) / kK;
  const int m0 = static_cast<int>(blockIdx.y) * kM, n0 = static_cast<int>(blockIdx.x) * kN;
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < kStages; ++stage) {
      simt::mbarrier_init(tiles.full[stage], 1);
      simt::mbarrier_init(tiles.empty[stage], kBug == Bug::too_few_arrivals ? 4 : 8);  // a lane of each warp
    }
    if constexpr (kBug != Bug::no_init_fence) simt::fence_mbarrier_init();
  }
  __syncthreads();
  if (warpgroup == 0) {
    simt::setmaxnreg_dec<40>();
    if (threadIdx.x == 0) produce<kBug>(tiles, map_a, map_b, m0, n0, steps);
    return;
  }
  simt::setmaxnreg_inc<232>();
  float d[64];
  multiply<kBug>(tiles, d, warpgroup - 1, steps);
  if constexpr (kBug != Bug::read_before_wgmma_wait) simt::wgmma_wait<0>(d);
  store<kBug>(tiles, d, map_d, warpgroup - 1, m0, n0);
  if constexpr (kBug == Bug::read_before_wgmma_wait) simt::wgmma_wait<0>(d);
}

inline TensorMap map_of(const void* base, simt::ElementType type, int columns, int rows, unsigned box_columns,
                        unsigned box_rows) {
  const std::uint64_t element = type == simt::ElementType::float32 ? 4 : 2;
  const auto width = static_cast<std::uint64_t>(columns);
  return simt::make_tensor_map(
      {base, type, 2, {width, static_cast<std::uint64_t>(rows)}, {width * element}, {box_columns, box_rows}});
}

template <Bug kBug>
void launch(const bf16* a, const bf16* b, float* d, int m, int n, int k) {
  const auto blocks = [](int size, int tile) { return static_cast<unsigned>((size + tile - 1) / tile); };
  simt::launch(kernel<kBug>, dim3(blocks(n, kN), blocks(m, kM)), kThreads, sizeof(Tiles), 0,
               map_of(a, simt::ElementType::bfloat16, m, k, 64, kK),
               map_of(b, simt::ElementType::bfloat16, n, k, 64, kK),
               map_of(d, simt::ElementType::float32, n, m, 32, 64), k);
}

// Small whole numbers, so that every order of summation gives the same sum.
inline std::vector<bf16> numbers(int count, unsigned seed) {
  std::vector<bf16> values;
  for (int i = 0; i < count; ++i) {
    seed = seed * 1664525 + 1013904223;
    values.push_back(simt::to_bf16(static_cast<float>(static_cast<int>(seed >> 24) % 9 - 4)));
  }
  return values;
}

template <Bug kBug>
bool right(int m, int n, int k) {
  const auto a = numbers(k * m, 1), b = numbers(k * n, 2);
  const simt::DeviceBuffer<bf16> device_a(a), device_b(b);
  simt::DeviceBuffer<float> device_d(static_cast<std::size_t>(m * n));
  launch<kBug>(device_a.data(), device_b.data(), device_d.data(), m, n, k);
  const auto d = device_d.to_host();
  for (int row = 0; row < m; ++row) {
    for (int column = 0; column < n; ++column) {
      float sum = 0;
      for (int i = 0; i < k; ++i) sum += simt::to_float(a[i * m + row]) * simt::to_float(b[i * n + column]);
      if (d[row * n + column] != sum) return false;
    }
  }
  return true;
}

}  // namespace pipelined_gemm
