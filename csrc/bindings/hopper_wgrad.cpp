#include "kernels/conv/hopper/wgrad_hopper.h"

#include "bindings/bindings.h"
#include "bindings/conv_shape.h"
#include "bindings/sgd_update.h"

namespace py = pybind11;

namespace alexnet {
namespace hopper_wgrad_calls {

void wgrad(std::uintptr_t x, std::uintptr_t dy, std::uintptr_t dw, std::uintptr_t db, const Weights& filters,
           const Weights& bias, const Rates& filter_rates, const Rates& bias_rates, const Shape4& x_shape,
           const Shape4& w_shape, const Shape4& y_shape, const Pair& stride, const Pair& pad, int groups,
           std::uintptr_t workspace, int multiprocessors, Where where) {
  const ConvShape shape = as_shape(x_shape, w_shape, y_shape, stride, pad, groups);
  const auto* x_pointer = as_pointer<const simt::bf16>(x, elements(x_shape, "x"), "x");
  const auto* dy_pointer = as_pointer<const simt::bf16>(dy, elements(y_shape, "y"), "dy");
  const std::int64_t weights = elements(w_shape, "w");
  const ConvWgradResult result{
      as_optional_pointer<float>(dw, weights, "dw"), as_optional_pointer<float>(db, shape.K, "db"),
      as_update(filters, weights, filter_rates), as_update(bias, shape.K, bias_rates)};
  const auto bytes = static_cast<std::int64_t>(conv_wgrad_hopper_workspace_bytes(shape, multiprocessors));
  auto* workspace_pointer = as_pointer<float>(workspace, bytes, "workspace");
  const Launch launch(where);
  conv_wgrad_hopper(x_pointer, dy_pointer, result, shape, workspace_pointer, multiprocessors,
                    launch.stream());
}

// Choice, workspace and fitness ask for neither stride nor padding.
std::string choice(const Shape4& x, const Shape4& w, const Shape4& y, int groups, int multiprocessors) {
  return to_string(choose_conv_wgrad_hopper(as_shape(x, w, y, {1, 1}, {0, 0}, groups), multiprocessors));
}

std::size_t workspace_bytes(const Shape4& x, const Shape4& w, const Shape4& y, int groups,
                            int multiprocessors) {
  return conv_wgrad_hopper_workspace_bytes(as_shape(x, w, y, {1, 1}, {0, 0}, groups), multiprocessors);
}

bool gives_db(const Shape4& x, const Shape4& w, const Shape4& y, const Pair& stride, const Pair& pad,
              int groups, int multiprocessors) {
  return conv_wgrad_hopper_gives_db(as_shape(x, w, y, stride, pad, groups), multiprocessors);
}

bool fits(const Shape4& x, const Shape4& w, const Shape4& y, int groups, bool aligned) {
  return conv_wgrad_hopper_fits(as_shape(x, w, y, {1, 1}, {0, 0}, groups), aligned);
}

template <class Function>
void define(py::module_& module, const char* name, Function function, const char* last, const char* doc) {
  module.def(name, function, py::arg("x_shape"), py::arg("w_shape"), py::arg("y_shape"), py::arg("groups"),
             py::arg(last), doc);
}

}  // namespace hopper_wgrad_calls

void bind_hopper_wgrad(py::module_& module) {
  using namespace hopper_wgrad_calls;
  module.def("conv_wgrad_hopper", &wgrad, py::arg("x"), py::arg("dy"), py::arg("dw"), py::arg("db"),
             py::arg("filters"), py::arg("bias"), py::arg("filter_rates"), py::arg("bias_rates"),
             py::arg("x_shape"), py::arg("w_shape"), py::arg("y_shape"), py::arg("stride"), py::arg("pad"),
             py::arg("groups"), py::arg("workspace"), py::arg("multiprocessors"), py::arg("where"));
  define(module, "choose_conv_wgrad_hopper", &choice, "multiprocessors", "The launch, as text.");
  define(module, "conv_wgrad_hopper_workspace_bytes", &workspace_bytes, "multiprocessors", "");
  module.def("conv_wgrad_hopper_gives_db", &gives_db, py::arg("x_shape"), py::arg("w_shape"),
             py::arg("y_shape"), py::arg("stride"), py::arg("pad"), py::arg("groups"),
             py::arg("multiprocessors"));
  define(module, "conv_wgrad_hopper_fits", &fits, "aligned", "");
}

}  // namespace alexnet
