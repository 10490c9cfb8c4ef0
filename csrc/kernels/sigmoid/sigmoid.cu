// The logistic function: y = 1 / (1 + exp(-x)), element by element.
//
// Mapping and limits are those of every pointwise kernel (common/pointwise.h): memory.
//
// The exponential is taken of -|x| alone, so it never overflows: for x < 0, 1 / (1 + e^-x) = e^x / (1 + e^x).

#include "kernels/sigmoid/sigmoid.h"

#include "kernels/common/pointwise.h"

namespace alexnet {
namespace {

struct Sigmoid {
  __device__ __forceinline__ float operator()(float x) const {
    const float e = expf(-fabsf(x));
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
  }
};

struct SigmoidGradient {
  __device__ __forceinline__ float operator()(float dy, float y) const { return dy * y * (1.0f - y); }
};

}  // namespace

void sigmoid_forward(const float* x, float* y, std::int64_t count, simt::stream_t stream) {
  launch_unary("sigmoid_forward", x, y, count, Sigmoid{}, stream);
}

void sigmoid_backward(const float* dy, const float* y, float* dx, std::int64_t count, simt::stream_t stream) {
  launch_binary("sigmoid_backward", dy, y, dx, count, SigmoidGradient{}, stream);
}

}  // namespace alexnet
