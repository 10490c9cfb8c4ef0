// The g++ half of simt.h: CUDA's vocabulary, and a launch() that runs the grid on the CPU.
// What it promises and what it cannot see is in README.md beside this file.
#pragma once

#include <cstring>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include "simt/emulator/bf16.h"
#include "simt/emulator/intrinsics.h"
#include "simt/emulator/runtime.h"
#include "simt/emulator/settings.h"
#include "simt/emulator/vocabulary.h"
#include "simt/simt.h"

#if defined(__clang__)
#define SIMT_UNROLL _Pragma("unroll")
#else
#define SIMT_UNROLL _Pragma("GCC unroll 64")
#endif

#define SIMT_SHARED(name, ...)          \
  static constexpr char name##_key = 0; \
  auto& name = ::simt::emulator::static_object<::simt::type_t<__VA_ARGS__>>(&name##_key, #name)

#define SIMT_DYN_SHARED(name, ...) \
  auto& name = ::simt::emulator::dynamic_object<::simt::type_t<__VA_ARGS__>>(#name)

namespace simt {

// The type inside, for macro arguments such as float[16][17].
template <class T>
using type_t = std::type_identity_t<T>;

// 0 is the default stream: a launch on it has finished when launch() returns.
using stream_t = void*;

// A stream and the line that named it. Made from a stream by itself, so that launch() knows its caller.
struct StreamHere {
  stream_t stream;
  emulator::Site site;
  StreamHere(stream_t stream_, emulator::Site site_ = emulator::Site::current())
      : stream(stream_), site(site_) {}
  template <class S>
    requires std::is_convertible_v<const S&, stream_t>
  StreamHere(const S& stream_, emulator::Site site_ = emulator::Site::current())
      : stream(stream_), site(site_) {}
};

// What launchers choose for: an H200, or what ALEXNET_EMULATOR_CAPABILITY says.
inline Gpu gpu() { return {emulator::capability(), 132}; }

namespace emulator {

template <class T>
T& static_object(const void* key, const char* name, SIMT_SITE) {
  static_assert(std::is_trivially_default_constructible_v<T>, "shared memory has no constructors");
  return *static_cast<T*>(shared_static(key, sizeof(T), alignof(T), name, site));
}

template <class T>
T& dynamic_object(const char* name, SIMT_SITE) {
  static_assert(std::is_trivially_default_constructible_v<T>, "shared memory has no constructors");
  return *static_cast<T*>(shared_dynamic(sizeof(T), alignof(T), name, site));
}

// For each byte of a T 0xff where it belongs to a member. In the padding may lie a part of an old pointer.
template <class T>
const unsigned char* member_bytes() {
  alignas(T) static unsigned char bytes[sizeof(T)];
  [[maybe_unused]] static const bool filled = [] {
    std::memset(bytes, 0xff, sizeof(T));
#if __has_builtin(__builtin_clear_padding)
    __builtin_clear_padding(reinterpret_cast<T*>(bytes));
#endif
    return true;
  }();
  return bytes;
}

template <class... Parameters>
class CallOf final : public Call {
 public:
  template <class... Arguments>
  explicit CallOf(void (*kernel)(Parameters...), Arguments&&... arguments)
      : kernel_(kernel), arguments_(static_cast<Parameters>(std::forward<Arguments>(arguments))...) {}

  void run() const override { std::apply(kernel_, arguments_); }

  std::vector<Argument> arguments() const override {
    return std::apply(
        [](const auto&... values) {
          return std::vector<Argument>{{&values, sizeof(values),
                                        std::is_pointer_v<std::remove_cvref_t<decltype(values)>>,
                                        member_bytes<std::remove_cvref_t<decltype(values)>>()}...};
        },
        arguments_);
  }

 private:
  void (*kernel_)(Parameters...);
  std::tuple<Parameters...> arguments_;
};

}  // namespace emulator

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes, StreamHere stream,
            Arguments&&... arguments) {
  // CUDA copies the arguments to the device byte by byte, so a reference or a std::string must not compile.
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "wrong number of kernel arguments");
  static_assert((!std::is_reference_v<Parameters> && ...), "kernel parameters are passed by value");
  static_assert((std::is_trivially_copyable_v<Parameters> && ...),
                "kernel parameters must be trivially copyable");
  emulator::launch(
      grid, block, shared_bytes, stream.stream,
      std::make_unique<emulator::CallOf<Parameters...>>(kernel, std::forward<Arguments>(arguments)...),
      stream.site);
}

// ---- Named barriers: 1 to 15, for a fixed number of the block's threads, whole warps. (0 is __syncthreads.)

template <int Id>
void barrier_sync(int threads, SIMT_SITE) {
  static_assert(Id >= 1 && Id <= 15, "named barriers are 1 to 15");
  emulator::barrier(Id, threads, true, emulator::Vote::none, false, site);
}

// Counts this thread as arrived and goes on; others wait with barrier_sync.
template <int Id>
void barrier_arrive(int threads, SIMT_SITE) {
  static_assert(Id >= 1 && Id <= 15, "named barriers are 1 to 15");
  emulator::barrier(Id, threads, false, emulator::Vote::none, false, site);
}

}  // namespace simt
