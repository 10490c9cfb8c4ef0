// Part of hopper_primitives.cu: mbarriers and copies.
#pragma once

#include <cstdint>
#include <vector>

#include "simt/hopper.h"
#include "simt/host.h"

namespace {

using simt::bf16;
using simt::DeviceBuffer;
using simt::launch;
using simt::Mbarrier;
using simt::Swizzle;
using simt::TensorMap;

// Where byte `at` of a tile goes: its lines are 128 bytes, of 8 units of 16, and line l exchanges units
// within groups of 1, 2, 4 or 8 by l's last bits. Stated once more here, and not taken from what is tested.
__host__ __device__ inline int swizzled_place(int at, Swizzle swizzle) {
  const int group = 1 << static_cast<int>(swizzle);
  const int line = at / 128, unit = at / 16 % 8;
  return line * 128 + unit / group * group * 16 + (unit % group ^ line % group) * 16 + at % 16;
}

class Numbers {
 public:
  explicit Numbers(unsigned seed) : state_(seed) {}
  int between(int low, int high) {
    state_ = state_ * 1664525 + 1013904223;
    return low + static_cast<int>((state_ >> 8) % static_cast<unsigned>(high - low + 1));
  }

 private:
  unsigned state_;
};

struct At {
  int index[5];
};

template <int kRank, bool kLoad>
__device__ void copy_box(const TensorMap& map, Mbarrier& barrier, std::uint16_t* tile, const At& at) {
  const int (&i)[5] = at.index;
  const auto go = [&](const auto& coordinates) {
    if constexpr (kLoad) {
      simt::tma_load(tile, map, barrier, coordinates);
    } else {
      simt::tma_store(map, tile, coordinates);
    }
  };
  if constexpr (kRank == 2) {
    const int c[] = {i[0], i[1]};
    go(c);
  } else if constexpr (kRank == 3) {
    const int c[] = {i[0], i[1], i[2]};
    go(c);
  } else if constexpr (kRank == 4) {
    const int c[] = {i[0], i[1], i[2], i[3]};
    go(c);
  } else {
    go(i);
  }
}

struct BoxTile {
  alignas(1024) std::uint16_t values[16 * 1024];
};

template <int kRank>
__global__ void load_box(const __grid_constant__ TensorMap map, At at, int count, std::uint16_t* y) {
  SIMT_DYN_SHARED(tile, BoxTile);
  SIMT_SHARED(barrier, Mbarrier);
  if (threadIdx.x == 0) {
    simt::tma_prefetch(map);
    simt::mbarrier_init(barrier, 1);
    simt::fence_mbarrier_init();
    simt::mbarrier_arrive_expect_tx(barrier, count * 2);
    copy_box<kRank, true>(map, barrier, tile.values, at);
  }
  __syncthreads();
  simt::mbarrier_wait(barrier, 0);
  for (int i = static_cast<int>(threadIdx.x); i < count; i += 64) y[i] = tile.values[i];
}

template <int kRank>
__global__ void store_box(const __grid_constant__ TensorMap map, At at, int count, const std::uint16_t* x) {
  SIMT_DYN_SHARED(tile, BoxTile);
  SIMT_SHARED(barrier, Mbarrier);
  for (int i = static_cast<int>(threadIdx.x); i < count; i += 64) tile.values[i] = x[i];
  simt::fence_proxy_async();
  __syncthreads();
  if (threadIdx.x == 0) {
    copy_box<kRank, false>(map, barrier, tile.values, at);
    simt::tma_store_commit();
    simt::tma_store_wait<0>();
  }
}

// A tensor, a box and where it begins, all drawn by lot; boxes hang over every edge.
template <int kRank>
struct Geometry {
  simt::TensorMapSpec spec{};
  At at{};
  int count[5] = {1, 1, 1, 1, 1};  // elements of the box along each dimension
  int element = 2;
  std::size_t bytes = 0;

  Geometry(Numbers& numbers, Swizzle swizzle, bool steps) {
    const bool wide = numbers.between(0, 1) == 1;
    element = wide ? 4 : 2;
    spec.type = wide ? simt::ElementType::float32 : simt::ElementType::bfloat16;
    spec.rank = kRank;
    spec.swizzle = swizzle;
    for (int d = 0; d < kRank; ++d) {
      const int units = swizzle == Swizzle::none ? numbers.between(1, 4) : 1 << static_cast<int>(swizzle);
      const int size = d == 0 ? numbers.between(3, 90) : numbers.between(1, 12);
      const int box = d == 0 ? units * 16 / element : numbers.between(1, kRank > 3 ? 3 : 9);
      const int step = steps && d > 0 && numbers.between(0, 2) == 0 ? numbers.between(2, 8) : 1;
      spec.size[d] = static_cast<std::uint64_t>(size);
      spec.box[d] = static_cast<std::uint32_t>(box);
      spec.step[d] = static_cast<std::uint32_t>(step);
      count[d] = (box + step - 1) / step;
      at.index[d] = numbers.between(-box, size);
      if (d == 0) {
        bytes = static_cast<std::size_t>(size * element + 15) / 16 * 16;
      } else {
        spec.stride[d - 1] = bytes + 16 * static_cast<std::size_t>(numbers.between(0, 1));
        bytes = spec.stride[d - 1] * static_cast<std::size_t>(size);
      }
    }
  }

  // Calls visit(byte in the box, byte in the tensor or -1) for each half of each element.
  template <class Visit>
  void for_each_half(Visit visit) const {
    const int total = count[0] * count[1] * count[2] * count[3] * count[4];
    for (int i = 0; i < total; ++i) {
      long offset = 0;
      bool inside = true;
      for (int d = 0, rest = i; d < kRank; rest /= count[d++]) {
        const long index = at.index[d] + static_cast<long>(rest % count[d]) * static_cast<long>(spec.step[d]);
        inside = inside && index >= 0 && index < static_cast<long>(spec.size[d]);
        offset += index * (d == 0 ? element : static_cast<long>(spec.stride[d - 1]));
      }
      for (int half = 0; half < element; half += 2) visit(i * element + half, inside ? offset + half : -1);
    }
  }
  int box_count() const { return count[0] * count[1] * count[2] * count[3] * count[4] * element / 2; }
};

inline std::vector<std::uint16_t> some_words(std::size_t count, Numbers& numbers) {
  std::vector<std::uint16_t> words(count);
  for (auto& word : words) word = static_cast<std::uint16_t>(numbers.between(0, 0xffff));
  return words;
}

template <int kRank, bool kLoad>
bool one_box(Numbers& numbers, Swizzle swizzle, bool steps) {
  Geometry<kRank> box(numbers, swizzle, steps);
  const auto count = static_cast<std::size_t>(box.box_count());
  if (count > sizeof(BoxTile) / 2) return true;
  const auto tensor = some_words(box.bytes / 2, numbers), tile = some_words(count, numbers);
  std::vector<std::uint16_t> loaded(count), stored = tensor;
  box.for_each_half([&](int at, long in_tensor) {
    const auto place = static_cast<std::size_t>(swizzled_place(at, swizzle) / 2);
    loaded[place] = in_tensor < 0 ? std::uint16_t{0} : tensor[static_cast<std::size_t>(in_tensor / 2)];
    if (in_tensor >= 0) stored[static_cast<std::size_t>(in_tensor / 2)] = tile[place];
  });
  DeviceBuffer<std::uint16_t> x(tensor), y(count);
  const DeviceBuffer<std::uint16_t> source(tile);
  box.spec.base = x.data();
  const TensorMap map = simt::make_tensor_map(box.spec);
  if constexpr (kLoad) {
    launch(load_box<kRank>, 1, 64, sizeof(BoxTile), 0, map, box.at, box.box_count(), y.data());
    return y.to_host() == loaded;
  } else {
    launch(store_box<kRank>, 1, 64, sizeof(BoxTile), 0, map, box.at, box.box_count(), source.data());
    return x.to_host() == stored;
  }
}

template <int kRank, bool kLoad>
bool boxes(bool steps) {
  Numbers numbers(kRank);
  for (const Swizzle swizzle : {Swizzle::none, Swizzle::bytes_32, Swizzle::bytes_64, Swizzle::bytes_128}) {
    for (int round = 0; round < 6; ++round) {
      if (!one_box<kRank, kLoad>(numbers, swizzle, steps)) return false;
    }
  }
  return true;
}

template <int kRank>
bool loads() {
  return boxes<kRank, true>(true);
}

template <int kRank>
bool stores() {
  return boxes<kRank, false>(false);
}

// Apart, because no kernel needs them and no text settles them.
bool stores_with_steps() { return boxes<3, false>(true); }

// ---- mbarriers: two warps hand a number back and forth

__global__ void ping_pong(int* y) {
  SIMT_SHARED(ball, int);
  SIMT_SHARED(to, Mbarrier[2]);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  if (threadIdx.x == 0) {
    ball = 0;
    simt::mbarrier_init(to[0], 32);
    simt::mbarrier_init(to[1], 32);
    simt::fence_mbarrier_init();
  }
  __syncthreads();
  for (int round = 0; round < 10; ++round) {
    // Nobody has sent anything to warp 0 yet: "phase -1" has ended.
    if (warp == 0) simt::mbarrier_wait(to[0], (round & 1) ^ 1);
    if (warp == 1) {
      while (!simt::mbarrier_test(to[1], round & 1)) {
      }
    }
    if (lane == round) ball = ball * 2 + warp;
    simt::mbarrier_arrive(to[1 - warp]);
  }
  __syncthreads();
  if (threadIdx.x == 0) y[0] = ball;
}

bool mbarriers_hand_over() {
  DeviceBuffer<int> y(1);
  launch(ping_pong, 1, 64, 0, 0, y.data());
  return y.to_host()[0] == 0x55555;  // 01 ten times
}

// ---- Groups of stores

__global__ void store_in_groups(const __grid_constant__ TensorMap map) {
  SIMT_DYN_SHARED(tile, BoxTile);
  const int thread = static_cast<int>(threadIdx.x);
  for (int round = 0; round < 6; ++round) {
    std::uint16_t* half = tile.values + round % 2 * 512;
    if (thread == 0) simt::tma_store_wait_read<1>();  // the store before the last has read this half
    __syncthreads();
    for (int i = thread; i < 512; i += 64) half[i] = static_cast<std::uint16_t>(round * 1000 + i);
    simt::fence_proxy_async();
    __syncthreads();
    if (thread == 0) {
      simt::tma_store(map, half, {0, round * 8});
      simt::tma_store_commit();
    }
  }
  if (thread == 0) simt::tma_store_wait_read<0>();
}

bool groups_of_stores() {
  DeviceBuffer<std::uint16_t> y(6 * 512);
  const auto map = simt::make_tensor_map(
      {y.data(), simt::ElementType::bfloat16, 2, {64, 48}, {128}, {64, 8}, {1, 1}, Swizzle::none});
  launch(store_in_groups, 1, 64, sizeof(BoxTile), 0, map);
  const auto values = y.to_host();
  for (int i = 0; i < 6 * 512; ++i) {
    if (values[static_cast<std::size_t>(i)] != i / 512 * 1000 + i % 512) return false;
  }
  return true;
}

// ---- cp.async

__global__ void copy_units(const int* x, int* y) {
  SIMT_SHARED(tile, int[2][32 * 4]);
  const int lane = static_cast<int>(threadIdx.x);
  simt::cp_async16(tile[0] + lane * 4, x + lane * 4);
  simt::cp_async_commit();
  simt::cp_async16(tile[1] + lane * 4, x + lane * 4, lane % 5 * 4);
  simt::cp_async_commit();
  simt::cp_async_wait<1>();
  __syncwarp();
  for (int i = 0; i < 4; ++i) y[lane * 4 + i] = tile[0][127 - lane * 4 - i];
  simt::cp_async_wait<0>();
  __syncwarp();
  for (int i = 0; i < 4; ++i) y[128 + lane * 4 + i] = tile[1][lane * 4 + i];
}

bool small_copies() {
  std::vector<int> values;
  for (int i = 0; i < 128; ++i) values.push_back(i + 1);
  const DeviceBuffer<int> x(values);
  DeviceBuffer<int> y(256);
  launch(copy_units, 1, 32, 0, 0, x.data(), y.data());
  const auto results = y.to_host();
  for (int i = 0; i < 128; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (results[at] != 128 - i || results[128 + at] != (i % 4 < i / 4 % 5 ? i + 1 : 0)) return false;
  }
  return true;
}

}  // namespace
