// The first layer's Hopper kernel by itself: for tests and measurements. Operations reach it through
// conv_fprop.

#include "bindings/bindings.h"
#include "bindings/conv_shape.h"
#include "kernels/conv/hopper/first_layer_hopper.h"

namespace py = pybind11;

namespace alexnet {
namespace hopper_first_layer_calls {

// blocks: as chosen if 0.
void run(std::uintptr_t x, std::uintptr_t w, std::uintptr_t b, std::uintptr_t y, const Shape4& x_shape,
         const Shape4& w_shape, const Shape4& y_shape, const Pair& stride, const Pair& pad, bool relu,
         int blocks, Where where) {
  const ConvShape shape = as_shape(x_shape, w_shape, y_shape, stride, pad, 1);
  const auto* x_pointer = as_pointer<const simt::bf16>(x, elements(x_shape, "x"), "x");
  const auto* w_pointer = as_pointer<const simt::bf16>(w, elements(w_shape, "w"), "w");
  const auto* b_pointer = as_optional_pointer<const float>(b, shape.K, "b");
  auto* y_pointer = as_pointer<simt::bf16>(y, elements(y_shape, "y"), "y");
  FirstLayerHopperConfig config = choose_conv_first_layer_hopper(shape);
  if (blocks > 0) config.blocks = blocks;
  const Launch launch(where);
  conv_first_layer_hopper(x_pointer, w_pointer, b_pointer, y_pointer, shape, relu, config, launch.stream());
}

std::string choose(const Shape4& x, const Shape4& w, const Shape4& y, const Pair& stride, const Pair& pad) {
  return to_string(choose_conv_first_layer_hopper(as_shape(x, w, y, stride, pad, 1)));
}

bool fits(std::uintptr_t x, std::uintptr_t y, const Shape4& x_shape, const Shape4& w_shape,
          const Shape4& y_shape, const Pair& stride, const Pair& pad) {
  return conv_first_layer_hopper_fits(as_shape(x_shape, w_shape, y_shape, stride, pad, 1),
                                      reinterpret_cast<const simt::bf16*>(x),
                                      reinterpret_cast<const simt::bf16*>(y));
}

}  // namespace hopper_first_layer_calls

void bind_hopper_first_layer(py::module_& module) {
  using namespace hopper_first_layer_calls;
  module.def("conv_first_layer_hopper", &run, py::arg("x"), py::arg("w"), py::arg("b"), py::arg("y"),
             py::arg("x_shape"), py::arg("w_shape"), py::arg("y_shape"), py::arg("stride"), py::arg("pad"),
             py::arg("relu"), py::arg("blocks"), py::arg("where"));
  module.def("choose_conv_first_layer_hopper", &choose, py::arg("x_shape"), py::arg("w_shape"),
             py::arg("y_shape"), py::arg("stride"), py::arg("pad"), "The launch, as text.");
  module.def("conv_first_layer_hopper_fits", &fits, py::arg("x"), py::arg("y"), py::arg("x_shape"),
             py::arg("w_shape"), py::arg("y_shape"), py::arg("stride"), py::arg("pad"));
}

}  // namespace alexnet
