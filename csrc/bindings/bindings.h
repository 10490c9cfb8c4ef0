// What the files of this folder share. Arrays arrive as integers (addresses): allocation, dtype and shape are
// the business of alexnet_cuda/ops/arrays.py; here only what would crash the process is checked.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>

#include "kernels/common/check.h"
#include "simt/simt.h"

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

inline simt::stream_t as_stream(std::uintptr_t handle) { return reinterpret_cast<simt::stream_t>(handle); }

void bind_build_info(pybind11::module_& module);
void bind_relu(pybind11::module_& module);

}  // namespace alexnet
