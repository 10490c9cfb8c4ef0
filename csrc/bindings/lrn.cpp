// Local response normalisation, across channels and within one.

#include "kernels/lrn/lrn.h"

#include "bindings/bindings.h"
#include "kernels/lrn_within_channel/lrn_within_channel.h"

namespace py = pybind11;

namespace alexnet {
namespace lrn_calls {

LrnShape shape_across(const Shape4& x, int groups) {
  require(x[0] <= INT32_MAX, "x has " + std::to_string(x[0]) + " channels, wanted at most 2^31 - 1");
  return {static_cast<int>(x[0]), x[1] * x[2] * x[3], groups};
}

MapShape shape_within(const Shape4& x) {
  for (const std::int64_t length : x) {
    require(length <= INT32_MAX, "x has a size of " + std::to_string(length) + ", wanted at most 2^31 - 1");
  }
  return {static_cast<int>(x[0]), static_cast<int>(x[1]), static_cast<int>(x[2]), static_cast<int>(x[3])};
}

void across_forward(std::uintptr_t x, std::uintptr_t y, const Shape4& shape, int groups, int size,
                    float alpha, float beta, float k, std::string_view dtype, Where where) {
  const std::int64_t count = elements(shape, "x");
  for_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    const auto* x_pointer = as_pointer<const T>(x, count, "x");
    auto* y_pointer = as_pointer<T>(y, count, "y");
    const Launch launch(where);
    lrn_forward(x_pointer, y_pointer, shape_across(shape, groups), {size, alpha, beta, k}, launch.stream());
  });
}

void across_backward(std::uintptr_t x, std::uintptr_t dy, std::uintptr_t dx, const Shape4& shape, int groups,
                     int size, float alpha, float beta, float k, std::string_view dtype, Where where) {
  const std::int64_t count = elements(shape, "x");
  for_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    const auto* x_pointer = as_pointer<const T>(x, count, "x");
    const auto* dy_pointer = as_pointer<const T>(dy, count, "dy");
    auto* dx_pointer = as_pointer<T>(dx, count, "dx");
    const Launch launch(where);
    lrn_backward(x_pointer, dy_pointer, dx_pointer, shape_across(shape, groups), {size, alpha, beta, k},
                 launch.stream());
  });
}

void within_forward(std::uintptr_t x, std::uintptr_t y, const Shape4& shape, int size, float alpha,
                    float beta, float k, std::string_view dtype, Where where) {
  const std::int64_t count = elements(shape, "x");
  for_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    const auto* x_pointer = as_pointer<const T>(x, count, "x");
    auto* y_pointer = as_pointer<T>(y, count, "y");
    const Launch launch(where);
    lrn_within_channel_forward(x_pointer, y_pointer, shape_within(shape), {size, alpha, beta, k},
                               launch.stream());
  });
}

void within_backward(std::uintptr_t x, std::uintptr_t dy, std::uintptr_t dx, const Shape4& shape, int size,
                     float alpha, float beta, float k, std::string_view dtype, Where where) {
  const std::int64_t count = elements(shape, "x");
  for_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    const auto* x_pointer = as_pointer<const T>(x, count, "x");
    const auto* dy_pointer = as_pointer<const T>(dy, count, "dy");
    auto* dx_pointer = as_pointer<T>(dx, count, "dx");
    const Launch launch(where);
    lrn_within_channel_backward(x_pointer, dy_pointer, dx_pointer, shape_within(shape),
                                {size, alpha, beta, k}, launch.stream());
  });
}

std::string choose_across(const Shape4& shape, int groups, int size, bool aligned) {
  elements(shape, "x");
  require(groups >= 1 && shape[0] % groups == 0, std::to_string(groups) + " groups of the channels");
  return to_string(choose_lrn(shape_across(shape, groups), {size, 1.0f, 0.75f, 1.0f}, aligned));
}

template <LrnWithinConfig (*choose)(const MapShape&, int)>
std::string choose_within(const Shape4& shape, int size) {
  elements(shape, "x");
  require(size >= 1, "a window of " + std::to_string(size));
  return to_string(choose(shape_within(shape), size));
}

}  // namespace lrn_calls

void bind_lrn(py::module_& module) {
  using namespace lrn_calls;
  const auto x = py::arg("x"), y = py::arg("y"), dy = py::arg("dy"), dx = py::arg("dx"),
             shape = py::arg("shape"), groups = py::arg("groups"), size = py::arg("size"),
             alpha = py::arg("alpha"), beta = py::arg("beta"), k = py::arg("k"), dtype = py::arg("dtype"),
             where = py::arg("where"), aligned = py::arg("aligned");
  module.def("lrn_forward", &across_forward, x, y, shape, groups, size, alpha, beta, k, dtype, where);
  module.def("lrn_backward", &across_backward, x, dy, dx, shape, groups, size, alpha, beta, k, dtype, where);
  module.def("lrn_within_channel_forward", &within_forward, x, y, shape, size, alpha, beta, k, dtype, where);
  module.def("lrn_within_channel_backward", &within_backward, x, dy, dx, shape, size, alpha, beta, k, dtype,
             where);
  module.def("choose_lrn", &choose_across, shape, groups, size, aligned, "The launch, as text.");
  module.def("choose_lrn_within_channel", &choose_within<choose_lrn_within_channel>, shape, size,
             "The launch, as text.");
  module.def("choose_lrn_within_channel_backward", &choose_within<choose_lrn_within_channel_backward>, shape,
             size, "The launch, as text.");
}

}  // namespace alexnet
