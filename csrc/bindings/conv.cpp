#include "kernels/conv/conv.h"

#include "bindings/bindings.h"
#include "bindings/conv_shape.h"
#include "kernels/conv/tensor_cores.h"

namespace py = pybind11;

namespace alexnet {
namespace conv_calls {

void fprop(std::uintptr_t x, std::uintptr_t w, std::uintptr_t b, std::uintptr_t y, const Shape4& x_shape,
           const Shape4& w_shape, const Shape4& y_shape, const Pair& stride, const Pair& pad, int groups,
           bool relu, std::string_view dtype, Where where) {
  const ConvShape shape = as_shape(x_shape, w_shape, y_shape, stride, pad, groups);
  const auto* b_pointer = as_optional_pointer<const float>(b, shape.K, "b");
  for_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    const auto* x_pointer = as_pointer<const T>(x, elements(x_shape, "x"), "x");
    const auto* w_pointer = as_pointer<const T>(w, elements(w_shape, "w"), "w");
    auto* y_pointer = as_pointer<T>(y, elements(y_shape, "y"), "y");
    const Launch launch(where);
    conv_fprop(x_pointer, w_pointer, b_pointer, y_pointer, shape, relu, launch.stream());
  });
}

void dgrad(std::uintptr_t dy, std::uintptr_t w, std::uintptr_t relu_y, std::uintptr_t dx,
           const Shape4& x_shape, const Shape4& w_shape, const Shape4& y_shape, const Pair& stride,
           const Pair& pad, int groups, std::string_view dtype, Where where) {
  const ConvShape shape = as_shape(x_shape, w_shape, y_shape, stride, pad, groups);
  for_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    const auto* dy_pointer = as_pointer<const T>(dy, elements(y_shape, "y"), "dy");
    const auto* w_pointer = as_pointer<const T>(w, elements(w_shape, "w"), "w");
    const auto* relu_y_pointer = as_optional_pointer<const T>(relu_y, elements(x_shape, "x"), "relu_y");
    auto* dx_pointer = as_pointer<T>(dx, elements(x_shape, "x"), "dx");
    const Launch launch(where);
    conv_dgrad(dy_pointer, w_pointer, relu_y_pointer, dx_pointer, shape, launch.stream());
  });
}

void wgrad(std::uintptr_t x, std::uintptr_t dy, std::uintptr_t dw, const Shape4& x_shape,
           const Shape4& w_shape, const Shape4& y_shape, const Pair& stride, const Pair& pad, int groups,
           std::uintptr_t workspace, std::string_view dtype, Where where) {
  const ConvShape shape = as_shape(x_shape, w_shape, y_shape, stride, pad, groups);
  auto* dw_pointer = as_pointer<float>(dw, elements(w_shape, "w"), "dw");
  for_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    const auto* x_pointer = as_pointer<const T>(x, elements(x_shape, "x"), "x");
    const auto* dy_pointer = as_pointer<const T>(dy, elements(y_shape, "y"), "dy");
    const Launch launch(where);  // from here on the workspace asked for is that of the launch's GPU
    const auto bytes = static_cast<std::int64_t>(conv_wgrad_workspace_bytes(shape, sizeof(T)));
    auto* workspace_pointer = as_pointer<float>(workspace, bytes, "workspace");
    conv_wgrad(x_pointer, dy_pointer, dw_pointer, shape, workspace_pointer, launch.stream());
  });
}

// Needs no stride, pad or groups: the number of parts depends on sizes that the arrays tell.
std::size_t wgrad_workspace_bytes(const Shape4& x, const Shape4& w, const Shape4& y, std::string_view dtype) {
  require(w[0] >= 1 && x[0] % w[0] == 0, "convolution: the shapes of x, w and y do not fit each other");
  return conv_wgrad_workspace_bytes(as_shape(x, w, y, {1, 1}, {0, 0}, as_int(x[0] / w[0])),
                                    element_size(dtype));
}

using Describe = std::string (*)(const ConvShape&, std::size_t, bool);

template <Describe describe>
std::string chosen(const Shape4& x_shape, const Shape4& w_shape, const Shape4& y_shape, const Pair& stride,
                   const Pair& pad, int groups, bool aligned, std::string_view dtype) {
  const ConvShape shape = as_shape(x_shape, w_shape, y_shape, stride, pad, groups);
  require_valid(shape);
  return describe(shape, element_size(dtype), aligned);
}

void sum_rows(std::uintptr_t dy, std::uintptr_t db, int K, std::int64_t count, std::uintptr_t workspace,
              std::string_view dtype, Where where) {
  auto* db_pointer = as_pointer<float>(db, K, "db");
  require(K >= 1 && count >= 1, "bias_grad: K and count must be at least 1");
  const auto bytes = static_cast<std::int64_t>(bias_grad_workspace_bytes(K, count, element_size(dtype)));
  auto* workspace_pointer = as_pointer<float>(workspace, bytes, "workspace");
  for_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    const auto* dy_pointer = as_pointer<const T>(dy, K * count, "dy");
    const Launch launch(where);
    bias_grad(dy_pointer, db_pointer, K, count, workspace_pointer, launch.stream());
  });
}

std::size_t sum_rows_workspace_bytes(int K, std::int64_t count, std::string_view dtype) {
  require(K >= 1 && count >= 1, "bias_grad: K and count must be at least 1");
  return bias_grad_workspace_bytes(K, count, element_size(dtype));
}

std::string choose_sum_rows(int K, std::int64_t count, bool aligned, std::string_view dtype) {
  require(K >= 1 && count >= 1, "bias_grad: K and count must be at least 1");
  return to_string(choose_bias_grad(K, count, element_size(dtype), aligned));
}

template <Describe describe>
void define_choice(py::module_& module, const char* name) {
  module.def(name, &chosen<describe>, py::arg("x_shape"), py::arg("w_shape"), py::arg("y_shape"),
             py::arg("stride"), py::arg("pad"), py::arg("groups"), py::arg("aligned"), py::arg("dtype"),
             "The launch, as text.");
}

}  // namespace conv_calls

void bind_conv(py::module_& module) {
  using namespace conv_calls;
  module.def("conv_fprop", &fprop, py::arg("x"), py::arg("w"), py::arg("b"), py::arg("y"), py::arg("x_shape"),
             py::arg("w_shape"), py::arg("y_shape"), py::arg("stride"), py::arg("pad"), py::arg("groups"),
             py::arg("relu"), py::arg("dtype"), py::arg("where"));
  module.def("conv_dgrad", &dgrad, py::arg("dy"), py::arg("w"), py::arg("relu_y"), py::arg("dx"),
             py::arg("x_shape"), py::arg("w_shape"), py::arg("y_shape"), py::arg("stride"), py::arg("pad"),
             py::arg("groups"), py::arg("dtype"), py::arg("where"));
  module.def("conv_wgrad", &wgrad, py::arg("x"), py::arg("dy"), py::arg("dw"), py::arg("x_shape"),
             py::arg("w_shape"), py::arg("y_shape"), py::arg("stride"), py::arg("pad"), py::arg("groups"),
             py::arg("workspace"), py::arg("dtype"), py::arg("where"));
  module.def("conv_wgrad_workspace_bytes", &wgrad_workspace_bytes, py::arg("x_shape"), py::arg("w_shape"),
             py::arg("y_shape"), py::arg("dtype"));
  define_choice<describe_conv_fprop>(module, "choose_conv_fprop");
  define_choice<describe_conv_dgrad>(module, "choose_conv_dgrad");
  define_choice<describe_conv_wgrad>(module, "choose_conv_wgrad");
  module.def("bias_grad", &sum_rows, py::arg("dy"), py::arg("db"), py::arg("K"), py::arg("count"),
             py::arg("workspace"), py::arg("dtype"), py::arg("where"));
  module.def("bias_grad_workspace_bytes", &sum_rows_workspace_bytes, py::arg("K"), py::arg("count"),
             py::arg("dtype"));
  module.def("choose_bias_grad", &choose_sum_rows, py::arg("K"), py::arg("count"), py::arg("aligned"),
             py::arg("dtype"), "The launch, as text.");
}

}  // namespace alexnet
