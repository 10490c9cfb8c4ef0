// Which products of bfloat16 go to the tensor cores of compute capability 9.0 (hopper/). All others, and
// those of float32, stay with the general kernel in gemm.cu.
#pragma once

#include <cstddef>
#include <string>

#include "kernels/gemm/gemm.h"
#include "kernels/gemm/hopper/gemm_hopper.h"
#include "simt/simt.h"

namespace alexnet {

// Launches the product and returns true; or returns false, for a call that the tensor cores do not take, and
// has done nothing. Result is float or simt::bf16.
template <class Result>
bool gemm_on_tensor_cores(const simt::bf16* a, const simt::bf16* b, Result* c, const GemmShape& shape,
                          const GemmEpilogue& epilogue, float* workspace, simt::stream_t stream);

// The same for the product x dy^T with its update behind it. Only where the tensor cores' product would leave
// K whole, so that the bits are those of the product followed by sgd_momentum.
bool gemm_sgd_on_tensor_cores(const simt::bf16* x, const simt::bf16* dy, const GemmSgdShape& shape,
                              const SgdUpdate& update, simt::stream_t stream);

// Whether arrays at multiples of 16 bytes are taken for that.
bool gemm_sgd_tensor_cores_take(const GemmSgdShape& shape);

// What a product may want of a workspace there, whatever the addresses; 0 for what they do not take.
std::size_t gemm_tensor_core_workspace_bytes(const GemmShape& shape);

// The launch that a call gets, as text. `aligned`: all arrays are at multiples of 16 bytes.
std::string describe_gemm(const GemmShape& shape, std::size_t element_size, bool aligned);

}  // namespace alexnet
