// Part of behaviour.cpp: owners of memory, copies and streams.
#pragma once

#include <cstddef>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "simt/emulator/address_space.h"
#include "simt/emulator/settings.h"
#include "simt/host.h"

namespace {

using simt::DeviceBuffer;
using simt::launch;

// The text of the error that `action` throws, or nothing.
std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const simt::Error& error) {
    return error.what();
  }
  return "";
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

__global__ void nothing() {}
__global__ void throw_something() { throw std::runtime_error("from a kernel"); }
__global__ void copy_value(const int* x, int* y) { *y = *x; }

bool registered_memory_has_an_owner() {
  std::vector<int> x(100), y(100);
  simt::emulator::register_memory(x.data(), 400, 3, "x");
  const std::string overlap =
      refusal([&] { simt::emulator::register_memory(x.data() + 99, 400, 0, "a neighbour"); });
  const auto touch = [&] { launch(copy_value, 1, 1, 0, 0, x.data(), y.data()); };
  const std::string no_device = refusal(touch);
  simt::set_device(3);
  const std::string other_unknown = refusal(touch);
  simt::emulator::register_memory(y.data(), 400, 3, "y");
  const std::string allowed = refusal(touch);
  simt::set_device(2);
  const std::string other = refusal(touch);
  simt::set_device(-1);
  simt::emulator::unregister_memory(x.data());
  simt::emulator::unregister_memory(y.data());
  const std::string twice = refusal([&] { simt::emulator::unregister_memory(x.data()); });
  return holds(overlap, "a neighbour overlaps x of emulated:3") && holds(no_device, "x of emulated:3") &&
         holds(no_device, "runs on no device") && holds(other_unknown, "no device owns") && allowed.empty() &&
         holds(other, "x of emulated:3, and the kernel runs on emulated:2") && holds(twice, "no memory") &&
         refusal(touch).empty();
}

struct View {
  int* order;
  long size;
};

__global__ void through_a_struct(View view) { view.order[0] = 1; }

bool pointers_in_structs_are_looked_at() {
  simt::set_device(1);
  DeviceBuffer<int> other(10);
  simt::set_device(0);
  const std::string text = refusal([&] { launch(through_a_struct, 1, 1, 0, 0, View{other.data(), 10}); });
  simt::set_device(-1);
  return holds(text, "argument 1 points to the buffer of behaviour_of_memory.h:") &&
         holds(text, "of emulated:1");
}

struct Flagged {
  bool flag;  // seven bytes follow that nobody sets
  long size;
};

// A launch that was given these very bytes.
class CallWithBytes final : public simt::emulator::Call {
 public:
  explicit CallWithBytes(const void* bytes) : bytes_(bytes) {}
  void run() const override {}
  std::vector<simt::emulator::Argument> arguments() const override {
    return {{bytes_, sizeof(Flagged), false, simt::emulator::member_bytes<Flagged>()}};
  }

 private:
  const void* bytes_;
};

// A part of an old pointer may be left there: kernels were refused for it by chance.
bool padding_is_no_pointer() {
  simt::set_device(1);
  DeviceBuffer<int> other(100);
  simt::set_device(-1);
  const auto check = [&](std::size_t at) {
    alignas(Flagged) unsigned char bytes[sizeof(Flagged)] = {};
    const int* pointer = other.data();
    std::memcpy(bytes + at, &pointer, sizeof pointer);
    const auto& memory = simt::emulator::AddressSpace::instance();
    return refusal([&] { memory.check_arguments(CallWithBytes(bytes), 0, simt::emulator::Site::current()); });
  };
#if __has_builtin(__builtin_clear_padding)
  if (!check(0).empty()) return false;
#endif
  return holds(check(offsetof(Flagged, size)), "of emulated:1");
}

bool copies_stay_inside_buffers() {
  DeviceBuffer<int> x(std::vector<int>(10, 7)), y(10);
  const std::string text = refusal([&] { simt::copy(y.data() + 1, x.data(), 10 * sizeof(int), 0); });
  simt::copy(y.data() + 1, x.data(), 9 * sizeof(int), 0);
  return holds(text, "40 bytes reach outside the buffer of behaviour_of_memory.h:") && y.to_host()[9] == 7;
}

// ---- Streams

__global__ void set_value(int* y, int value) { *y = value; }
__global__ void add_value(int* y, int value) { *y += value; }

bool work_waits_for_a_synchronisation() {
  std::vector<int> y{0};
  const simt::Stream stream;
  launch(set_value, 1, 1, 0, stream, y.data(), 5);
  if (y[0] != 0) return false;
  launch(add_value, 1, 1, 0, stream, y.data(), 6);
  stream.synchronize();
  return y[0] == 11;
}

bool only_what_is_needed_runs() {
  std::vector<int> x{0}, y{0};
  simt::emulator::set_schedule(simt::emulator::parse_schedule("reverse"));
  const simt::Stream first, second;
  simt::Event set;
  launch(set_value, 1, 1, 0, first, x.data(), 1);
  set.record(first);
  second.wait(set);
  launch(set_value, 1, 1, 0, first, y.data(), 2);
  launch(add_value, 1, 1, 0, second, x.data(), 10);
  set.synchronize();
  if (x[0] != 1) return false;
  second.synchronize();
  if (x[0] != 11) return false;
  simt::synchronize();
  return y[0] == 2;
}

bool an_error_in_a_stream_shows_when_synchronising() {
  std::vector<int> y{0};
  simt::Stream stream;
  launch(throw_something, 1, 1, 0, stream);
  launch(set_value, 1, 1, 0, stream, y.data(), 5);
  const std::string text = refusal([&] { stream.synchronize(); });
  stream.synchronize();  // the queue was dropped
  const bool dropped = y[0] == 0;
  launch(set_value, 1, 1, 0, stream, y.data(), 6);
  stream.synchronize();
  return holds(text, "from a kernel") && dropped && y[0] == 6;
}

bool a_stream_must_exist() {
  simt::stream_t gone = nullptr;
  {
    const simt::Stream stream;
    gone = stream;
  }
  return holds(refusal([&] { launch(nothing, 1, 1, 0, gone); }), "not a stream of the emulator");
}

}  // namespace
