// Settings: what the program set, else what the environment says, else the default.

#include "simt/emulator/settings.h"

#include <sched.h>

#include <charconv>
#include <cstdlib>
#include <mutex>

#include "simt/emulator/vocabulary.h"

namespace simt::emulator {
namespace {

constexpr const char* kScheduleVariable = "ALEXNET_EMULATOR_SCHEDULE";
constexpr const char* kCapabilityVariable = "ALEXNET_EMULATOR_CAPABILITY";
constexpr const char* kThreadsVariable = "ALEXNET_THREADS";

std::mutex settings_mutex;
std::optional<Schedule> chosen_schedule;
std::optional<int> chosen_capability;
std::optional<int> chosen_threads;

template <class T>
std::optional<T> parse_number(const std::string& text) {
  T number{};
  const char* end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data(), end, number);
  if (text.empty() || error != std::errc{} || last != end) return std::nullopt;
  return number;
}

int usable_cpus() {
  cpu_set_t cpus;
  return sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
}

}  // namespace

Schedule parse_schedule(const std::string& text) {
  if (text == "forward") return {Order::forward, 0};
  if (text == "reverse") return {Order::reverse, 0};
  if (text == "random") return {Order::random, 0};
  const std::string prefix = "random:";
  if (text.starts_with(prefix)) {
    if (const auto seed = parse_number<std::uint64_t>(text.substr(prefix.size())))
      return {Order::random, *seed};
  }
  throw Error(std::string(kScheduleVariable) + ": got '" + text +
              "', wanted forward, reverse, random or random:SEED");
}

Schedule schedule() {
  {
    const std::lock_guard lock(settings_mutex);
    if (chosen_schedule) return *chosen_schedule;
  }
  const char* text = std::getenv(kScheduleVariable);
  return text == nullptr ? Schedule{} : parse_schedule(text);
}

void set_schedule(std::optional<Schedule> schedule) {
  const std::lock_guard lock(settings_mutex);
  chosen_schedule = schedule;
}

int capability() {
  {
    const std::lock_guard lock(settings_mutex);
    if (chosen_capability) return *chosen_capability;
  }
  const char* text = std::getenv(kCapabilityVariable);
  if (text == nullptr) return 90;
  const auto number = parse_number<int>(text);
  if (!number || *number < 75) {
    throw Error(std::string(kCapabilityVariable) + ": got '" + text +
                "', wanted a compute capability times ten, such as 90, of at least 75");
  }
  return *number;
}

void set_capability(std::optional<int> capability) {
  const std::lock_guard lock(settings_mutex);
  chosen_capability = capability;
}

int cpu_threads() {
  {
    const std::lock_guard lock(settings_mutex);
    if (chosen_threads) return *chosen_threads;
  }
  const char* text = std::getenv(kThreadsVariable);
  if (text == nullptr) return usable_cpus();
  const auto threads = parse_number<int>(text);
  if (!threads || *threads < 1) {
    throw Error(std::string(kThreadsVariable) + ": got '" + text + "', wanted a whole number of at least 1");
  }
  return *threads;
}

void set_cpu_threads(std::optional<int> threads) {
  if (threads && *threads < 1)
    throw Error("set_cpu_threads: wanted at least 1, got " + std::to_string(*threads));
  const std::lock_guard lock(settings_mutex);
  chosen_threads = threads;
}

}  // namespace simt::emulator
