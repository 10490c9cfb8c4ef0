// The update: gradient descent with momentum and weight decay, float32 with an optional bfloat16 copy.
#pragma once

#include <cstdint>
#include <string>

#include "simt/simt.h"

namespace alexnet {

// `blocks` blocks of `threads` threads, each updating `width` weights at a time.
struct SgdConfig {
  int width;
  int threads;
  int blocks;
};

// `aligned`: the float pointers are multiples of 16 bytes, and w_bf16, if there is one, of 8. count >= 1.
SgdConfig choose_sgd(std::int64_t count, bool aligned);
std::string to_string(const SgdConfig& config);

struct SgdRates {
  float lr;
  float momentum;
  float weight_decay;
};

// An update that a gradient's kernel does along with its own work: what sgd_momentum below would do with the
// same arrays, to the bit. w null: none. w_bf16 and state may be null.
struct SgdUpdate {
  float* w = nullptr;
  float* v = nullptr;
  simt::bf16* w_bf16 = nullptr;
  const std::uint32_t* state = nullptr;
  SgdRates rates{};
};

// v = momentum * v - weight_decay * lr * w - lr * dw, then w += v and w_bf16 = w, for `count` elements each.
// w_bf16 may be null. state is null or (step, ok, bits of lr_scale): lr_scale multiplies lr, and ok = 0
// leaves everything as it is. w, v, dw and w_bf16 must not overlap.
void sgd_momentum(float* w, float* v, const float* dw, simt::bf16* w_bf16, const std::uint32_t* state,
                  std::int64_t count, SgdRates rates, simt::stream_t stream);

// The same, of the `count` weights of an update.
inline void sgd_momentum(const SgdUpdate& update, const float* dw, std::int64_t count,
                         simt::stream_t stream) {
  sgd_momentum(update.w, update.v, dw, update.w_bf16, update.state, count, update.rates, stream);
}

}  // namespace alexnet
