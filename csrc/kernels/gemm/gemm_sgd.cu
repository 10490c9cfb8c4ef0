// Which launches gemm_sgd is made of: host code alone. In turn, the workspace begins with dw [inputs, outputs],
// and from the next multiple of 16 bytes on it is gemm's.

#include "kernels/gemm/gemm_sgd.h"

#include <type_traits>

#include "kernels/common/check.h"
#include "kernels/gemm/tensor_cores.h"

namespace alexnet {
namespace {

GemmShape product_of(const GemmSgdShape& shape) {
  return {shape.inputs, shape.outputs, shape.images, false, true};
}

std::int64_t weights(const GemmSgdShape& shape) { return std::int64_t(shape.inputs) * shape.outputs; }

std::size_t dw_room(const GemmSgdShape& shape) {
  return room_for(sizeof(float) * static_cast<std::size_t>(weights(shape)));
}

}  // namespace

std::size_t gemm_sgd_workspace_bytes(const GemmSgdShape& shape, std::size_t element_size, bool aligned) {
  if (is_gemm_sgd_fused(shape, element_size, aligned)) return 0;
  return dw_room(shape) + gemm_workspace_bytes(product_of(shape), element_size);
}

template <class Element>
void gemm_sgd(const Element* x, const Element* dy, const GemmSgdShape& shape, const SgdUpdate& update,
              float* workspace, simt::stream_t stream) {
  require(shape.inputs >= 1 && shape.outputs >= 1 && shape.images >= 1,
          "gemm_sgd: inputs, outputs and images must be at least 1");
  if constexpr (std::is_same_v<Element, simt::bf16>) {
    if (gemm_sgd_on_tensor_cores(x, dy, shape, update, stream)) return;
  }
  require(workspace != nullptr, "gemm_sgd: these arrays need a workspace");
  float* rest = workspace + dw_room(shape) / sizeof(float);
  gemm(x, dy, workspace, product_of(shape), GemmEpilogue{1.0f, 0.0f, nullptr, false}, rest, stream);
  sgd_momentum(update, workspace, weights(shape), stream);
}

bool is_gemm_sgd_fused(const GemmSgdShape& shape, std::size_t element_size, bool aligned) {
  return element_size == sizeof(simt::bf16) && aligned && gemm_sgd_tensor_cores_take(shape);
}

std::string describe_gemm_sgd(const GemmSgdShape& shape, std::size_t element_size, bool aligned) {
  if (is_gemm_sgd_fused(shape, element_size, aligned)) {
    return "one pass: tensor cores: " + to_string(choose_gemm_sgd_hopper(shape));
  }
  return "in turn: " + describe_gemm(product_of(shape), element_size, aligned) + "; " +
         to_string(choose_sgd(weights(shape), aligned));
}

using simt::bf16;
template void gemm_sgd(const float*, const float*, const GemmSgdShape&, const SgdUpdate&, float*,
                       simt::stream_t);
template void gemm_sgd(const bf16*, const bf16*, const GemmSgdShape&, const SgdUpdate&, float*,
                       simt::stream_t);

}  // namespace alexnet
