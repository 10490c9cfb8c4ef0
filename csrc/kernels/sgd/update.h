// One weight's update, for sgd.cu and for kernels that have the gradient in a register and update at once.
#pragma once

#include <cstdint>

#include "kernels/sgd/sgd.h"
#include "simt/simt.h"

namespace alexnet {

enum StateWord { kStep = 0, kOk = 1, kLrScale = 2 };  // of ops.step_state

// The rates as a kernel uses them.
struct SgdFactors {
  float momentum;
  float decay;  // weight_decay * lr
  float lr;
};

// False: nothing is to be updated in this step.
__device__ __forceinline__ bool is_update_on(const std::uint32_t* state) {
  return state == nullptr || state[kOk] != 0;
}

__device__ __forceinline__ SgdFactors sgd_factors(const SgdRates& rates, const std::uint32_t* state) {
  const float lr = state != nullptr ? rates.lr * __uint_as_float(state[kLrScale]) : rates.lr;
  return {rates.momentum, rates.weight_decay * lr, lr};
}

// fmaf, so that both compilers round alike: three roundings of v, one of w.
__device__ __forceinline__ void sgd_update(float& w, float& v, float dw, const SgdFactors& factors) {
  v = fmaf(-factors.lr, dw, fmaf(-factors.decay, w, factors.momentum * v));
  w += v;
}

// Weight i of `update`, whose factors these are.
__device__ __forceinline__ void sgd_update_at(const SgdUpdate& update, std::int64_t i, float dw,
                                              const SgdFactors& factors) {
  float weight = update.w[i];
  float velocity = update.v[i];
  sgd_update(weight, velocity, dw, factors);
  update.v[i] = velocity;
  update.w[i] = weight;
  if (update.w_bf16 != nullptr) update.w_bf16[i] = simt::to_bf16(weight);
}

}  // namespace alexnet
