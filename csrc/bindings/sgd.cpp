#include "kernels/sgd/sgd.h"

#include "bindings/bindings.h"
#include "bindings/sgd_update.h"

namespace py = pybind11;

namespace alexnet {
namespace sgd_calls {

void run(std::uintptr_t w, std::uintptr_t v, std::uintptr_t dw, std::uintptr_t w_bf16, std::uintptr_t state,
         std::int64_t count, float lr, float momentum, float weight_decay, Where where) {
  auto* w_pointer = as_pointer<float>(w, count, "w");
  auto* v_pointer = as_pointer<float>(v, count, "v");
  const auto* dw_pointer = as_pointer<const float>(dw, count, "dw");
  auto* w_bf16_pointer = as_optional_pointer<simt::bf16>(w_bf16, count, "w_bf16");
  const auto* state_pointer = as_optional_pointer<const std::uint32_t>(state, kStateWords, "state");
  const Launch launch(where);
  sgd_momentum(w_pointer, v_pointer, dw_pointer, w_bf16_pointer, state_pointer, count,
               {lr, momentum, weight_decay}, launch.stream());
}

std::string choose(std::int64_t count, bool aligned) {
  require(count >= 1, "count must be at least 1, got " + std::to_string(count));
  return to_string(choose_sgd(count, aligned));
}

}  // namespace sgd_calls

void bind_sgd(py::module_& module) {
  using namespace sgd_calls;
  module.def("sgd_momentum", &run, py::arg("w"), py::arg("v"), py::arg("dw"), py::arg("w_bf16"),
             py::arg("state"), py::arg("count"), py::arg("lr"), py::arg("momentum"), py::arg("weight_decay"),
             py::arg("where"));
  module.def("choose_sgd", &choose, py::arg("count"), py::arg("aligned"), "The launch, as text.");
}

}  // namespace alexnet
