#include "kernels/gemm/gemm.h"

#include <limits>

#include "bindings/bindings.h"
#include "bindings/sgd_update.h"
#include "kernels/gemm/gemm_sgd.h"
#include "kernels/gemm/tensor_cores.h"

namespace py = pybind11;

namespace alexnet {
namespace gemm_calls {

using Sizes = std::array<std::int64_t, 3>;  // M, N, K

GemmShape as_shape(const Sizes& sizes, bool trans_a, bool trans_b) {
  elements(sizes, "sizes");
  for (const std::int64_t size : sizes) {
    require(size <= std::numeric_limits<int>::max() - 256,
            "gemm: a size of " + std::to_string(size) + " is too large");
  }
  return {static_cast<int>(sizes[0]), static_cast<int>(sizes[1]), static_cast<int>(sizes[2]), trans_a,
          trans_b};
}

// Calls f with the types of the operands and of the result.
template <class Function>
void for_dtypes(std::string_view dtype, std::string_view out_dtype, Function&& f) {
  for_dtype(dtype, [&]<class Element>(std::type_identity<Element> element) {
    if (out_dtype == dtype) {
      f(element, element);
    } else {
      require(out_dtype == "float32",
              "gemm: no product of " + std::string(dtype) + " in " + std::string(out_dtype));
      f(element, std::type_identity<float>{});
    }
  });
}

void run(std::uintptr_t a, std::uintptr_t b, std::uintptr_t c, const Sizes& sizes, bool trans_a, bool trans_b,
         float alpha, float beta, std::uintptr_t bias, bool relu, std::uintptr_t workspace,
         std::string_view dtype, std::string_view out_dtype, Where where) {
  const GemmShape shape = as_shape(sizes, trans_a, trans_b);
  const auto [M, N, K] = sizes;
  const GemmEpilogue epilogue{alpha, beta, as_optional_pointer<const float>(bias, M, "bias"), relu};
  for_dtypes(dtype, out_dtype,
             [&]<class Element, class Result>(std::type_identity<Element>, std::type_identity<Result>) {
               const auto* a_pointer = as_pointer<const Element>(a, M * K, "a");
               const auto* b_pointer = as_pointer<const Element>(b, K * N, "b");
               auto* c_pointer = as_pointer<Result>(c, M * N, "c");
               const Launch launch(where);  // from here on the workspace asked for is that of its GPU
               const auto bytes = static_cast<std::int64_t>(gemm_workspace_bytes(shape, sizeof(Element)));
               auto* workspace_pointer = as_pointer<float>(workspace, bytes, "workspace");
               gemm(a_pointer, b_pointer, c_pointer, shape, epilogue, workspace_pointer, launch.stream());
             });
}

std::string choose(const Sizes& sizes, bool trans_a, bool trans_b, bool aligned, std::string_view dtype) {
  return describe_gemm(as_shape(sizes, trans_a, trans_b), element_size(dtype), aligned);
}

std::size_t workspace_bytes(const Sizes& sizes, std::string_view dtype) {
  return gemm_workspace_bytes(as_shape(sizes, false, false), element_size(dtype));
}

GemmSgdShape as_sgd_shape(const Sizes& sizes) {
  const GemmShape shape = as_shape(sizes, false, true);
  return {shape.M, shape.N, shape.K};
}

void run_with_sgd(std::uintptr_t x, std::uintptr_t dy, const Weights& weights, const Rates& rates,
                  const Sizes& sizes, std::uintptr_t workspace, std::string_view dtype, Where where) {
  const GemmSgdShape shape = as_sgd_shape(sizes);
  const auto [inputs, outputs, images] = sizes;
  const SgdUpdate update = as_update(weights, inputs * outputs, rates);
  for_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    const auto* x_pointer = as_pointer<const T>(x, inputs * images, "x");
    const auto* dy_pointer = as_pointer<const T>(dy, outputs * images, "dy");
    auto* workspace_pointer = as_optional_pointer<float>(workspace, 1, "workspace");
    const Launch launch(where);
    gemm_sgd(x_pointer, dy_pointer, shape, update, workspace_pointer, launch.stream());
  });
}

std::size_t sgd_workspace_bytes(const Sizes& sizes, bool aligned, std::string_view dtype) {
  return gemm_sgd_workspace_bytes(as_sgd_shape(sizes), element_size(dtype), aligned);
}

bool is_sgd_fused(const Sizes& sizes, bool aligned, std::string_view dtype) {
  return is_gemm_sgd_fused(as_sgd_shape(sizes), element_size(dtype), aligned);
}

std::string choose_with_sgd(const Sizes& sizes, bool aligned, std::string_view dtype) {
  return describe_gemm_sgd(as_sgd_shape(sizes), element_size(dtype), aligned);
}

}  // namespace gemm_calls

void bind_gemm(py::module_& module) {
  using namespace gemm_calls;
  module.def("gemm", &run, py::arg("a"), py::arg("b"), py::arg("c"), py::arg("sizes"), py::arg("trans_a"),
             py::arg("trans_b"), py::arg("alpha"), py::arg("beta"), py::arg("bias"), py::arg("relu"),
             py::arg("workspace"), py::arg("dtype"), py::arg("out_dtype"), py::arg("where"));
  module.def("choose_gemm", &choose, py::arg("sizes"), py::arg("trans_a"), py::arg("trans_b"),
             py::arg("aligned"), py::arg("dtype"), "The launch, as text.");
  module.def("gemm_workspace_bytes", &workspace_bytes, py::arg("sizes"), py::arg("dtype"));
  module.def("gemm_sgd", &run_with_sgd, py::arg("x"), py::arg("dy"), py::arg("weights"), py::arg("rates"),
             py::arg("sizes"), py::arg("workspace"), py::arg("dtype"), py::arg("where"));
  module.def("gemm_sgd_workspace_bytes", &sgd_workspace_bytes, py::arg("sizes"), py::arg("aligned"),
             py::arg("dtype"));
  module.def("is_gemm_sgd_fused", &is_sgd_fused, py::arg("sizes"), py::arg("aligned"), py::arg("dtype"),
             "Whether the gradient is never written.");
  module.def("choose_gemm_sgd", &choose_with_sgd, py::arg("sizes"), py::arg("aligned"), py::arg("dtype"),
             "The launch, as text.");
}

}  // namespace alexnet
