// An update that a gradient's function does along with its own work, from its arrays' addresses.
#pragma once

#include <tuple>

#include "bindings/bindings.h"
#include "kernels/sgd/sgd.h"

namespace alexnet {

constexpr std::int64_t kStateWords = 3;

using Weights = std::array<std::uintptr_t, 3>;                  // w, v, w_bf16; an address of 0 leaves out
using Rates = std::tuple<std::uintptr_t, float, float, float>;  // state (or 0), lr, momentum, weight_decay

// Of `count` weights.
inline SgdUpdate as_update(const Weights& weights, std::int64_t count, const Rates& rates) {
  const auto [state, lr, momentum, weight_decay] = rates;
  return {as_optional_pointer<float>(weights[0], count, "w"),
          as_optional_pointer<float>(weights[1], count, "v"),
          as_optional_pointer<simt::bf16>(weights[2], count, "w_bf16"),
          as_optional_pointer<const std::uint32_t>(state, kStateWords, "state"),
          {lr, momentum, weight_decay}};
}

}  // namespace alexnet
