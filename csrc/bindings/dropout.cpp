#include "kernels/dropout/dropout.h"

#include "bindings/bindings.h"

namespace py = pybind11;

namespace alexnet {
namespace dropout_calls {

using Matrix = std::array<std::int64_t, 2>;  // (features, images)

void run(std::uintptr_t x, std::uintptr_t y, const Matrix& shape, double keep, bool inverted,
         std::uint64_t seed, std::uint32_t layer, std::uint32_t first_row, std::uint32_t first_image,
         std::uint32_t step, std::uintptr_t step_address, std::string_view dtype, Where where) {
  const std::int64_t count = elements(shape, "shape");
  const auto* step_pointer = as_optional_pointer<const std::uint32_t>(step_address, 1, "step_address");
  const DropoutDraw draw{keep, inverted, seed, layer, first_row, first_image, step, step_pointer};
  for_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    const auto* x_pointer = as_pointer<const T>(x, count, "x");
    auto* y_pointer = as_pointer<T>(y, count, "y");
    const Launch launch(where);
    dropout(x_pointer, y_pointer, shape[0], shape[1], draw, launch.stream());
  });
}

std::string choose(const Matrix& shape, std::uint32_t first_image, bool aligned) {
  elements(shape, "shape");
  return to_string(choose_dropout(shape[0], shape[1], first_image, aligned));
}

}  // namespace dropout_calls

void bind_dropout(py::module_& module) {
  using namespace dropout_calls;
  module.def("dropout", &run, py::arg("x"), py::arg("y"), py::arg("shape"), py::arg("keep"),
             py::arg("inverted"), py::arg("seed"), py::arg("layer"), py::arg("first_row"),
             py::arg("first_image"), py::arg("step"), py::arg("step_address"), py::arg("dtype"),
             py::arg("where"));
  module.def("choose_dropout", &choose, py::arg("shape"), py::arg("first_image"), py::arg("aligned"),
             "The launch, as text.");
  module.def("philox4x32", &philox_words, py::arg("counter"), py::arg("key"),
             "Four random words, computed on the host.");
}

}  // namespace alexnet
