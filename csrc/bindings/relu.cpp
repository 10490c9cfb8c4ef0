#include "kernels/relu/relu.h"

#include "bindings/bindings.h"

namespace py = pybind11;

namespace alexnet {
namespace {

void forward(std::uintptr_t x, std::uintptr_t y, std::int64_t count, std::uintptr_t stream) {
  const auto* x_pointer = as_pointer<const float>(x, count, "x");
  auto* y_pointer = as_pointer<float>(y, count, "y");
  const py::gil_scoped_release release;
  relu_forward(x_pointer, y_pointer, count, as_stream(stream));
}

void backward(std::uintptr_t dy, std::uintptr_t y, std::uintptr_t dx, std::int64_t count,
              std::uintptr_t stream) {
  const auto* dy_pointer = as_pointer<const float>(dy, count, "dy");
  const auto* y_pointer = as_pointer<const float>(y, count, "y");
  auto* dx_pointer = as_pointer<float>(dx, count, "dx");
  const py::gil_scoped_release release;
  relu_backward(dy_pointer, y_pointer, dx_pointer, count, as_stream(stream));
}

std::string choose(std::int64_t count, bool aligned) {
  require(count >= 1, "count must be at least 1, got " + std::to_string(count));
  return to_string(choose_relu(count, aligned));
}

}  // namespace

void bind_relu(py::module_& module) {
  module.def("relu_forward", &forward, py::arg("x"), py::arg("y"), py::arg("count"), py::arg("stream"));
  module.def("relu_backward", &backward, py::arg("dy"), py::arg("y"), py::arg("dx"), py::arg("count"),
             py::arg("stream"));
  module.def("choose_relu", &choose, py::arg("count"), py::arg("aligned"), "The launch, as text.");
}

}  // namespace alexnet
