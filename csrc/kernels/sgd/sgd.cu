// The update of the weights, in place:
//
//     v = momentum * v - weight_decay * lr * w - lr * dw          w += v
//
// Mapping: a grid-stride loop over packs of four weights, as in relu.cu.
//
// What limits it: memory. A weight is 20 bytes read and written (w and v both ways, dw one way), and 2 more
// for the bfloat16 copy that the next step's forward pass reads. The three loads of a pack are under way
// together: 2048 threads * 48 bytes = 96 KB a multiprocessor.
//
// What changes from step to step (the factor on the rate, and whether the loss was finite) is read from
// device memory, so that a captured graph can be replayed. All threads read the same 12 bytes: one cache
// line.

#include "kernels/sgd/sgd.h"

#include <algorithm>

#include "kernels/common/check.h"
#include "kernels/sgd/update.h"
#include "simt/simt.h"

namespace alexnet {
namespace {

constexpr int kThreads = 256;
constexpr int kMaxBlocks = 8 * 256;  // they fill the largest GPUs, see relu.cu

struct alignas(8) Bf16x4 {
  simt::bf16 x, y, z, w;
};

// Grid and block: one-dimensional, any size. kWidth is 1, or 4 where the float arrays are multiples of 16 and
// w_bf16 of 8. Every array has `count` elements; w_bf16 and state may be null.
template <int kWidth>
__global__ void sgd_momentum_kernel(float* w, float* v, const float* dw, simt::bf16* w_bf16,
                                    const std::uint32_t* state, std::int64_t count, SgdRates rates) {
  if (!is_update_on(state)) return;
  const SgdFactors factors = sgd_factors(rates, state);

  const std::int64_t first = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const std::int64_t step = std::int64_t(gridDim.x) * blockDim.x;
  const std::int64_t packs = kWidth == 4 ? count / 4 : 0;

  for (std::int64_t i = first; i < packs; i += step) {
    float4 w_pack = reinterpret_cast<const float4*>(w)[i];
    float4 v_pack = reinterpret_cast<const float4*>(v)[i];
    const float4 dw_pack = reinterpret_cast<const float4*>(dw)[i];
    sgd_update(w_pack.x, v_pack.x, dw_pack.x, factors);
    sgd_update(w_pack.y, v_pack.y, dw_pack.y, factors);
    sgd_update(w_pack.z, v_pack.z, dw_pack.z, factors);
    sgd_update(w_pack.w, v_pack.w, dw_pack.w, factors);
    reinterpret_cast<float4*>(v)[i] = v_pack;
    reinterpret_cast<float4*>(w)[i] = w_pack;
    if (w_bf16 != nullptr) {
      reinterpret_cast<Bf16x4*>(w_bf16)[i] = {simt::to_bf16(w_pack.x), simt::to_bf16(w_pack.y),
                                              simt::to_bf16(w_pack.z), simt::to_bf16(w_pack.w)};
    }
  }
  for (std::int64_t i = packs * kWidth + first; i < count; i += step) {
    float weight = w[i];
    float velocity = v[i];
    sgd_update(weight, velocity, dw[i], factors);
    v[i] = velocity;
    w[i] = weight;
    if (w_bf16 != nullptr) w_bf16[i] = simt::to_bf16(weight);
  }
}

}  // namespace

SgdConfig choose_sgd(std::int64_t count, bool aligned) {
  const int width = aligned && count >= 4 ? 4 : 1;
  const std::int64_t per_block = std::int64_t(width) * kThreads;
  const std::int64_t blocks = (count + per_block - 1) / per_block;
  return {width, kThreads, static_cast<int>(std::min<std::int64_t>(blocks, kMaxBlocks))};
}

std::string to_string(const SgdConfig& config) {
  return std::to_string(config.blocks) + " blocks of " + std::to_string(config.threads) + " threads, " +
         std::to_string(config.width) + (config.width == 1 ? " weight" : " weights") + " at a time";
}

void sgd_momentum(float* w, float* v, const float* dw, simt::bf16* w_bf16, const std::uint32_t* state,
                  std::int64_t count, SgdRates rates, simt::stream_t stream) {
  require(count >= 0, "sgd_momentum: count is negative: " + std::to_string(count));
  if (count == 0) return;
  require(w != nullptr && v != nullptr && dw != nullptr, "sgd_momentum: w, v or dw is a null pointer");
  require_apart(w, count, v, count, "sgd_momentum: w and v");
  require_apart(w, count, dw, count, "sgd_momentum: w and dw");
  require_apart(v, count, dw, count, "sgd_momentum: v and dw");

  const bool aligned = is_aligned(w, 16) && is_aligned(v, 16) && is_aligned(dw, 16) && is_aligned(w_bf16, 8);
  const SgdConfig config = choose_sgd(count, aligned);
  const auto kernel = config.width == 4 ? sgd_momentum_kernel<4> : sgd_momentum_kernel<1>;
  simt::launch(kernel, dim3(config.blocks), dim3(config.threads), 0, stream, w, v, dw, w_bf16, state, count,
               rates);
}

}  // namespace alexnet
