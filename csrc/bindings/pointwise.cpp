// Operations that treat every element alone.

#include "bindings/bindings.h"
#include "kernels/add/add.h"
#include "kernels/common/choose_pointwise.h"
#include "kernels/relu/relu.h"
#include "kernels/scale/scale.h"
#include "kernels/sigmoid/sigmoid.h"
#include "kernels/tanh/tanh.h"

namespace py = pybind11;

namespace alexnet {
namespace {

using Unary = void (*)(const float*, float*, std::int64_t, simt::stream_t);
using Binary = void (*)(const float*, const float*, float*, std::int64_t, simt::stream_t);

template <Unary launcher>
void unary(std::uintptr_t x, std::uintptr_t y, std::int64_t count, Where where) {
  const auto* x_pointer = as_pointer<const float>(x, count, "x");
  auto* y_pointer = as_pointer<float>(y, count, "y");
  const Launch launch(where);
  launcher(x_pointer, y_pointer, count, launch.stream());
}

template <Binary launcher>
void binary(std::uintptr_t a, std::uintptr_t b, std::uintptr_t out, std::int64_t count, Where where) {
  const auto* a_pointer = as_pointer<const float>(a, count, "the first argument");
  const auto* b_pointer = as_pointer<const float>(b, count, "the second argument");
  auto* out_pointer = as_pointer<float>(out, count, "out");
  const Launch launch(where);
  launcher(a_pointer, b_pointer, out_pointer, count, launch.stream());
}

void scaled(std::uintptr_t x, std::uintptr_t y, std::int64_t count, float factor, Where where) {
  const auto* x_pointer = as_pointer<const float>(x, count, "x");
  auto* y_pointer = as_pointer<float>(y, count, "y");
  const Launch launch(where);
  scale_forward(x_pointer, y_pointer, count, factor, launch.stream());
}

template <auto choose>
std::string chosen(std::int64_t count, bool aligned) {
  require(count >= 1, "count must be at least 1, got " + std::to_string(count));
  return to_string(choose(count, aligned));
}

}  // namespace

void bind_pointwise(py::module_& module) {
  const auto count = py::arg("count");
  const auto where = py::arg("where");
  const auto aligned = py::arg("aligned");
  module.def("relu_forward", &unary<relu_forward>, py::arg("x"), py::arg("y"), count, where);
  module.def("relu_backward", &binary<relu_backward>, py::arg("dy"), py::arg("y"), py::arg("dx"), count,
             where);
  module.def("tanh_forward", &unary<tanh_forward>, py::arg("x"), py::arg("y"), count, where);
  module.def("tanh_backward", &binary<tanh_backward>, py::arg("dy"), py::arg("y"), py::arg("dx"), count,
             where);
  module.def("sigmoid_forward", &unary<sigmoid_forward>, py::arg("x"), py::arg("y"), count, where);
  module.def("sigmoid_backward", &binary<sigmoid_backward>, py::arg("dy"), py::arg("y"), py::arg("dx"), count,
             where);
  module.def("add_forward", &binary<add_forward>, py::arg("a"), py::arg("b"), py::arg("y"), count, where);
  module.def("scale_forward", &scaled, py::arg("x"), py::arg("y"), count, py::arg("factor"), where);
  module.def("choose_relu", &chosen<choose_relu>, count, aligned, "The launch, as text.");
  module.def("choose_pointwise", &chosen<choose_pointwise>, count, aligned, "The launch, as text.");
}

}  // namespace alexnet
