// The gradient of a fully connected layer's weights with their update behind it: one pass where the tensor
// cores can, otherwise gemm and sgd_momentum in turn. The bits are the same.
#pragma once

#include <cstddef>
#include <string>

#include "kernels/gemm/hopper/gemm_hopper.h"
#include "kernels/sgd/sgd.h"
#include "simt/simt.h"

namespace alexnet {

// dw = x dy^T for x [inputs, images] and dy [outputs, images], and the update of w [inputs, outputs]. No two
// arrays overlap. workspace: as many bytes as below at a multiple of 4, or null when that is 0; `aligned`: all
// other arrays lie at multiples of 16 bytes.
template <class Element>
void gemm_sgd(const Element* x, const Element* dy, const GemmSgdShape& shape, const SgdUpdate& update,
              float* workspace, simt::stream_t stream);
std::size_t gemm_sgd_workspace_bytes(const GemmSgdShape& shape, std::size_t element_size, bool aligned);

// Whether dw is never written, and the launch as text.
bool is_gemm_sgd_fused(const GemmSgdShape& shape, std::size_t element_size, bool aligned);
std::string describe_gemm_sgd(const GemmSgdShape& shape, std::size_t element_size, bool aligned);

}  // namespace alexnet
