// Which convolutions go to the tensor cores: host code alone. A call goes there if all of this holds:
//
//     it is in bfloat16              (conv_fprop.cu and its neighbours ask here for no other)
//     the GPU is a Hopper            (its kernels are compiled for 9.0 alone)
//     sizes and addresses fit        (*_fits: the copy engine moves 16 bytes at a time)
//     wgrad: there is a workspace    (its sums are cut into parts)
//
// Few input channels have kernels of their own (first_layer_problem.h). Everything else takes the general
// kernels, so no shape is refused. conv_plan.cu and wgrad_plan.cu then choose among the tiles.

#include "kernels/conv/tensor_cores.h"

#include "kernels/common/check.h"
#include "kernels/conv/hopper/conv_hopper.h"
#include "kernels/conv/hopper/first_layer_hopper.h"
#include "kernels/conv/hopper/wgrad_hopper.h"

namespace alexnet {
namespace {

constexpr int kHopper = 90;
constexpr std::size_t kCopyBytes = 16;  // the copy engine's unit

using simt::bf16;

// Asked only for bfloat16, so that float32 needs no GPU to choose.
bool might_take(std::size_t element_size, bool aligned) {
  return element_size == sizeof(bf16) && aligned && simt::gpu().capability == kHopper;
}

std::string on_tensor_cores(const std::string& config) { return "tensor cores: " + config; }

}  // namespace

bool conv_fprop_on_tensor_cores(const bf16* x, const bf16* w, const float* b, bf16* y, const ConvShape& shape,
                                bool relu, simt::stream_t stream) {
  const simt::Gpu gpu = simt::gpu();
  if (gpu.capability != kHopper) return false;
  if (is_first_layer(shape) && conv_first_layer_hopper_fits(shape, x, y)) {
    conv_first_layer_hopper(x, w, b, y, shape, relu, choose_conv_first_layer_hopper(shape), stream);
    return true;
  }
  if (!conv_fprop_hopper_fits(shape, x, w, y)) return false;
  const ConvHopperConfig config = choose_conv_fprop_hopper(shape, gpu.multiprocessors);
  conv_fprop_hopper(x, w, b, y, shape, relu, config, gpu.multiprocessors, stream);
  return true;
}

bool conv_dgrad_on_tensor_cores(const bf16* dy, const bf16* w, const bf16* relu_y, bf16* dx,
                                const ConvShape& shape, simt::stream_t stream) {
  const simt::Gpu gpu = simt::gpu();
  if (gpu.capability != kHopper || !conv_dgrad_hopper_fits(shape, dy, w, relu_y, dx)) return false;
  const ConvHopperConfig config = choose_conv_dgrad_hopper(shape, gpu.multiprocessors);
  conv_dgrad_hopper(dy, w, relu_y, dx, shape, config, gpu.multiprocessors, stream);
  return true;
}

bool conv_wgrad_on_tensor_cores(const bf16* x, const bf16* dy, const ConvWgradResult& result,
                                const ConvShape& shape, float* workspace, simt::stream_t stream) {
  const simt::Gpu gpu = simt::gpu();
  const bool aligned = is_aligned(x, kCopyBytes) && is_aligned(dy, kCopyBytes);
  const bool room = workspace != nullptr && is_aligned(workspace, kCopyBytes);
  if (gpu.capability != kHopper || !room || !conv_wgrad_hopper_fits(shape, aligned)) return false;
  const bool with_db = result.db != nullptr || result.bias.w != nullptr;
  if (with_db && !conv_wgrad_hopper_gives_db(shape, gpu.multiprocessors)) return false;
  conv_wgrad_hopper(x, dy, result, shape, workspace, gpu.multiprocessors, stream);
  return true;
}

bool conv_wgrad_tensor_cores_take(const ConvShape& shape) {
  return simt::gpu().capability == kHopper && conv_wgrad_hopper_fits(shape, true);
}

std::size_t conv_wgrad_tensor_core_workspace_bytes(const ConvShape& shape) {
  if (!conv_wgrad_tensor_cores_take(shape)) return 0;
  return conv_wgrad_hopper_workspace_bytes(shape, simt::gpu().multiprocessors);
}

std::string describe_conv_fprop(const ConvShape& shape, std::size_t element_size, bool aligned) {
  if (might_take(element_size, aligned)) {
    if (is_first_layer(shape) && conv_first_layer_hopper_fits(shape, nullptr, nullptr)) {
      return on_tensor_cores(to_string(choose_conv_first_layer_hopper(shape)));
    }
    if (conv_fprop_hopper_fits(shape, nullptr, nullptr, nullptr)) {
      return on_tensor_cores(to_string(choose_conv_fprop_hopper(shape, simt::gpu().multiprocessors)));
    }
  }
  return to_string(choose_conv_fprop(shape, element_size, aligned));
}

std::string describe_conv_dgrad(const ConvShape& shape, std::size_t element_size, bool aligned) {
  if (might_take(element_size, aligned) &&
      conv_dgrad_hopper_fits(shape, nullptr, nullptr, nullptr, nullptr)) {
    return on_tensor_cores(to_string(choose_conv_dgrad_hopper(shape, simt::gpu().multiprocessors)));
  }
  return to_string(choose_conv_dgrad(shape, element_size, aligned));
}

std::string describe_conv_wgrad(const ConvShape& shape, std::size_t element_size, bool aligned) {
  if (might_take(element_size, aligned) && conv_wgrad_hopper_fits(shape, true)) {
    return on_tensor_cores(to_string(choose_conv_wgrad_hopper(shape, simt::gpu().multiprocessors)));
  }
  return to_string(choose_conv_wgrad(shape, element_size, aligned));
}

}  // namespace alexnet
