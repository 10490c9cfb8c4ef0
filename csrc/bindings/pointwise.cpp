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
namespace pointwise_calls {

// The binding of launcher(x, y, count, stream), for whatever type `dtype` names.
template <class Launcher>
auto unary(Launcher launcher) {
  return [launcher](std::uintptr_t x, std::uintptr_t y, std::int64_t count, std::string_view dtype,
                    Where where) {
    for_dtype(dtype, [&]<class T>(std::type_identity<T>) {
      const auto* x_pointer = as_pointer<const T>(x, count, "x");
      auto* y_pointer = as_pointer<T>(y, count, "y");
      const Launch launch(where);
      launcher(x_pointer, y_pointer, count, launch.stream());
    });
  };
}

template <class Launcher>
auto binary(Launcher launcher) {
  return [launcher](std::uintptr_t a, std::uintptr_t b, std::uintptr_t out, std::int64_t count,
                    std::string_view dtype, Where where) {
    for_dtype(dtype, [&]<class T>(std::type_identity<T>) {
      const auto* a_pointer = as_pointer<const T>(a, count, "the first argument");
      const auto* b_pointer = as_pointer<const T>(b, count, "the second argument");
      auto* out_pointer = as_pointer<T>(out, count, "out");
      const Launch launch(where);
      launcher(a_pointer, b_pointer, out_pointer, count, launch.stream());
    });
  };
}

void scaled(std::uintptr_t x, std::uintptr_t y, std::int64_t count, float factor, std::string_view dtype,
            Where where) {
  for_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    const auto* x_pointer = as_pointer<const T>(x, count, "x");
    auto* y_pointer = as_pointer<T>(y, count, "y");
    const Launch launch(where);
    scale_forward(x_pointer, y_pointer, count, factor, launch.stream());
  });
}

template <auto choose>
std::string chosen(std::int64_t count, bool aligned, std::string_view dtype) {
  require(count >= 1, "count must be at least 1, got " + std::to_string(count));
  return to_string(choose(count, element_size(dtype), aligned));
}

}  // namespace pointwise_calls

void bind_pointwise(py::module_& module) {
  using namespace pointwise_calls;
  const auto x = py::arg("x"), y = py::arg("y"), dy = py::arg("dy"), dx = py::arg("dx"),
             count = py::arg("count"), dtype = py::arg("dtype"), where = py::arg("where"),
             aligned = py::arg("aligned");
  module.def("relu_forward", unary([](auto... a) { relu_forward(a...); }), x, y, count, dtype, where);
  module.def("relu_backward", binary([](auto... a) { relu_backward(a...); }), dy, y, dx, count, dtype, where);
  module.def("tanh_forward", unary([](auto... a) { tanh_forward(a...); }), x, y, count, dtype, where);
  module.def("tanh_backward", binary([](auto... a) { tanh_backward(a...); }), dy, y, dx, count, dtype, where);
  module.def("sigmoid_forward", unary([](auto... a) { sigmoid_forward(a...); }), x, y, count, dtype, where);
  module.def("sigmoid_backward", binary([](auto... a) { sigmoid_backward(a...); }), dy, y, dx, count, dtype,
             where);
  module.def("add_forward", binary([](auto... a) { add_forward(a...); }), py::arg("a"), py::arg("b"), y,
             count, dtype, where);
  module.def("scale_forward", &scaled, x, y, count, py::arg("factor"), dtype, where);
  module.def("choose_relu", &chosen<choose_relu>, count, aligned, dtype, "The launch, as text.");
  module.def("choose_pointwise", &chosen<choose_pointwise>, count, aligned, dtype, "The launch, as text.");
}

}  // namespace alexnet
