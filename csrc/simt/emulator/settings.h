// In which order emulated threads, blocks and streams run, and on how many CPU threads.
//
// Any order that CUDA allows must give the same results; running a kernel in several is how a missing barrier
// shows. Set by the functions below or, where they were not called, by environment variables, read at every
// launch:
//
//   ALEXNET_EMULATOR_SCHEDULE=forward | reverse | random | random:SEED     (forward)
//   ALEXNET_EMULATOR_CAPABILITY=90 | 80 | 75 ...      which kernels launchers choose (90, an H200)
//   ALEXNET_THREADS=N                                                     (as many as CPUs may be used)
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace simt::emulator {

enum class Order { forward, reverse, random };

struct Schedule {
  Order order = Order::forward;
  std::uint64_t seed = 0;  // of Order::random
};

Schedule schedule();
void set_schedule(std::optional<Schedule> schedule);  // nullopt: the environment decides again
Schedule parse_schedule(const std::string& text);     // "random:7"; throws simt::Error

int cpu_threads();
void set_cpu_threads(std::optional<int> threads);

int capability();  // 10 * major + minor
void set_capability(std::optional<int> capability);

// A small generator of uniform numbers (splitmix64): the same seed, the same numbers, everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  std::uint32_t below(std::uint32_t limit) {
    return static_cast<std::uint32_t>((next() >> 32) * std::uint64_t{limit} >> 32);
  }

 private:
  std::uint64_t state_;
};

}  // namespace simt::emulator
