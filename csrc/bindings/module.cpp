#include "bindings/bindings.h"

// ALEXNET_MODULE is _cuda or _emulated: the build compiles this folder once for each.
PYBIND11_MODULE(ALEXNET_MODULE, module) {
  module.doc() =
      "Compiled kernels of alexnet_cuda. Use alexnet_cuda.ops: it checks arrays and picks a module.";
  alexnet::bind_augment(module);
  alexnet::bind_build_info(module);
  alexnet::bind_conv(module);
  alexnet::bind_conv_wgrad_sgd(module);
  alexnet::bind_dropout(module);
  alexnet::bind_emulated_device(module);
  alexnet::bind_gemm(module);
  alexnet::bind_hopper_conv(module);
  alexnet::bind_hopper_first_layer(module);
  alexnet::bind_hopper_gemm(module);
  alexnet::bind_hopper_wgrad(module);
  alexnet::bind_lrn(module);
  alexnet::bind_pointwise(module);
  alexnet::bind_pool(module);
  alexnet::bind_sgd(module);
  alexnet::bind_softmax(module);
}
