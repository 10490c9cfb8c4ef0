#include "kernels/conv/conv_wgrad_sgd.h"

#include "bindings/bindings.h"
#include "bindings/conv_shape.h"
#include "bindings/sgd_update.h"

namespace py = pybind11;

namespace alexnet {
namespace conv_wgrad_sgd_calls {

// For what needs no stride or pad. groups follow from the channels of x and w.
ConvShape as_sizes(const Shape4& x, const Shape4& w, const Shape4& y) {
  require(w[0] >= 1 && x[0] % w[0] == 0, "convolution: the shapes of x, w and y do not fit each other");
  return as_shape(x, w, y, {1, 1}, {0, 0}, as_int(x[0] / w[0]));
}

void with_db(std::uintptr_t x, std::uintptr_t dy, std::uintptr_t dw, std::uintptr_t db, const Shape4& x_shape,
             const Shape4& w_shape, const Shape4& y_shape, const Pair& stride, const Pair& pad, int groups,
             std::uintptr_t workspace, std::string_view dtype, Where where) {
  const ConvShape shape = as_shape(x_shape, w_shape, y_shape, stride, pad, groups);
  auto* dw_pointer = as_pointer<float>(dw, elements(w_shape, "w"), "dw");
  auto* db_pointer = as_pointer<float>(db, shape.K, "db");
  for_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    const auto* x_pointer = as_pointer<const T>(x, elements(x_shape, "x"), "x");
    const auto* dy_pointer = as_pointer<const T>(dy, elements(y_shape, "y"), "dy");
    const Launch launch(where);  // from here on the workspace asked for is that of the launch's GPU
    const auto bytes = static_cast<std::int64_t>(conv_wgrad_db_workspace_bytes(shape, sizeof(T)));
    auto* workspace_pointer = as_pointer<float>(workspace, bytes, "workspace");
    conv_wgrad_db(x_pointer, dy_pointer, dw_pointer, db_pointer, shape, workspace_pointer, launch.stream());
  });
}

std::size_t with_db_workspace_bytes(const Shape4& x, const Shape4& w, const Shape4& y,
                                    std::string_view dtype) {
  return conv_wgrad_db_workspace_bytes(as_sizes(x, w, y), element_size(dtype));
}

void with_sgd(std::uintptr_t x, std::uintptr_t dy, const Weights& filters, const Weights& bias,
              const Rates& filter_rates, const Rates& bias_rates, const Shape4& x_shape,
              const Shape4& w_shape, const Shape4& y_shape, const Pair& stride, const Pair& pad, int groups,
              std::uintptr_t workspace, std::string_view dtype, Where where) {
  const ConvShape shape = as_shape(x_shape, w_shape, y_shape, stride, pad, groups);
  const SgdUpdate filter_update = as_update(filters, elements(w_shape, "w"), filter_rates);
  const SgdUpdate bias_update = as_update(bias, shape.K, bias_rates);
  for_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    const auto* x_pointer = as_pointer<const T>(x, elements(x_shape, "x"), "x");
    const auto* dy_pointer = as_pointer<const T>(dy, elements(y_shape, "y"), "dy");
    auto* workspace_pointer = as_pointer<float>(workspace, 1, "workspace");
    const Launch launch(where);
    conv_wgrad_sgd(x_pointer, dy_pointer, filter_update, bias_update, shape, workspace_pointer,
                   launch.stream());
  });
}

std::size_t with_sgd_workspace_bytes(const Shape4& x, const Shape4& w, const Shape4& y, bool aligned,
                                     std::string_view dtype) {
  return conv_wgrad_sgd_workspace_bytes(as_sizes(x, w, y), element_size(dtype), aligned);
}

bool is_fused(const Shape4& x, const Shape4& w, const Shape4& y, bool aligned, std::string_view dtype) {
  return is_conv_wgrad_sgd_fused(as_sizes(x, w, y), element_size(dtype), aligned);
}

std::string choose(const Shape4& x, const Shape4& w, const Shape4& y, bool aligned, std::string_view dtype) {
  return describe_conv_wgrad_sgd(as_sizes(x, w, y), element_size(dtype), aligned);
}

template <class Function>
void define(py::module_& module, const char* name, Function function, const char* doc) {
  module.def(name, function, py::arg("x_shape"), py::arg("w_shape"), py::arg("y_shape"), py::arg("aligned"),
             py::arg("dtype"), doc);
}

}  // namespace conv_wgrad_sgd_calls

void bind_conv_wgrad_sgd(py::module_& module) {
  using namespace conv_wgrad_sgd_calls;
  module.def("conv_wgrad_db", &with_db, py::arg("x"), py::arg("dy"), py::arg("dw"), py::arg("db"),
             py::arg("x_shape"), py::arg("w_shape"), py::arg("y_shape"), py::arg("stride"), py::arg("pad"),
             py::arg("groups"), py::arg("workspace"), py::arg("dtype"), py::arg("where"));
  module.def("conv_wgrad_db_workspace_bytes", &with_db_workspace_bytes, py::arg("x_shape"),
             py::arg("w_shape"), py::arg("y_shape"), py::arg("dtype"));
  module.def("conv_wgrad_sgd", &with_sgd, py::arg("x"), py::arg("dy"), py::arg("filters"), py::arg("bias"),
             py::arg("filter_rates"), py::arg("bias_rates"), py::arg("x_shape"), py::arg("w_shape"),
             py::arg("y_shape"), py::arg("stride"), py::arg("pad"), py::arg("groups"), py::arg("workspace"),
             py::arg("dtype"), py::arg("where"));
  define(module, "conv_wgrad_sgd_workspace_bytes", &with_sgd_workspace_bytes, "");
  define(module, "is_conv_wgrad_sgd_fused", &is_fused, "Whether the gradient is never written.");
  define(module, "choose_conv_wgrad_sgd", &choose, "The launch, as text.");
}

}  // namespace alexnet
