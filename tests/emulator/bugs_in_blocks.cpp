// Planted bugs in how the threads of a grid work together.

#include "bugs.h"

using simt::DeviceBuffer;
using simt::launch;

namespace {

constexpr unsigned kThreads = 64;

DeviceBuffer<float> counting(std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i);
  return DeviceBuffer<float>(values);
}

bool is_reversed(const std::vector<float>& values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] != static_cast<float>(values.size() - 1 - i)) return false;
  }
  return true;
}

template <bool kBug>
__global__ void reverse(const float* x, float* y) {
  SIMT_SHARED(tile, float[kThreads]);
  const unsigned i = threadIdx.x;
  tile[i] = x[i];  // <- missing_barrier
  if constexpr (!kBug) __syncthreads();
  y[i] = tile[kThreads - 1 - i];  // <- missing_barrier
}

bool missing_barrier(bool bug) {
  const auto x = counting(kThreads);
  DeviceBuffer<float> y(kThreads);
  launch(bug ? reverse<true> : reverse<false>, 1, kThreads, 0, 0, x.data(), y.data());
  return is_reversed(y.to_host());
}

template <bool kBug>
__global__ void reverse_twice(float* y) {
  SIMT_SHARED(tile, float[kThreads]);
  const unsigned i = threadIdx.x;
  float value = static_cast<float>(kThreads - 1 - i);
  for (int round = 0; round < 2; ++round) {
    tile[i] = value;  // <- missing_barrier_before_overwrite
    __syncthreads();
    value = tile[kThreads - 1 - i];  // <- missing_barrier_before_overwrite
    if constexpr (!kBug) __syncthreads();
  }
  y[i] = value;
}

bool missing_barrier_before_overwrite(bool bug) {
  DeviceBuffer<float> y(kThreads);
  launch(bug ? reverse_twice<true> : reverse_twice<false>, 1, kThreads, 0, 0, y.data());
  return is_reversed(y.to_host());
}

template <bool kBug>
__global__ void rotate_in_warp(float* y) {
  SIMT_SHARED(tile, float[32]);
  const unsigned lane = threadIdx.x;
  tile[lane] = static_cast<float>(lane);  // <- missing_syncwarp
  if constexpr (!kBug) __syncwarp();
  y[lane] = tile[(lane + 1) % 32];  // <- missing_syncwarp
}

bool missing_syncwarp(bool bug) {
  DeviceBuffer<float> y(32);
  launch(bug ? rotate_in_warp<true> : rotate_in_warp<false>, 1, 32, 0, 0, y.data());
  const auto values = y.to_host();
  for (std::size_t i = 0; i < 32; ++i) {
    if (values[i] != static_cast<float>((i + 1) % 32)) return false;
  }
  return true;
}

template <bool kBug>
__global__ void barrier_in_branch(int* y) {
  const int i = static_cast<int>(threadIdx.x);
  if (kBug && i >= 32) {
    __syncthreads();  // <- divergent_barrier
  } else {
    __syncthreads();  // <- divergent_barrier
  }
  y[i] = i;
}

bool divergent_barrier(bool bug) {
  DeviceBuffer<int> y(kThreads);
  launch(bug ? barrier_in_branch<true> : barrier_in_branch<false>, 1, kThreads, 0, 0, y.data());
  return y.to_host()[63] == 63;
}

template <bool kBug>
__global__ void leave_early(int* y, int count) {
  const int i = static_cast<int>(threadIdx.x);
  if (kBug && i >= count) return;
  __syncthreads();  // <- skipped_barrier
  if (i < count) y[i] = i;
}

bool skipped_barrier(bool bug) {
  DeviceBuffer<int> y(50);
  launch(bug ? leave_early<true> : leave_early<false>, 1, kThreads, 0, 0, y.data(), 50);
  return y.to_host()[49] == 49;
}

template <bool kBug>
__global__ void two_of_three_warps(int* y) {
  constexpr int kMeeting = kBug ? 96 : 64;
  if (threadIdx.x < 64) simt::barrier_sync<1>(kMeeting);  // <- named_barrier_deadlock
  y[threadIdx.x] = 1;
}

bool named_barrier_deadlock(bool bug) {
  DeviceBuffer<int> y(96);
  launch(bug ? two_of_three_warps<true> : two_of_three_warps<false>, 1, 96, 0, 0, y.data());
  return y.to_host()[95] == 1;
}

template <bool kBug>
__global__ void disagreeing_counts(int* y) {
  if (threadIdx.x < 32) {
    simt::barrier_arrive<2>(64);  // <- named_barrier_counts_differ
  } else {
    simt::barrier_sync<2>(kBug ? 96 : 64);  // <- named_barrier_counts_differ
  }
  y[threadIdx.x] = 1;
}

bool named_barrier_counts_differ(bool bug) {
  DeviceBuffer<int> y(64);
  launch(bug ? disagreeing_counts<true> : disagreeing_counts<false>, 1, 64, 0, 0, y.data());
  return y.to_host()[0] == 1;
}

// Warp 0 produces two values for warp 1; barrier 1 says "full", barrier 2 says "empty".
template <bool kBug>
__global__ void produce_twice(float* y) {
  SIMT_SHARED(slot, float[32]);
  const unsigned lane = threadIdx.x % 32;
  float sum = 0;
  for (int round = 0; round < 2; ++round) {
    if (threadIdx.x < 32) {
      slot[lane] = static_cast<float>(round + 1);
      simt::barrier_arrive<1>(64);  // <- arrives_twice
      if constexpr (!kBug) simt::barrier_sync<2>(64);
    } else {
      simt::barrier_sync<1>(64);
      sum += slot[31 - lane];
      if constexpr (!kBug) simt::barrier_arrive<2>(64);
    }
  }
  if (threadIdx.x >= 32) y[lane] = sum;
}

bool arrives_twice(bool bug) {
  DeviceBuffer<float> y(32);
  launch(bug ? produce_twice<true> : produce_twice<false>, 1, 64, 0, 0, y.data());
  return y.to_host()[0] == 3.0f;
}

template <bool kBug>
__global__ void shuffle_after_exit(int* y, int count) {
  const int i = static_cast<int>(threadIdx.x);
  if (kBug && i >= count) return;
  const int next = __shfl_down_sync(~0u, i, 1);  // <- shuffle_from_ended_lane
  if (i < count) y[i] = next;
}

bool shuffle_from_ended_lane(bool bug) {
  DeviceBuffer<int> y(20);
  launch(bug ? shuffle_after_exit<true> : shuffle_after_exit<false>, 1, 32, 0, 0, y.data(), 20);
  return y.to_host()[19] == 20;
}

template <bool kBug>
__global__ void shuffle_among_half(int* y) {
  const int lane = static_cast<int>(threadIdx.x);
  if (lane < 16) y[lane] = __shfl_xor_sync(0xffffu, lane, kBug ? 16 : 8);  // <- shuffle_from_inactive_lane
}

bool shuffle_from_inactive_lane(bool bug) {
  DeviceBuffer<int> y(16);
  launch(bug ? shuffle_among_half<true> : shuffle_among_half<false>, 1, 32, 0, 0, y.data());
  return y.to_host()[3] == 11;
}

template <bool kBug>
__global__ void vote_or_shuffle(int* y) {
  const int lane = static_cast<int>(threadIdx.x);
  if (kBug && lane < 16) {
    y[lane] = __any_sync(~0u, lane == 3);  // <- lanes_in_different_operations
  } else {
    y[lane] = __shfl_sync(~0u, 1, 3);  // <- lanes_in_different_operations
  }
}

bool lanes_in_different_operations(bool bug) {
  DeviceBuffer<int> y(32);
  launch(bug ? vote_or_shuffle<true> : vote_or_shuffle<false>, 1, 32, 0, 0, y.data());
  return y.to_host()[31] == 1;
}

template <bool kBug>
__global__ void blocks_write(int* y) {
  const unsigned i = kBug ? threadIdx.x : blockIdx.x * blockDim.x + threadIdx.x;
  y[i] = static_cast<int>(blockIdx.x);  // <- two_blocks_one_element two_blocks_one_element_of_the_host
}

bool two_blocks_one_element(bool bug) {
  DeviceBuffer<int> y(kThreads);
  launch(bug ? blocks_write<true> : blocks_write<false>, 2, kThreads / 2, 0, 0, y.data());
  const auto values = y.to_host();
  return values[0] == 0 && values[63] == 1;
}

// The same in memory that no buffer holds.
bool two_blocks_one_element_of_the_host(bool bug) {
  std::vector<int> y(kThreads);
  launch(bug ? blocks_write<true> : blocks_write<false>, 2, kThreads / 2, 0, 0, y.data());
  return y[0] == 0 && y[63] == 1;
}

template <bool kBug>
__global__ void count_hits(int* count) {
  if constexpr (kBug) {
    *count = *count + 1;  // <- plain_and_atomic_updates
  } else {
    atomicAdd(count, 1);
  }
  if (threadIdx.x == 0) atomicAdd(count, 100);
}

bool plain_and_atomic_updates(bool bug) {
  DeviceBuffer<int> count(std::vector<int>{0});
  launch(bug ? count_hits<true> : count_hits<false>, 1, kThreads, 0, 0, count.data());
  return count.to_host()[0] == 164;
}

// Block 0 waits for the last block, which runs after it in one order or another.
template <bool kBug>
__global__ void wait_for_the_other_block(int* flags) {
  if (blockIdx.x == 1) atomicExch(&flags[0], 1);
  if (blockIdx.x == 0) atomicExch(&flags[1], 1);
  if constexpr (kBug) {
    while (atomicAdd(&flags[blockIdx.x], 0) == 0) {  // <- block_waits_for_block
    }
  }
}

bool block_waits_for_block(bool bug) {
  DeviceBuffer<int> flags(std::vector<int>{0, 0});
  launch(bug ? wait_for_the_other_block<true> : wait_for_the_other_block<false>, 2, 1, 0, 0, flags.data());
  return flags.to_host()[0] == 1;
}

}  // namespace

int main(int count, char** arguments) {
  return run_cases(
      {
          {"missing_barrier", missing_barrier},
          {"missing_barrier_before_overwrite", missing_barrier_before_overwrite},
          {"missing_syncwarp", missing_syncwarp},
          {"divergent_barrier", divergent_barrier},
          {"skipped_barrier", skipped_barrier},
          {"named_barrier_deadlock", named_barrier_deadlock},
          {"named_barrier_counts_differ", named_barrier_counts_differ},
          {"arrives_twice", arrives_twice},
          {"shuffle_from_ended_lane", shuffle_from_ended_lane},
          {"shuffle_from_inactive_lane", shuffle_from_inactive_lane},
          {"lanes_in_different_operations", lanes_in_different_operations},
          {"two_blocks_one_element", two_blocks_one_element},
          {"two_blocks_one_element_of_the_host", two_blocks_one_element_of_the_host},
          {"plain_and_atomic_updates", plain_and_atomic_updates},
          {"block_waits_for_block", block_waits_for_block},
      },
      count, arguments);
}
