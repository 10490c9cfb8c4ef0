// Planted bugs in the use of mbarriers and of copies that go on beside the threads.

#include <algorithm>

#include "bugs.h"
#include "simt/hopper.h"

using simt::bf16;
using simt::DeviceBuffer;
using simt::launch;
using simt::Mbarrier;
using simt::TensorMap;

namespace {

constexpr int kColumns = 32, kRows = 16;  // of the tensor and the box: floats, 128 bytes a row
constexpr int kCount = kColumns * kRows;
constexpr int kBytes = kCount * 4;

std::vector<float> counting() {
  std::vector<float> values;
  for (int i = 0; i < kCount; ++i) values.push_back(static_cast<float>(i));
  return values;
}

TensorMap map_of(const float* base, int rows = kRows, simt::Swizzle swizzle = simt::Swizzle::none) {
  return simt::make_tensor_map({base,
                                simt::ElementType::float32,
                                2,
                                {kColumns, static_cast<std::uint64_t>(rows)},
                                {kColumns * 4},
                                {kColumns, kRows},
                                {1, 1},
                                swizzle});
}

enum class Load {
  right,
  uninitialised_mbarrier,
  mbarrier_initialised_twice,
  overwritten_mbarrier,
  too_many_arrivals,
  parity_above_one,
  load_without_bytes,
  load_not_waited_for,
  unaligned_tile,
  wrong_number_of_coordinates,
  box_leaves_shared_memory,
  read_before_the_load_is_done,
  load_over_unread_values,
};

struct Tiles {
  alignas(1024) float tile[kCount];
  Mbarrier barrier, other;
};

template <Load kBug>
__device__ void load_once(Tiles& tiles, const TensorMap& map) {
  if constexpr (kBug != Load::uninitialised_mbarrier) simt::mbarrier_init(tiles.barrier, 1);
  if constexpr (kBug == Load::mbarrier_initialised_twice) {
    simt::mbarrier_init(tiles.barrier, 1);  // <- mbarrier_initialised_twice
  }
  simt::fence_mbarrier_init();
  if constexpr (kBug == Load::overwritten_mbarrier) tiles.barrier.opaque = 0;
  const int bytes = kBug == Load::load_without_bytes ? 2 * kBytes : kBytes;
  simt::mbarrier_arrive_expect_tx(tiles.barrier, bytes);  // <- uninitialised_mbarrier overwritten_mbarrier
  if constexpr (kBug == Load::too_many_arrivals) {
    simt::mbarrier_arrive(tiles.barrier);  // <- too_many_arrivals
  }
  float* to = tiles.tile;
  if constexpr (kBug == Load::unaligned_tile) to += 16;
  if constexpr (kBug == Load::box_leaves_shared_memory) to += kCount / 4 * 3;
  if constexpr (kBug == Load::wrong_number_of_coordinates) {
    simt::tma_load(to, map, tiles.barrier, {0, 0, 0});  // <- wrong_number_of_coordinates
  } else {
    simt::tma_load(to, map, tiles.barrier, {0, 0});  // <- load unaligned_tile box_leaves_shared_memory
  }
}

template <Load kBug>
__global__ void load_box(const __grid_constant__ TensorMap map, float* y) {
  SIMT_DYN_SHARED(tiles, Tiles);
  const unsigned i = threadIdx.x;
  if constexpr (kBug == Load::load_over_unread_values) {
    tiles.tile[i] = 1;
    simt::fence_proxy_async();
    __syncthreads();
    y[i] = tiles.tile[i ^ 1];  // <- load_over_unread_values
  }
  if (i == 0) load_once<kBug>(tiles, map);
  __syncthreads();
  if constexpr (kBug == Load::read_before_the_load_is_done) y[i] = tiles.tile[i];  // <- read_too_early
  if constexpr (kBug == Load::load_not_waited_for) return;
  simt::mbarrier_wait(tiles.barrier, kBug == Load::parity_above_one ? 2 : 0);  // <- wait
  if constexpr (kBug != Load::read_before_the_load_is_done) y[i] = tiles.tile[i];
}

template <Load kBug>
bool load(bool bug) {
  const DeviceBuffer<float> x(counting());
  DeviceBuffer<float> y(kCount);
  const auto kernel = bug ? load_box<kBug> : load_box<Load::right>;
  launch(kernel, 1, kCount, sizeof(Tiles), 0, map_of(x.data()), y.data());
  return y.to_host() == counting();
}

// ---- Memory that a tensor map leads to

bool map_larger_than_its_memory(bool bug) {
  const DeviceBuffer<float> x(counting());
  DeviceBuffer<float> y(kCount);
  const auto map = map_of(x.data() + (bug ? 4 * kColumns : 0));
  launch(load_box<Load::right>, 1, kCount, sizeof(Tiles), 0, map, y.data());
  return y.to_host() == counting();
}

bool map_of_another_device(bool bug) {
  simt::set_device(1);
  const DeviceBuffer<float> there(counting());
  simt::set_device(0);
  const DeviceBuffer<float> here(counting());
  DeviceBuffer<float> y(kCount);
  const auto map = map_of(bug ? there.data() : here.data());
  launch(load_box<Load::right>, 1, kCount, sizeof(Tiles), 0, map, y.data());  // <- map_of_another_device
  return y.to_host() == counting();
}

bool map_of_memory_that_no_device_owns(bool bug) {
  simt::set_device(0);
  alignas(16) static float stray[kCount];
  const auto values = counting();
  std::copy(values.begin(), values.end(), stray);
  const DeviceBuffer<float> here(values);
  DeviceBuffer<float> y(kCount);
  const auto map = map_of(bug ? stray : here.data());
  launch(load_box<Load::right>, 1, kCount, sizeof(Tiles), 0, map, y.data());
  return y.to_host() == values;
}

// A swizzle counts from multiples of 1024 bytes.
template <bool kBug>
__global__ void load_beside_the_pattern(const __grid_constant__ TensorMap map) {
  SIMT_DYN_SHARED(tiles, float[2 * kCount]);
  SIMT_SHARED(barrier, Mbarrier);
  if (threadIdx.x > 0) return;
  simt::mbarrier_init(barrier, 1);
  simt::fence_mbarrier_init();
  simt::mbarrier_arrive_expect_tx(barrier, kBytes);
  simt::tma_load(tiles + (kBug ? 128 : 256), map, barrier, {0, 0});  // <- swizzled_tile_unaligned
  simt::mbarrier_wait(barrier, 0);
}

bool swizzled_tile_unaligned(bool bug) {
  const DeviceBuffer<float> x(counting());
  launch(bug ? load_beside_the_pattern<true> : load_beside_the_pattern<false>, 1, 32, 2 * kBytes, 0,
         map_of(x.data(), kRows, simt::Swizzle::bytes_128));
  return true;
}

// ---- Stores

enum class Store { right, wait_missing, read_wait_only, commit_missing };

template <Store kBug>
__global__ void store_box(const __grid_constant__ TensorMap map, const float* target, float* y) {
  SIMT_DYN_SHARED(tile, float[kCount]);
  const unsigned i = threadIdx.x;
  tile[i] = static_cast<float>(i);
  simt::fence_proxy_async();
  __syncthreads();
  if (i == 0) {
    simt::tma_store(map, tile, {0, 0});  // <- store
    if constexpr (kBug != Store::commit_missing) simt::tma_store_commit();
    if constexpr (kBug == Store::read_wait_only) {
      simt::tma_store_wait_read<0>();
    } else if constexpr (kBug != Store::wait_missing) {
      simt::tma_store_wait<0>();
    }
    if constexpr (kBug == Store::right || kBug == Store::read_wait_only) {
      y[0] = target[kCount - 1];  // <- store_read_back_too_early
    }
  }
}

template <Store kBug>
bool store(bool bug) {
  DeviceBuffer<float> x(std::vector<float>(kCount, -1.0f));
  DeviceBuffer<float> y(1);
  launch(bug ? store_box<kBug> : store_box<Store::right>, 1, kCount, kBytes, 0, map_of(x.data()),
         static_cast<const float*>(x.data()), y.data());
  return x.to_host() == counting() && y.to_host()[0] == kCount - 1;
}

// ---- cp.async

template <bool kBug>
__global__ void copy_small(const float* x, float* y) {
  SIMT_SHARED(tile, float[128]);
  const unsigned i = threadIdx.x;
  simt::cp_async16(tile + i * 4, x + i * 4);
  simt::cp_async_commit();
  if constexpr (!kBug) simt::cp_async_wait<0>();
  __syncthreads();
  for (unsigned k = 0; k < 4; ++k) y[i * 4 + k] = tile[127 - i * 4 - k];  // <- cp_async_not_waited_for
}

bool cp_async_not_waited_for(bool bug) {
  const DeviceBuffer<float> x(std::vector<float>(128, 3.0f));
  DeviceBuffer<float> y(128);
  launch(bug ? copy_small<true> : copy_small<false>, 1, 32, 0, 0, x.data(), y.data());
  return y.to_host() == std::vector<float>(128, 3.0f);
}

#define LOAD(name) {#name, load<Load::name>}

const std::vector<Case> kCases = {
    LOAD(uninitialised_mbarrier),
    LOAD(mbarrier_initialised_twice),
    LOAD(overwritten_mbarrier),
    LOAD(too_many_arrivals),
    LOAD(parity_above_one),
    LOAD(load_without_bytes),
    LOAD(load_not_waited_for),
    LOAD(unaligned_tile),
    LOAD(wrong_number_of_coordinates),
    LOAD(box_leaves_shared_memory),
    LOAD(read_before_the_load_is_done),
    LOAD(load_over_unread_values),
    {"map_larger_than_its_memory", map_larger_than_its_memory},
    {"map_of_another_device", map_of_another_device},
    {"map_of_memory_that_no_device_owns", map_of_memory_that_no_device_owns},
    {"swizzled_tile_unaligned", swizzled_tile_unaligned},
    {"store_not_waited_for", store<Store::wait_missing>},
    {"store_read_back_too_early", store<Store::read_wait_only>},
    {"store_not_committed", store<Store::commit_missing>},
    {"cp_async_not_waited_for", cp_async_not_waited_for},
};

}  // namespace

int main(int count, char** arguments) { return run_cases(kCases, count, arguments); }
