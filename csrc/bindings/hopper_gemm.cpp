// The Hopper matrix product by itself, with any cut of its tiles: for tests and measurements. Operations
// reach it through gemm.

#include "kernels/gemm/hopper/gemm_hopper.h"

#include <limits>
#include <optional>

#include "bindings/bindings.h"

namespace py = pybind11;

namespace alexnet {
namespace hopper_gemm_calls {

using Sizes = std::array<std::int64_t, 3>;      // M, N, K
using Cut = std::optional<std::array<int, 3>>;  // columns of a tile, parts of K, blocks; or as chosen

GemmShape as_shape(const Sizes& sizes, bool trans_a, bool trans_b) {
  elements(sizes, "sizes");
  for (const std::int64_t size : sizes) {
    require(size <= std::numeric_limits<int>::max() - 256,
            "gemm_hopper: a size of " + std::to_string(size) + " is too large");
  }
  return {static_cast<int>(sizes[0]), static_cast<int>(sizes[1]), static_cast<int>(sizes[2]), trans_a,
          trans_b};
}

GemmHopperConfig as_config(const GemmShape& shape, const Cut& cut) {
  return cut ? cut_gemm_hopper(shape, (*cut)[0], (*cut)[1], (*cut)[2]) : choose_gemm_hopper(shape);
}

void run(std::uintptr_t a, std::uintptr_t b, std::uintptr_t c, const Sizes& sizes, bool trans_a, bool trans_b,
         float alpha, float beta, std::uintptr_t bias, bool relu, std::string_view dtype, const Cut& cut,
         std::uintptr_t workspace, Where where) {
  const GemmShape shape = as_shape(sizes, trans_a, trans_b);
  const GemmHopperConfig config = as_config(shape, cut);
  const auto [M, N, K] = sizes;
  const auto* a_pointer = as_pointer<const simt::bf16>(a, M * K, "a");
  const auto* b_pointer = as_pointer<const simt::bf16>(b, K * N, "b");
  const GemmEpilogue epilogue{alpha, beta, as_optional_pointer<const float>(bias, M, "bias"), relu};
  const auto bytes = static_cast<std::int64_t>(gemm_hopper_workspace_bytes(shape, config));
  auto* workspace_pointer = as_pointer<float>(workspace, bytes, "workspace");
  for_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    auto* c_pointer = as_pointer<T>(c, sizes[0] * sizes[1], "c");
    const Launch launch(where);
    gemm_hopper(a_pointer, b_pointer, c_pointer, shape, epilogue, config, workspace_pointer, launch.stream());
  });
}

std::string choose(const Sizes& sizes) {
  return to_string(choose_gemm_hopper(as_shape(sizes, false, false)));
}

std::size_t workspace_bytes(const Sizes& sizes, const Cut& cut) {
  const GemmShape shape = as_shape(sizes, false, false);
  return gemm_hopper_workspace_bytes(shape, as_config(shape, cut));
}

bool fits(std::uintptr_t a, std::uintptr_t b, std::uintptr_t c, const Sizes& sizes, bool trans_a,
          bool trans_b, std::string_view dtype) {
  const GemmShape shape = as_shape(sizes, trans_a, trans_b);
  bool result = false;
  for_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    result = gemm_hopper_fits(shape, reinterpret_cast<const simt::bf16*>(a),
                              reinterpret_cast<const simt::bf16*>(b), reinterpret_cast<const T*>(c));
  });
  return result;
}

GemmSgdShape as_sgd_shape(const Sizes& sizes) {
  const GemmShape shape = as_shape(sizes, false, false);
  return {shape.M, shape.N, shape.K};
}

// blocks: as chosen if 0.
void run_with_sgd(std::uintptr_t x, std::uintptr_t dy, std::uintptr_t w, std::uintptr_t v,
                  std::uintptr_t w_bf16, std::uintptr_t state, const Sizes& sizes, float lr, float momentum,
                  float weight_decay, int blocks, Where where) {
  const GemmSgdShape shape = as_sgd_shape(sizes);
  const auto [inputs, outputs, images] = sizes;
  const auto* x_pointer = as_pointer<const simt::bf16>(x, inputs * images, "x");
  const auto* dy_pointer = as_pointer<const simt::bf16>(dy, outputs * images, "dy");
  const std::int64_t count = inputs * outputs;
  const SgdUpdate update{as_pointer<float>(w, count, "w"), as_pointer<float>(v, count, "v"),
                         as_optional_pointer<simt::bf16>(w_bf16, count, "w_bf16"),
                         as_optional_pointer<const std::uint32_t>(state, 3, "state"),
                         SgdRates{lr, momentum, weight_decay}};
  GemmSgdHopperConfig config = choose_gemm_sgd_hopper(shape);
  if (blocks > 0) config.blocks = blocks;
  const Launch launch(where);
  gemm_sgd_hopper(x_pointer, dy_pointer, shape, update, config, launch.stream());
}

std::string choose_with_sgd(const Sizes& sizes) {
  return to_string(choose_gemm_sgd_hopper(as_sgd_shape(sizes)));
}

}  // namespace hopper_gemm_calls

void bind_hopper_gemm(py::module_& module) {
  using namespace hopper_gemm_calls;
  module.def("gemm_hopper", &run, py::arg("a"), py::arg("b"), py::arg("c"), py::arg("sizes"),
             py::arg("trans_a"), py::arg("trans_b"), py::arg("alpha"), py::arg("beta"), py::arg("bias"),
             py::arg("relu"), py::arg("dtype"), py::arg("cut"), py::arg("workspace"), py::arg("where"));
  module.def("choose_gemm_hopper", &choose, py::arg("sizes"), "The launch, as text.");
  module.def("gemm_hopper_workspace_bytes", &workspace_bytes, py::arg("sizes"), py::arg("cut"));
  module.def("gemm_hopper_fits", &fits, py::arg("a"), py::arg("b"), py::arg("c"), py::arg("sizes"),
             py::arg("trans_a"), py::arg("trans_b"), py::arg("dtype"));
  module.def("gemm_sgd_hopper", &run_with_sgd, py::arg("x"), py::arg("dy"), py::arg("w"), py::arg("v"),
             py::arg("w_bf16"), py::arg("state"), py::arg("sizes"), py::arg("lr"), py::arg("momentum"),
             py::arg("weight_decay"), py::arg("blocks"), py::arg("where"));
  module.def("choose_gemm_sgd_hopper", &choose_with_sgd, py::arg("sizes"), "The launch, as text.");
}

}  // namespace alexnet
