#include "kernels/gemm/gemm.h"

#include <limits>

#include "bindings/bindings.h"
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

}  // namespace gemm_calls

void bind_gemm(py::module_& module) {
  using namespace gemm_calls;
  module.def("gemm", &run, py::arg("a"), py::arg("b"), py::arg("c"), py::arg("sizes"), py::arg("trans_a"),
             py::arg("trans_b"), py::arg("alpha"), py::arg("beta"), py::arg("bias"), py::arg("relu"),
             py::arg("workspace"), py::arg("dtype"), py::arg("out_dtype"), py::arg("where"));
  module.def("choose_gemm", &choose, py::arg("sizes"), py::arg("trans_a"), py::arg("trans_b"),
             py::arg("aligned"), py::arg("dtype"), "The launch, as text.");
  module.def("gemm_workspace_bytes", &workspace_bytes, py::arg("sizes"), py::arg("dtype"));
}

}  // namespace alexnet
