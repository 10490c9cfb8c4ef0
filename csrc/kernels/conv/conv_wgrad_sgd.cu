// Which launches conv_wgrad_sgd.h's functions are made of: host code alone.
//
// The workspace of gradients that are written before the update:
//
//     dw [C/groups, R, S, K] | db [K] | what conv_wgrad and bias_grad, one after the other, split their sums in
//
// each from a multiple of 16 bytes on, if the workspace begins at one. Where the filters are updated as they
// are summed, there is no dw.

#include "kernels/conv/conv_wgrad_sgd.h"

#include <algorithm>
#include <type_traits>

#include "kernels/common/check.h"
#include "kernels/conv/tensor_cores.h"

namespace alexnet {
namespace {

std::int64_t filter_weights(const ConvShape& shape) {
  return std::int64_t(shape.C / shape.groups) * shape.R * shape.S * shape.K;
}

std::size_t dw_room(const ConvShape& shape) {
  return room_for(sizeof(float) * static_cast<std::size_t>(filter_weights(shape)));
}

std::size_t db_room(const ConvShape& shape) {
  return room_for(sizeof(float) * static_cast<std::size_t>(shape.K));
}

std::int64_t outputs(const ConvShape& shape) { return std::int64_t(shape.P) * shape.Q * shape.N; }

float* behind(float* workspace, std::size_t bytes) { return workspace + bytes / sizeof(float); }

template <class Element>
void update_bias(const Element* dy, const SgdUpdate& bias, const ConvShape& shape, float* workspace,
                 simt::stream_t stream) {
  float* db = workspace;
  bias_grad(dy, db, shape.K, outputs(shape), behind(workspace, db_room(shape)), stream);
  sgd_momentum(bias, db, shape.K, stream);
}

// Returns false, having done nothing, where dw has to be written.
bool update_in_one_pass(const simt::bf16* x, const simt::bf16* dy, const SgdUpdate& filters,
                        const SgdUpdate& bias, const ConvShape& shape, float* workspace,
                        simt::stream_t stream) {
  ConvWgradResult result;
  result.filters = filters;
  result.bias = bias;
  if (conv_wgrad_on_tensor_cores(x, dy, result, shape, workspace, stream)) return true;
  if (bias.w == nullptr) return false;
  result.bias = {};
  if (!conv_wgrad_on_tensor_cores(x, dy, result, shape, workspace, stream)) return false;
  update_bias(dy, bias, shape, workspace, stream);
  return true;
}

template <class Element>
void update_in_turn(const Element* x, const Element* dy, const SgdUpdate& filters, const SgdUpdate& bias,
                    const ConvShape& shape, float* workspace, simt::stream_t stream) {
  float* dw = workspace;
  float* db = behind(dw, dw_room(shape));
  float* rest = behind(db, db_room(shape));
  if (bias.w == nullptr) {
    conv_wgrad(x, dy, dw, shape, rest, stream);
  } else {
    conv_wgrad_db(x, dy, dw, db, shape, rest, stream);
    sgd_momentum(bias, db, shape.K, stream);
  }
  sgd_momentum(filters, dw, filter_weights(shape), stream);
}

}  // namespace

std::size_t conv_wgrad_db_workspace_bytes(const ConvShape& shape, std::size_t element_size) {
  return std::max(conv_wgrad_workspace_bytes(shape, element_size),
                  bias_grad_workspace_bytes(shape.K, outputs(shape), element_size));
}

template <class Element>
void conv_wgrad_db(const Element* x, const Element* dy, float* dw, float* db, const ConvShape& shape,
                   float* workspace, simt::stream_t stream) {
  require_valid(shape);
  if constexpr (std::is_same_v<Element, simt::bf16>) {
    ConvWgradResult result;
    result.dw = dw;
    result.db = db;
    if (conv_wgrad_on_tensor_cores(x, dy, result, shape, workspace, stream)) return;
  }
  conv_wgrad(x, dy, dw, shape, workspace, stream);
  bias_grad(dy, db, shape.K, outputs(shape), workspace, stream);
}

std::size_t conv_wgrad_sgd_workspace_bytes(const ConvShape& shape, std::size_t element_size, bool aligned) {
  const bool may_be_fused = element_size == sizeof(simt::bf16) && aligned;
  const std::size_t fused = may_be_fused ? conv_wgrad_tensor_core_workspace_bytes(shape) : 0;
  if (fused > 0) {
    const std::size_t bias = bias_grad_workspace_bytes(shape.K, outputs(shape), element_size);
    return std::max(fused, db_room(shape) + bias);
  }
  return dw_room(shape) + db_room(shape) + conv_wgrad_db_workspace_bytes(shape, element_size);
}

template <class Element>
void conv_wgrad_sgd(const Element* x, const Element* dy, const SgdUpdate& filters, const SgdUpdate& bias,
                    const ConvShape& shape, float* workspace, simt::stream_t stream) {
  require_valid(shape);
  require(filters.w != nullptr && filters.v != nullptr && workspace != nullptr,
          "conv_wgrad_sgd: w, v or the workspace is a null pointer");
  if constexpr (std::is_same_v<Element, simt::bf16>) {
    if (update_in_one_pass(x, dy, filters, bias, shape, workspace, stream)) return;
  }
  update_in_turn(x, dy, filters, bias, shape, workspace, stream);
}

bool is_conv_wgrad_sgd_fused(const ConvShape& shape, std::size_t element_size, bool aligned) {
  return element_size == sizeof(simt::bf16) && aligned && conv_wgrad_tensor_cores_take(shape);
}

std::string describe_conv_wgrad_sgd(const ConvShape& shape, std::size_t element_size, bool aligned) {
  const std::string wgrad = describe_conv_wgrad(shape, element_size, aligned);
  if (is_conv_wgrad_sgd_fused(shape, element_size, aligned)) return "one pass: " + wgrad;
  return "in turn: " + wgrad + "; " + to_string(choose_sgd(filter_weights(shape), aligned));
}

using simt::bf16;
template void conv_wgrad_db(const float*, const float*, float*, float*, const ConvShape&, float*,
                            simt::stream_t);
template void conv_wgrad_db(const bf16*, const bf16*, float*, float*, const ConvShape&, float*,
                            simt::stream_t);
template void conv_wgrad_sgd(const float*, const float*, const SgdUpdate&, const SgdUpdate&, const ConvShape&,
                             float*, simt::stream_t);
template void conv_wgrad_sgd(const bf16*, const bf16*, const SgdUpdate&, const SgdUpdate&, const ConvShape&,
                             float*, simt::stream_t);

}  // namespace alexnet
