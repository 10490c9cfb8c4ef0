#include "kernels/augment/augment.h"

#include "bindings/bindings.h"

namespace py = pybind11;

namespace alexnet {
namespace augment_calls {

using Bytes = const std::uint8_t;

void check_sizes(const Shape4& images, const Pair& crop) {
  elements(images, "images");
  for (const std::int64_t length : images) {
    require(length <= INT32_MAX,
            "images have a size of " + std::to_string(length) + ", wanted at most 2^31 - 1");
  }
  require(crop[0] >= 1 && crop[1] >= 1, "an empty crop");
}

// mean_shape: (0, 0) for one value a channel.
void run(std::uintptr_t images, std::uintptr_t offsets, std::uintptr_t flips, std::uintptr_t color_shift,
         std::uintptr_t mean, std::uintptr_t x, std::uintptr_t status, const Shape4& shape, const Pair& crop,
         const Pair& mean_shape, std::string_view dtype, Where where) {
  check_sizes(shape, crop);
  const std::int64_t n = shape[0], C = shape[3];
  const std::int64_t mean_pixels = mean_shape[0] == 0 ? 1 : std::int64_t{mean_shape[0]} * mean_shape[1];
  for_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    AugmentArguments<T> arguments{};
    arguments.images = as_pointer<Bytes>(images, elements(shape, "images"), "images");
    arguments.n = static_cast<int>(n);
    arguments.H = static_cast<int>(shape[1]);
    arguments.W = static_cast<int>(shape[2]);
    arguments.C = static_cast<int>(C);
    arguments.h = crop[0];
    arguments.w = crop[1];
    arguments.offsets = as_pointer<const int>(offsets, 2 * n, "offsets");
    arguments.flips = as_pointer<Bytes>(flips, n, "flips");
    arguments.color_shift = as_optional_pointer<const float>(color_shift, n * C, "color_shift");
    arguments.mean = as_optional_pointer<const float>(mean, mean_pixels * C, "mean");
    arguments.mean_H = mean_shape[0];
    arguments.mean_W = mean_shape[1];
    arguments.x = as_pointer<T>(x, C * crop[0] * crop[1] * n, "x");
    arguments.status = as_optional_pointer<StatusWord>(status, kStatusWords, "status");
    const Launch launch(where);
    augment(arguments, launch.stream());
  });
}

std::string choose(const Shape4& shape, const Pair& crop) {
  check_sizes(shape, crop);
  return to_string(choose_augment(static_cast<int>(shape[0]), static_cast<int>(shape[3]), crop[0], crop[1]));
}

}  // namespace augment_calls

void bind_augment(py::module_& module) {
  using namespace augment_calls;
  module.def("augment", &run, py::arg("images"), py::arg("offsets"), py::arg("flips"), py::arg("color_shift"),
             py::arg("mean"), py::arg("x"), py::arg("status"), py::arg("shape"), py::arg("crop"),
             py::arg("mean_shape"), py::arg("dtype"), py::arg("where"));
  module.def("choose_augment", &choose, py::arg("shape"), py::arg("crop"), "The launch, as text.");
}

}  // namespace alexnet
