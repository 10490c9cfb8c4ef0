// Planted bugs in the use of matrix units: wgmma, setmaxnreg, ldmatrix.

#include "bugs.h"
#include "simt/hopper.h"

using simt::bf16;
using simt::DeviceBuffer;
using simt::launch;
using simt::Major;

namespace {

constexpr int kN = 16, kK = 64;
constexpr int kThreads = 128;

enum class Bug {
  none,
  operands_differ,
  three_warps,
  descriptor_between_patterns,
  stride_within_pattern,
  operand_leaves_shared_memory,
  accumulators_not_named,
  accumulators_written_in_flight,
  fence_missing_after_writing_accumulators,
  registers_of_a_changed,
  operands_overwritten_before_wait,
  operands_without_proxy_fence,
};

struct Tiles {
  alignas(1024) bf16 a[64 * kK];  // K-major, swizzled: all ones, so the swizzle does not show
  alignas(1024) bf16 b[kN * kK];
};

template <Bug kBug>
__device__ void fill(Tiles& tiles, float value) {
  for (int i = static_cast<int>(threadIdx.x); i < 64 * kK; i += static_cast<int>(blockDim.x))
    tiles.a[i] = simt::to_bf16(value);
  for (int i = static_cast<int>(threadIdx.x); i < kN * kK; i += static_cast<int>(blockDim.x)) {
    tiles.b[i] = simt::to_bf16(value);  // <- fill
  }
  if constexpr (kBug != Bug::operands_without_proxy_fence) simt::fence_proxy_async();
  __syncthreads();
}

// Twice the product with ones: 2 * kK in every element.
template <Bug kBug>
__global__ void multiply(float* y) {
  SIMT_DYN_SHARED(tiles, Tiles);
  const int thread = static_cast<int>(threadIdx.x);
  fill<kBug>(tiles, 1);
  if (kBug == Bug::three_warps && thread >= 96) return;
  float d[kN / 2];
  for (float& one : d) one = 0;
  simt::wgmma_fence();
  std::uint32_t a[4];
  for (int k = 0; k < kK; k += 16) {
    bf16* start = tiles.a + k;
    if constexpr (kBug == Bug::descriptor_between_patterns) start += 64;
    if constexpr (kBug == Bug::operand_leaves_shared_memory) start += 64 * 56;
    const int stride = kBug == Bug::stride_within_pattern ? 512 : 1024;
    const auto of_a = simt::wgmma_descriptor(start, 16, stride);
    const auto of_b = simt::wgmma_descriptor(tiles.b + k, 16, 1024);
    const bool add = kBug == Bug::operands_differ ? thread != 5 : true;
    simt::wgmma<Major::k, Major::k>(d, of_a, of_b, add);  // <- multiply
  }
  simt::wgmma_commit();
  if constexpr (kBug == Bug::accumulators_written_in_flight) d[3] = 1;  // <- accumulators_written_in_flight
  if constexpr (kBug == Bug::operands_overwritten_before_wait) fill<kBug>(tiles, 2);
  if constexpr (kBug == Bug::accumulators_not_named) {
    simt::wgmma_wait<0>();
  } else {
    simt::wgmma_wait<0>(d);  // <- wait
  }
  const float first = d[0];  // <- accumulators_not_named
  if constexpr (kBug != Bug::fence_missing_after_writing_accumulators) simt::wgmma_fence();
  for (int k = 0; k < kK; k += 16) {
    for (std::uint32_t& two : a) two = 0x3f80'3f80;                                    // ones
    simt::wgmma<Major::k>(d, a, simt::wgmma_descriptor(tiles.b + k, 16, 1024), true);  // <- second
    if constexpr (kBug == Bug::registers_of_a_changed) a[1] = 0;
  }
  simt::wgmma_commit();
  simt::wgmma_wait<0>(d);  // <- last_wait
  for (int i = 0; i < kN / 2; ++i) y[thread * kN / 2 + i] = d[i] + 0 * first;
}

template <Bug kBug>
bool right(bool bug) {
  DeviceBuffer<float> y(kThreads * kN / 2);
  launch(bug ? multiply<kBug> : multiply<Bug::none>, 1, kThreads, sizeof(Tiles), 0, y.data());
  return y.to_host() == std::vector<float>(kThreads * kN / 2, 2 * kK);
}

template <bool kBug>
__global__ void in_small_block(float* y) {
  SIMT_DYN_SHARED(tiles, Tiles);
  fill<Bug::none>(tiles, 1);
  float d[kN / 2];
  simt::wgmma_fence();
  const auto a = simt::wgmma_descriptor(tiles.a, 16, 1024), b = simt::wgmma_descriptor(tiles.b, 16, 1024);
  if (kBug || threadIdx.x < 128) simt::wgmma<Major::k, Major::k>(d, a, b, false);  // <- no_whole_warpgroup
  simt::wgmma_commit();
  simt::wgmma_wait<0>(d);
  if (threadIdx.x == 0) y[0] = d[0];
}

bool no_whole_warpgroup(bool bug) {
  DeviceBuffer<float> y(1);
  launch(bug ? in_small_block<true> : in_small_block<false>, 1, 192, sizeof(Tiles), 0, y.data());
  return y.to_host()[0] == 16;
}

// 384 threads have 168 registers each at most, 65536 / 384 and a multiple of 8.
template <int kProducer, int kConsumer, bool kIncrease>
__global__ void share_registers(int* y) {
  if (threadIdx.x < 128) {
    simt::setmaxnreg_dec<kProducer>();
  } else if (kIncrease) {
    simt::setmaxnreg_inc<kConsumer>();  // <- too_many_registers
  } else {
    simt::setmaxnreg_dec<kConsumer>();  // <- registers_the_wrong_way
  }
  y[threadIdx.x] = 1;
}

bool too_many_registers(bool bug) {
  DeviceBuffer<int> y(384);
  launch(bug ? share_registers<40, 240, true> : share_registers<40, 232, true>, 1, 384, 0, 0, y.data());
  return y.to_host()[383] == 1;
}

bool registers_the_wrong_way(bool bug) {
  DeviceBuffer<int> y(384);
  launch(bug ? share_registers<40, 232, false> : share_registers<40, 160, false>, 1, 384, 0, 0, y.data());
  return y.to_host()[383] == 1;
}

template <bool kBug>
__global__ void load_matrices(std::uint32_t* y) {
  SIMT_SHARED(tile, bf16[64 * 8]);
  const unsigned lane = threadIdx.x;
  for (unsigned i = lane; i < 64 * 8; i += 32) tile[i] = simt::bf16_from_bits(static_cast<std::uint16_t>(i));
  __syncwarp();
  std::uint32_t r[4];
  simt::ldmatrix_x4(r, tile + lane * 8 + (kBug ? 4 : 0));  // <- unaligned_matrix_row
  y[lane] = r[3];
}

bool unaligned_matrix_row(bool bug) {
  DeviceBuffer<std::uint32_t> y(32);
  launch(bug ? load_matrices<true> : load_matrices<false>, 1, 32, 0, 0, y.data());
  return y.to_host()[1] == ((24 * 8 + 3) << 16 | (24 * 8 + 2));
}

template <bool kBug>
__global__ void store_matrices(std::uint32_t* y) {
  SIMT_SHARED(tile, std::uint32_t[32 * 4]);
  const unsigned lane = threadIdx.x;
  const std::uint32_t r[4] = {lane, lane, lane, lane};
  simt::stmatrix_x4(tile + lane * 4, r);  // <- stmatrix_does_not_order
  if constexpr (!kBug) __syncwarp();
  y[lane] = tile[lane];  // <- stmatrix_does_not_order
}

bool stmatrix_does_not_order(bool bug) {
  DeviceBuffer<std::uint32_t> y(32);
  launch(bug ? store_matrices<true> : store_matrices<false>, 1, 32, 0, 0, y.data());
  return y.to_host()[7] == 7;
}

#define CASE(name) {#name, right<Bug::name>}

const std::vector<Case> kCases = {
    CASE(operands_differ),
    CASE(three_warps),
    CASE(descriptor_between_patterns),
    CASE(stride_within_pattern),
    CASE(operand_leaves_shared_memory),
    CASE(accumulators_not_named),
    CASE(accumulators_written_in_flight),
    CASE(fence_missing_after_writing_accumulators),
    CASE(registers_of_a_changed),
    CASE(operands_overwritten_before_wait),
    CASE(operands_without_proxy_fence),
    {"no_whole_warpgroup", no_whole_warpgroup},
    {"too_many_registers", too_many_registers},
    {"registers_the_wrong_way", registers_the_wrong_way},
    {"unaligned_matrix_row", unaligned_matrix_row},
    {"stmatrix_does_not_order", stmatrix_does_not_order},
};

}  // namespace

int main(int count, char** arguments) { return run_cases(kCases, count, arguments); }
