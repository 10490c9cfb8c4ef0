// Pooling by maximum and by mean.

#include "bindings/bindings.h"
#include "kernels/avg_pool/avg_pool.h"
#include "kernels/common/windows.h"
#include "kernels/max_pool/max_pool.h"

namespace py = pybind11;

namespace alexnet {
namespace pool_calls {

struct Shapes {
  Windows windows;
  std::int64_t x_count;
  std::int64_t y_count;
};

// pad is the leading padding, (top, left).
Shapes shapes_of(const Shape4& x, const Pair& outputs, const Pair& size, const Pair& stride,
                 const Pair& pad) {
  const Shape4 y = {x[0], outputs[0], outputs[1], x[3]};
  Shapes shapes{{}, elements(x, "x"), elements(y, "y")};
  for (const std::int64_t length : x) {
    require(length <= INT32_MAX, "x has a size of " + std::to_string(length) + ", wanted at most 2^31 - 1");
  }
  const auto narrow = [](std::int64_t length) { return static_cast<int>(length); };
  shapes.windows = {narrow(x[0]), narrow(x[1]), narrow(x[2]), narrow(x[3]), outputs[0], outputs[1],
                    size[0],      size[1],      stride[0],    stride[1],    pad[0],     pad[1]};
  return shapes;
}

template <class Position>
void max_forward(std::uintptr_t x, std::uintptr_t y, std::uintptr_t arg, const Shape4& x_shape,
                 const Pair& outputs, const Pair& size, const Pair& stride, const Pair& pad,
                 std::string_view dtype, Where where) {
  const Shapes shapes = shapes_of(x_shape, outputs, size, stride, pad);
  for_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    const auto* x_pointer = as_pointer<const T>(x, shapes.x_count, "x");
    auto* y_pointer = as_pointer<T>(y, shapes.y_count, "y");
    auto* arg_pointer = as_optional_pointer<Position>(arg, shapes.y_count, "arg");
    const Launch launch(where);
    max_pool_forward(x_pointer, y_pointer, arg_pointer, shapes.windows, launch.stream());
  });
}

template <class Position>
void max_backward(std::uintptr_t dy, std::uintptr_t arg, std::uintptr_t dx, const Shape4& x_shape,
                  const Pair& outputs, const Pair& size, const Pair& stride, const Pair& pad,
                  std::string_view dtype, Where where) {
  const Shapes shapes = shapes_of(x_shape, outputs, size, stride, pad);
  for_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    const auto* dy_pointer = as_pointer<const T>(dy, shapes.y_count, "dy");
    const auto* arg_pointer = as_pointer<const Position>(arg, shapes.y_count, "arg");
    auto* dx_pointer = as_pointer<T>(dx, shapes.x_count, "dx");
    const Launch launch(where);
    max_pool_backward(dy_pointer, arg_pointer, dx_pointer, shapes.windows, launch.stream());
  });
}

void avg_forward(std::uintptr_t x, std::uintptr_t y, const Shape4& x_shape, const Pair& outputs,
                 const Pair& size, const Pair& stride, const Pair& pad, std::string_view dtype, Where where) {
  const Shapes shapes = shapes_of(x_shape, outputs, size, stride, pad);
  for_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    const auto* x_pointer = as_pointer<const T>(x, shapes.x_count, "x");
    auto* y_pointer = as_pointer<T>(y, shapes.y_count, "y");
    const Launch launch(where);
    avg_pool_forward(x_pointer, y_pointer, shapes.windows, launch.stream());
  });
}

void avg_backward(std::uintptr_t dy, std::uintptr_t dx, const Shape4& x_shape, const Pair& outputs,
                  const Pair& size, const Pair& stride, const Pair& pad, std::string_view dtype,
                  Where where) {
  const Shapes shapes = shapes_of(x_shape, outputs, size, stride, pad);
  for_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    const auto* dy_pointer = as_pointer<const T>(dy, shapes.y_count, "dy");
    auto* dx_pointer = as_pointer<T>(dx, shapes.x_count, "dx");
    const Launch launch(where);
    avg_pool_backward(dy_pointer, dx_pointer, shapes.windows, launch.stream());
  });
}

template <auto choose>
std::string chosen(const Shape4& x_shape, const Pair& outputs, const Pair& size, const Pair& stride,
                   const Pair& pad, bool aligned, std::string_view dtype) {
  const Shapes shapes = shapes_of(x_shape, outputs, size, stride, pad);
  check_windows("choose", shapes.windows);
  return to_string(choose(shapes.windows, element_size(dtype), aligned));
}

}  // namespace pool_calls

void bind_pool(py::module_& module) {
  using namespace pool_calls;
  const auto x_shape = py::arg("x_shape"), outputs = py::arg("outputs"), size = py::arg("size"),
             stride = py::arg("stride"), pad = py::arg("pad"), dtype = py::arg("dtype"),
             where = py::arg("where"), aligned = py::arg("aligned");
  module.def("max_pool_forward_uint8", &max_forward<std::uint8_t>, py::arg("x"), py::arg("y"), py::arg("arg"),
             x_shape, outputs, size, stride, pad, dtype, where);
  module.def("max_pool_forward_uint16", &max_forward<std::uint16_t>, py::arg("x"), py::arg("y"),
             py::arg("arg"), x_shape, outputs, size, stride, pad, dtype, where);
  module.def("max_pool_backward_uint8", &max_backward<std::uint8_t>, py::arg("dy"), py::arg("arg"),
             py::arg("dx"), x_shape, outputs, size, stride, pad, dtype, where);
  module.def("max_pool_backward_uint16", &max_backward<std::uint16_t>, py::arg("dy"), py::arg("arg"),
             py::arg("dx"), x_shape, outputs, size, stride, pad, dtype, where);
  module.def("avg_pool_forward", &avg_forward, py::arg("x"), py::arg("y"), x_shape, outputs, size, stride,
             pad, dtype, where);
  module.def("avg_pool_backward", &avg_backward, py::arg("dy"), py::arg("dx"), x_shape, outputs, size, stride,
             pad, dtype, where);
  module.def("choose_max_pool", &chosen<choose_max_pool>, x_shape, outputs, size, stride, pad, aligned, dtype,
             "The launch, as text.");
  module.def("choose_max_pool_backward", &chosen<choose_max_pool_backward>, x_shape, outputs, size, stride,
             pad, aligned, dtype, "The launch, as text.");
  module.def("choose_avg_pool", &chosen<choose_avg_pool>, x_shape, outputs, size, stride, pad, aligned, dtype,
             "The launch, as text.");
  module.def("choose_avg_pool_backward", &chosen<choose_avg_pool_backward>, x_shape, outputs, size, stride,
             pad, aligned, dtype, "The launch, as text.");
}

}  // namespace alexnet
