// What the emulator does around kernels: what it refuses, in which order things run, how it goes on after an
// error.

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <numeric>
#include <thread>

#include "behaviour_of_copies.h"
#include "behaviour_of_memory.h"
#include "simt/emulator/settings.h"
#include "simt/host.h"
#include "table_of_tests.h"

namespace {

__global__ void note_order(int* order, int* next) {
  const int turn = atomicAdd(next, 1);
  order[turn] = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
}

std::vector<int> order_of(unsigned blocks, unsigned threads, const char* schedule) {
  simt::emulator::set_schedule(simt::emulator::parse_schedule(schedule));
  simt::emulator::set_cpu_threads(1);
  DeviceBuffer<int> order(blocks * threads);
  DeviceBuffer<int> next(std::vector<int>{0});
  launch(note_order, blocks, threads, 0, 0, order.data(), next.data());
  return order.to_host();
}

bool launches_that_a_gpu_refuses() {
  const auto text = [](dim3 grid, dim3 block, std::size_t shared) {
    return refusal([&] { launch(nothing, grid, block, shared, 0); });
  };
  return holds(text(0, 32, 0), "invalid grid (0, 1, 1)") &&
         holds(text(dim3(1, 65536), 1, 0), "invalid grid") &&
         holds(text(1, 1025, 0), "invalid block (1025, 1, 1)") &&
         holds(text(1, dim3(32, 33), 0), "invalid block") &&
         holds(text(1, dim3(1, 1, 65), 0), "invalid block") &&
         holds(text(1, 32, 228 << 10), "more than the 232448") && holds(text(1, 1025, 0), "behaviour.cpp:") &&
         text(dim3(1, 65535), 1, 0).empty() && text(1, 1024, 227 << 10).empty();
}

bool every_thread_runs_once_in_any_order() {
  for (const char* schedule : {"forward", "reverse", "random:1", "random:2"}) {
    auto order = order_of(37, 11, schedule);
    std::sort(order.begin(), order.end());
    for (int i = 0; i < 37 * 11; ++i) {
      if (order[static_cast<std::size_t>(i)] != i) return false;
    }
  }
  return true;
}

bool schedules_are_what_they_say() {
  std::vector<int> ascending(37 * 11);
  std::iota(ascending.begin(), ascending.end(), 0);
  const std::vector<int> descending(ascending.rbegin(), ascending.rend());
  const auto first = order_of(37, 11, "random:1");
  return order_of(37, 11, "forward") == ascending && order_of(37, 11, "reverse") == descending &&
         first != ascending && first != descending && first == order_of(37, 11, "random:1") &&
         first != order_of(37, 11, "random:2");
}

bool settings_come_from_the_environment() {
  setenv("ALEXNET_EMULATOR_SCHEDULE", "random:12", 1);
  const auto schedule = simt::emulator::schedule();
  setenv("ALEXNET_EMULATOR_SCHEDULE", "sideways", 1);
  const std::string bad = refusal([] { launch(nothing, 1, 1, 0, 0); });
  unsetenv("ALEXNET_EMULATOR_SCHEDULE");
  setenv("ALEXNET_THREADS", "3", 1);
  const int threads = simt::emulator::cpu_threads();
  setenv("ALEXNET_THREADS", "0", 1);
  const std::string none = refusal([] { simt::emulator::cpu_threads(); });
  unsetenv("ALEXNET_THREADS");
  return schedule.order == simt::emulator::Order::random && schedule.seed == 12 && threads == 3 &&
         holds(bad, "ALEXNET_EMULATOR_SCHEDULE: got 'sideways', wanted forward") &&
         holds(none, "ALEXNET_THREADS: got '0'") && simt::emulator::cpu_threads() >= 1;
}

__global__ void wait_unless_alone(int* y) {
  if (threadIdx.x == 0) __syncthreads();
  y[threadIdx.x] = 1;
}

bool it_goes_on_after_an_error() {
  DeviceBuffer<int> y(64);
  for (int round = 0; round < 3; ++round) {
    if (!holds(refusal([&] { launch(wait_unless_alone, 4, 64, 0, 0, y.data()); }), "deadlock")) return false;
    launch(wait_unless_alone, 1, 1, 0, 0, y.data());
  }
  return y.to_host()[0] == 1;
}

__global__ void launch_something() { launch(nothing, 1, 1, 0, 0); }

bool exceptions_of_kernels_arrive() {
  const auto text = refusal([] { launch(throw_something, 8, 64, 0, 0); });
  return holds(text, "from a kernel") && holds(text, "in thread (") &&
         holds(text, "launched at behaviour.cpp:") &&
         holds(refusal([] { launch(launch_something, 1, 1, 0, 0); }), "a kernel cannot launch a kernel") &&
         holds(refusal([] { __syncthreads(); }), "outside a kernel");
}

__global__ void sum_of_block(const int* x, int* sums) {
  SIMT_SHARED(partial, int[256]);
  const unsigned i = threadIdx.x;
  partial[i] = x[blockIdx.x * 256 + i];
  for (unsigned half = 128; half > 0; half /= 2) {
    __syncthreads();
    if (i < half) partial[i] += partial[i + half];
  }
  if (i == 0) sums[blockIdx.x] = partial[0];
}

bool sums_are_right(int blocks) {
  std::vector<int> values(static_cast<std::size_t>(blocks) * 256);
  std::iota(values.begin(), values.end(), 0);
  const DeviceBuffer<int> x(values);
  DeviceBuffer<int> sums(static_cast<std::size_t>(blocks));
  launch(sum_of_block, static_cast<unsigned>(blocks), 256, 0, 0, x.data(), sums.data());
  const auto result = sums.to_host();
  for (int block = 0; block < blocks; ++block) {
    if (result[static_cast<std::size_t>(block)] != block * 256 * 256 + 255 * 128) return false;
  }
  return true;
}

bool blocks_on_several_cpu_threads() {
  for (const int threads : {1, 2, 5, 64}) {
    simt::emulator::set_cpu_threads(threads);
    if (!sums_are_right(200)) return false;
  }
  return true;
}

bool two_programs_threads_launch_at_once() {
  simt::emulator::set_cpu_threads(2);
  std::atomic<int> right = 0;
  const auto work = [&right] {
    for (int i = 0; i < 10; ++i) right += sums_are_right(20);
  };
  std::thread first(work), second(work);
  first.join();
  second.join();
  return right == 20;
}

bool an_error_on_one_cpu_thread_stops_the_launch() {
  simt::emulator::set_cpu_threads(4);
  DeviceBuffer<int> y(64);
  return holds(refusal([&] { launch(wait_unless_alone, 400, 64, 0, 0, y.data()); }), "deadlock");
}

__global__ void too_many_static_bytes(int* y) {
  SIMT_SHARED(first, int[8 * 1024]);
  SIMT_SHARED(second, int[8 * 1024]);
  first[0] = second[0] = 1;
  y[0] = first[0];
}

__global__ void static_and_dynamic(int* y) {
  SIMT_SHARED(tile, int[1024]);
  tile[0] = 1;
  y[0] = tile[0];
}

bool shared_memory_is_limited() {
  DeviceBuffer<int> y(1);
  const std::string large = refusal([&] { launch(too_many_static_bytes, 1, 1, 0, 0, y.data()); });
  const std::string both = refusal([&] { launch(static_and_dynamic, 1, 1, 227 << 10, 0, y.data()); });
  return holds(large, "'second' at behaviour.cpp:") && holds(large, "65536 static bytes") &&
         holds(both, "static and dynamic bytes, more than 232448") &&
         refusal([&] { launch(static_and_dynamic, 1, 1, 223 << 10, 0, y.data()); }).empty();
}

const std::vector<Test> kTests = {
    {"launches_that_a_gpu_refuses", launches_that_a_gpu_refuses},
    {"every_thread_runs_once_in_any_order", every_thread_runs_once_in_any_order},
    {"schedules_are_what_they_say", schedules_are_what_they_say},
    {"settings_come_from_the_environment", settings_come_from_the_environment},
    {"it_goes_on_after_an_error", it_goes_on_after_an_error},
    {"exceptions_of_kernels_arrive", exceptions_of_kernels_arrive},
    {"blocks_on_several_cpu_threads", blocks_on_several_cpu_threads},
    {"two_programs_threads_launch_at_once", two_programs_threads_launch_at_once},
    {"an_error_on_one_cpu_thread_stops_the_launch", an_error_on_one_cpu_thread_stops_the_launch},
    {"shared_memory_is_limited", shared_memory_is_limited},
    {"registered_memory_has_an_owner", registered_memory_has_an_owner},
    {"pointers_in_structs_are_looked_at", pointers_in_structs_are_looked_at},
    {"padding_is_no_pointer", padding_is_no_pointer},
    {"copies_stay_inside_buffers", copies_stay_inside_buffers},
    {"work_waits_for_a_synchronisation", work_waits_for_a_synchronisation},
    {"only_what_is_needed_runs", only_what_is_needed_runs},
    {"an_error_in_a_stream_shows_when_synchronising", an_error_in_a_stream_shows_when_synchronising},
    {"a_stream_must_exist", a_stream_must_exist},
    {"tensor_maps_that_the_driver_refuses", tensor_maps_that_the_driver_refuses},
    {"copies_run_when_the_schedule_says", copies_run_when_the_schedule_says},
};

}  // namespace

int main() {
  return run_tests(kTests, [] {
    simt::emulator::set_schedule({});
    simt::emulator::set_cpu_threads({});
  });
}
