// Which convolutions of bfloat16 go to the tensor cores of compute capability 9.0 (hopper/). All others, and
// those of float32, stay with the general kernels of this folder.
#pragma once

#include <cstddef>
#include <string>

#include "kernels/conv/conv.h"
#include "kernels/conv/hopper/wgrad_hopper.h"
#include "simt/simt.h"

namespace alexnet {

// Each launches what the function of conv.h with this name would and returns true; or returns false, for a
// call that the tensor cores do not take, and has done nothing. `shape` must be valid.
bool conv_fprop_on_tensor_cores(const simt::bf16* x, const simt::bf16* w, const float* b, simt::bf16* y,
                                const ConvShape& shape, bool relu, simt::stream_t stream);
bool conv_dgrad_on_tensor_cores(const simt::bf16* dy, const simt::bf16* w, const simt::bf16* relu_y,
                                simt::bf16* dx, const ConvShape& shape, simt::stream_t stream);

// The gradient of the filters and whatever else `result` asks for. False too where it asks for the gradient
// or the update of the bias, and no tile sees all of dy.
bool conv_wgrad_on_tensor_cores(const simt::bf16* x, const simt::bf16* dy, const ConvWgradResult& result,
                                const ConvShape& shape, float* workspace, simt::stream_t stream);

// Whether arrays of bfloat16 at multiples of 16 bytes are taken for that, leaving the bias aside.
bool conv_wgrad_tensor_cores_take(const ConvShape& shape);

// What conv_wgrad may want of a workspace there, whatever the addresses of x and dy; 0 for shapes that the
// tensor cores do not take.
std::size_t conv_wgrad_tensor_core_workspace_bytes(const ConvShape& shape);

// The launch that a call gets, as text. element_size: of x, w and y; `aligned`: all arrays are at multiples
// of 16 bytes.
std::string describe_conv_fprop(const ConvShape& shape, std::size_t element_size, bool aligned);
std::string describe_conv_dgrad(const ConvShape& shape, std::size_t element_size, bool aligned);
std::string describe_conv_wgrad(const ConvShape& shape, std::size_t element_size, bool aligned);

}  // namespace alexnet
