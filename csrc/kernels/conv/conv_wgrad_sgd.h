// Both gradients of a convolution's parameters in one call, and with their updates behind them: one pass where
// the tensor cores can, otherwise the plain operations in turn. The bits are those of the plain operations,
// but for db on the tensor cores, which is summed there along with dw, in another order than bias_grad's.
#pragma once

#include <cstddef>
#include <string>

#include "kernels/conv/conv.h"
#include "kernels/sgd/sgd.h"
#include "simt/simt.h"

namespace alexnet {

// dw [C/groups, R, S, K] and db [K]. workspace: as for conv_wgrad.
template <class Element>
void conv_wgrad_db(const Element* x, const Element* dy, float* dw, float* db, const ConvShape& shape,
                   float* workspace, simt::stream_t stream);
std::size_t conv_wgrad_db_workspace_bytes(const ConvShape& shape, std::size_t element_size);

// Updates the filters [C/groups, R, S, K] and, unless bias.w is null, the bias [K]: the bits of conv_wgrad_db
// followed by sgd_momentum. No two arrays overlap. workspace: as many bytes as below at a multiple of 4, or
// null when that is 0; `aligned`: x, dy and it lie at multiples of 16 bytes.
template <class Element>
void conv_wgrad_sgd(const Element* x, const Element* dy, const SgdUpdate& filters, const SgdUpdate& bias,
                    const ConvShape& shape, float* workspace, simt::stream_t stream);
std::size_t conv_wgrad_sgd_workspace_bytes(const ConvShape& shape, std::size_t element_size, bool aligned);

// Whether dw is never written, and the launch as text.
bool is_conv_wgrad_sgd_fused(const ConvShape& shape, std::size_t element_size, bool aligned);
std::string describe_conv_wgrad_sgd(const ConvShape& shape, std::size_t element_size, bool aligned);

}  // namespace alexnet
