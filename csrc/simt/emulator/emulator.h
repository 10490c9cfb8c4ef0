// The g++ half of simt.h: CUDA's vocabulary, and a launch() that runs the grid on the CPU.
// What it promises and what it does not have yet is in README.md beside this file.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>

// Qualifiers mean nothing to g++. __shared__ is left undefined on purpose: a kernel that needs shared memory
// must not compile here while the emulator has none.
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

struct alignas(16) float4 {
  float x, y, z, w;
};

constexpr float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

// One set for each CPU thread, so that two Python threads may launch at the same time.
extern constinit thread_local uint3 threadIdx, blockIdx;
extern constinit thread_local dim3 blockDim, gridDim;

namespace simt {

using stream_t = void*;  // accepted and ignored: a launch has finished when launch() returns

// A launch that a GPU would refuse, or that this emulator cannot run. A RuntimeError in Python.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

namespace emulator {

// Calls invoke(closure) once for every thread of the grid, with the built-in variables set.
void run_grid(dim3 grid, dim3 block, std::size_t shared_bytes, void (*invoke)(void*), void* closure);

}  // namespace emulator

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes,
            stream_t /*stream*/, Arguments&&... arguments) {
  // CUDA copies the arguments to the device byte by byte, so a reference or a std::string must not compile.
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "wrong number of kernel arguments");
  static_assert((!std::is_reference_v<Parameters> && ...), "kernel parameters are passed by value");
  static_assert((std::is_trivially_copyable_v<Parameters> && ...),
                "kernel parameters must be trivially copyable");
  struct Closure {
    void (*kernel)(Parameters...);
    std::tuple<Parameters...> arguments;
  };
  Closure closure{kernel,
                  std::tuple<Parameters...>(static_cast<Parameters>(std::forward<Arguments>(arguments))...)};
  auto invoke = [](void* opaque) {
    auto& call = *static_cast<Closure*>(opaque);
    std::apply(call.kernel, call.arguments);
  };
  emulator::run_grid(grid, block, shared_bytes, invoke, &closure);
}

}  // namespace simt
