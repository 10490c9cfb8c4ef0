// What the files of this folder share. Arrays arrive as integers (addresses): allocation, dtype and shape are
// the business of alexnet_cuda/ops/arrays.py; here only what would crash the process is checked.
//
// One file for each family of operations. A function in it
//   1. turns `dtype`, where arrays may be of several, into a type with for_dtype;
//   2. turns addresses into pointers with as_pointer, which knows how many elements each must hold;
//   3. makes a Launch, for as long as which the GIL is released and the right device is current;
//   4. calls the launcher in csrc/kernels, which checks its contract and throws.
// All files are compiled as one (csrc/CMakeLists.txt), so what is a file's own has a namespace of its own.
// Last arguments are `dtype` and `where`. Shapes arrive as tuples: Shape4 is (C, H, W, N).
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "kernels/common/check.h"
#include "simt/simt.h"
#if SIMT_EMULATED
#include "simt/host.h"
#endif

namespace alexnet {

// The address as a pointer. Throws std::invalid_argument when it cannot be one to `count` elements of T.
template <class T>
T* as_pointer(std::uintptr_t address, std::int64_t count, const char* name) {
  const std::string text = std::string(name) + " = " + std::to_string(address);
  require(count >= 0, "count is negative: " + std::to_string(count));
  require(address != 0 || count == 0, text + " is a null pointer, but count is " + std::to_string(count));
  require(address % alignof(T) == 0, text + " is not a multiple of " + std::to_string(alignof(T)));
  return reinterpret_cast<T*>(address);
}

// The same for an argument that may be left out: address 0 gives nullptr.
template <class T>
T* as_optional_pointer(std::uintptr_t address, std::int64_t count, const char* name) {
  return address == 0 ? nullptr : as_pointer<T>(address, count, name);
}

// Calls f with the element type of that name: for_dtype(dtype, [&]<class T>(std::type_identity<T>) { ... }).
// Throws std::invalid_argument for a type that no kernel is compiled for.
template <class Function>
void for_dtype(std::string_view dtype, Function&& f) {
  if (dtype == "float32") {
    f(std::type_identity<float>{});
  } else if (dtype == "bfloat16") {
    f(std::type_identity<simt::bf16>{});
  } else {
    throw std::invalid_argument("dtype: got " + std::string(dtype) + ", wanted float32 or bfloat16");
  }
}

// In bytes.
inline std::size_t element_size(std::string_view dtype) {
  std::size_t size = 0;
  for_dtype(dtype, [&]<class T>(std::type_identity<T>) { size = sizeof(T); });
  return size;
}

using Shape4 = std::array<std::int64_t, 4>;
using Pair = std::array<int, 2>;  // (vertical, horizontal)

// The number of elements of a shape. Throws std::invalid_argument when a size is not positive.
template <std::size_t Dims>
std::int64_t elements(const std::array<std::int64_t, Dims>& shape, const char* name) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) {
    require(size > 0, std::string(name) + " has a size of " + std::to_string(size) + ", wanted at least 1");
    count *= size;
  }
  return count;
}

// Device (-1: whichever is current) and stream of a call.
using Where = std::pair<int, std::uintptr_t>;

// While it lives, other Python threads may run; `where`'s device is the current one of this thread, and stays
// it.
class Launch {
 public:
  explicit Launch(const Where& where) : stream_(where.second) {
#if SIMT_EMULATED
    simt::set_device(where.first);  // -1: none, and a kernel may touch any memory that no device owns
#else
    // The CUDA runtime inside this module is not the one that CuPy calls. Both follow the driver's current
    // context, which the caller (the gate of ops/arrays.py) has made that of this device and will set back;
    // saying it again here costs next to nothing, and holds should this runtime remember another device of
    // its own.
    if (where.first >= 0) simt::check(cudaSetDevice(where.first), "making the device current");
#endif
  }

  simt::stream_t stream() const { return reinterpret_cast<simt::stream_t>(stream_); }

 private:
  pybind11::gil_scoped_release without_gil_;
  std::uintptr_t stream_;
};

void bind_augment(pybind11::module_& module);
void bind_build_info(pybind11::module_& module);
void bind_conv(pybind11::module_& module);
void bind_conv_wgrad_sgd(pybind11::module_& module);
void bind_dropout(pybind11::module_& module);
void bind_emulated_device(pybind11::module_& module);  // adds nothing to _cuda
void bind_gemm(pybind11::module_& module);
void bind_hopper_conv(pybind11::module_& module);
void bind_hopper_first_layer(pybind11::module_& module);
void bind_hopper_gemm(pybind11::module_& module);
void bind_hopper_wgrad(pybind11::module_& module);
void bind_lrn(pybind11::module_& module);
void bind_pointwise(pybind11::module_& module);
void bind_pool(pybind11::module_& module);
void bind_sgd(pybind11::module_& module);
void bind_softmax(pybind11::module_& module);

}  // namespace alexnet
