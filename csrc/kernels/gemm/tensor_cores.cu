// Which matrix products go to the tensor cores: host code alone. Those in bfloat16, on a Hopper GPU, whose
// rows and addresses the copy engine can read (gemm_hopper_fits), and that have a workspace if the choice of
// tiles (hopper/choose.cu) wants one. gemm.cu does the others, so no shape is refused.

#include "kernels/gemm/tensor_cores.h"

#include "kernels/common/check.h"

namespace alexnet {
namespace {

constexpr int kHopper = 90;

using simt::bf16;

constexpr const bf16* kAnywhere = nullptr;  // an address that is a multiple of everything

bool takes(const GemmShape& shape) {
  return simt::gpu().capability == kHopper && gemm_hopper_fits(shape, kAnywhere, kAnywhere, kAnywhere);
}

}  // namespace

template <class Result>
bool gemm_on_tensor_cores(const bf16* a, const bf16* b, Result* c, const GemmShape& shape,
                          const GemmEpilogue& epilogue, float* workspace, simt::stream_t stream) {
  if (simt::gpu().capability != kHopper || !gemm_hopper_fits(shape, a, b, c)) return false;
  const GemmHopperConfig config = choose_gemm_hopper(shape);
  if (config.splits > 1 && !(workspace != nullptr && is_aligned(workspace, 8))) return false;
  gemm_hopper(a, b, c, shape, epilogue, config, workspace, stream);
  return true;
}

bool gemm_sgd_tensor_cores_take(const GemmSgdShape& shape) {
  const GemmShape product{shape.inputs, shape.outputs, shape.images, false, true};
  return simt::gpu().capability == kHopper && gemm_sgd_hopper_fits(shape, kAnywhere, kAnywhere, {}) &&
         choose_gemm_hopper(product).splits == 1;
}

bool gemm_sgd_on_tensor_cores(const bf16* x, const bf16* dy, const GemmSgdShape& shape,
                              const SgdUpdate& update, simt::stream_t stream) {
  if (!gemm_sgd_tensor_cores_take(shape) || !gemm_sgd_hopper_fits(shape, x, dy, update)) return false;
  gemm_sgd_hopper(x, dy, shape, update, choose_gemm_sgd_hopper(shape), stream);
  return true;
}

std::size_t gemm_tensor_core_workspace_bytes(const GemmShape& shape) {
  if (simt::gpu().capability != kHopper) return 0;
  // The caller has said sizes alone, and a float32 result is taken in shapes where one in bfloat16 is not.
  const float* anywhere = nullptr;
  for (const bool trans_a : {false, true}) {
    for (const bool trans_b : {false, true}) {
      const GemmShape asked{shape.M, shape.N, shape.K, trans_a, trans_b};
      if (gemm_hopper_fits(asked, kAnywhere, kAnywhere, anywhere)) {
        return gemm_hopper_workspace_bytes(asked, choose_gemm_hopper(asked));
      }
    }
  }
  return 0;
}

std::string describe_gemm(const GemmShape& shape, std::size_t element_size, bool aligned) {
  if (element_size == sizeof(bf16) && aligned && takes(shape)) {
    return "tensor cores: " + to_string(choose_gemm_hopper(shape));
  }
  return to_string(choose_gemm(shape, element_size, aligned, aligned));
}

template bool gemm_on_tensor_cores(const bf16*, const bf16*, bf16*, const GemmShape&, const GemmEpilogue&,
                                   float*, simt::stream_t);
template bool gemm_on_tensor_cores(const bf16*, const bf16*, float*, const GemmShape&, const GemmEpilogue&,
                                   float*, simt::stream_t);

}  // namespace alexnet
