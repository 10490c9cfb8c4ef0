// Convolution's Hopper kernels by themselves, for tests and measurements: which kernel, and on how many
// multiprocessors, are arguments here. Otherwise as conv.cpp.
#include "kernels/conv/hopper/conv_hopper.h"

#include <optional>

#include "bindings/bindings.h"
#include "bindings/conv_shape.h"

namespace py = pybind11;

namespace alexnet {
namespace hopper_conv_calls {

// Rows, columns, depth and positions of a tile; none: what choose_* says.
using Sizes = std::optional<std::array<int, 4>>;
using Choose = ConvHopperConfig (*)(const ConvShape&, int);
using Find = ConvHopperConfig (*)(const ConvShape&, int, int, int, int);

template <Choose choose, Find find>
ConvHopperConfig config_of(const ConvShape& shape, const Sizes& sizes, int multiprocessors) {
  require(multiprocessors >= 1, "multiprocessors: wanted at least 1");
  require_valid(shape);
  if (!sizes) return choose(shape, multiprocessors);
  const auto [rows, columns, depth, positions] = *sizes;
  return find(shape, rows, columns, depth, positions);
}

constexpr auto fprop_config = config_of<choose_conv_fprop_hopper, conv_fprop_hopper_config>;
constexpr auto dgrad_config = config_of<choose_conv_dgrad_hopper, conv_dgrad_hopper_config>;

void fprop(std::uintptr_t x, std::uintptr_t w, std::uintptr_t b, std::uintptr_t y, const Shape4& x_shape,
           const Shape4& w_shape, const Shape4& y_shape, const Pair& stride, const Pair& pad, int groups,
           bool relu, const Sizes& sizes, int multiprocessors, Where where) {
  const ConvShape shape = as_shape(x_shape, w_shape, y_shape, stride, pad, groups);
  const auto* x_pointer = as_pointer<const simt::bf16>(x, elements(x_shape, "x"), "x");
  const auto* w_pointer = as_pointer<const simt::bf16>(w, elements(w_shape, "w"), "w");
  const auto* b_pointer = as_optional_pointer<const float>(b, shape.K, "b");
  auto* y_pointer = as_pointer<simt::bf16>(y, elements(y_shape, "y"), "y");
  const ConvHopperConfig config = fprop_config(shape, sizes, multiprocessors);
  const Launch launch(where);
  conv_fprop_hopper(x_pointer, w_pointer, b_pointer, y_pointer, shape, relu, config, multiprocessors,
                    launch.stream());
}

void dgrad(std::uintptr_t dy, std::uintptr_t w, std::uintptr_t relu_y, std::uintptr_t dx,
           const Shape4& x_shape, const Shape4& w_shape, const Shape4& y_shape, const Pair& stride,
           const Pair& pad, int groups, const Sizes& sizes, int multiprocessors, Where where) {
  const ConvShape shape = as_shape(x_shape, w_shape, y_shape, stride, pad, groups);
  const auto* dy_pointer = as_pointer<const simt::bf16>(dy, elements(y_shape, "y"), "dy");
  const auto* w_pointer = as_pointer<const simt::bf16>(w, elements(w_shape, "w"), "w");
  const auto* relu_y_pointer =
      as_optional_pointer<const simt::bf16>(relu_y, elements(x_shape, "x"), "relu_y");
  auto* dx_pointer = as_pointer<simt::bf16>(dx, elements(x_shape, "x"), "dx");
  const ConvHopperConfig config = dgrad_config(shape, sizes, multiprocessors);
  const Launch launch(where);
  conv_dgrad_hopper(dy_pointer, w_pointer, relu_y_pointer, dx_pointer, shape, config, multiprocessors,
                    launch.stream());
}

// Addresses that are not looked at, only their alignment.
const simt::bf16* address(std::uintptr_t array) { return reinterpret_cast<const simt::bf16*>(array); }

bool fprop_fits(std::uintptr_t x, std::uintptr_t w, std::uintptr_t y, const Shape4& x_shape,
                const Shape4& w_shape, const Shape4& y_shape, const Pair& stride, const Pair& pad,
                int groups) {
  const ConvShape shape = as_shape(x_shape, w_shape, y_shape, stride, pad, groups);
  require_valid(shape);
  return conv_fprop_hopper_fits(shape, address(x), address(w), address(y));
}

bool dgrad_fits(std::uintptr_t dy, std::uintptr_t w, std::uintptr_t relu_y, std::uintptr_t dx,
                const Shape4& x_shape, const Shape4& w_shape, const Shape4& y_shape, const Pair& stride,
                const Pair& pad, int groups) {
  const ConvShape shape = as_shape(x_shape, w_shape, y_shape, stride, pad, groups);
  require_valid(shape);
  return conv_dgrad_hopper_fits(shape, address(dy), address(w), address(relu_y), address(dx));
}

template <Choose choose>
std::string chosen(const Shape4& x_shape, const Shape4& w_shape, const Shape4& y_shape, const Pair& stride,
                   const Pair& pad, int groups, int multiprocessors) {
  const ConvShape shape = as_shape(x_shape, w_shape, y_shape, stride, pad, groups);
  require_valid(shape);
  require(multiprocessors >= 1, "multiprocessors: wanted at least 1");
  return to_string(choose(shape, multiprocessors));
}

template <Choose choose>
void define_choice(py::module_& module, const char* name) {
  module.def(name, &chosen<choose>, py::arg("x_shape"), py::arg("w_shape"), py::arg("y_shape"),
             py::arg("stride"), py::arg("pad"), py::arg("groups"), py::arg("multiprocessors"),
             "The launch, as text.");
}

}  // namespace hopper_conv_calls

void bind_hopper_conv(py::module_& module) {
  using namespace hopper_conv_calls;
  module.def("conv_fprop_hopper", &fprop, py::arg("x"), py::arg("w"), py::arg("b"), py::arg("y"),
             py::arg("x_shape"), py::arg("w_shape"), py::arg("y_shape"), py::arg("stride"), py::arg("pad"),
             py::arg("groups"), py::arg("relu"), py::arg("sizes"), py::arg("multiprocessors"),
             py::arg("where"));
  module.def("conv_dgrad_hopper", &dgrad, py::arg("dy"), py::arg("w"), py::arg("relu_y"), py::arg("dx"),
             py::arg("x_shape"), py::arg("w_shape"), py::arg("y_shape"), py::arg("stride"), py::arg("pad"),
             py::arg("groups"), py::arg("sizes"), py::arg("multiprocessors"), py::arg("where"));
  module.def("conv_fprop_hopper_fits", &fprop_fits, py::arg("x"), py::arg("w"), py::arg("y"),
             py::arg("x_shape"), py::arg("w_shape"), py::arg("y_shape"), py::arg("stride"), py::arg("pad"),
             py::arg("groups"));
  module.def("conv_dgrad_hopper_fits", &dgrad_fits, py::arg("dy"), py::arg("w"), py::arg("relu_y"),
             py::arg("dx"), py::arg("x_shape"), py::arg("w_shape"), py::arg("y_shape"), py::arg("stride"),
             py::arg("pad"), py::arg("groups"));
  define_choice<choose_conv_fprop_hopper>(module, "choose_conv_fprop_hopper");
  define_choice<choose_conv_dgrad_hopper>(module, "choose_conv_dgrad_hopper");
}

}  // namespace alexnet
