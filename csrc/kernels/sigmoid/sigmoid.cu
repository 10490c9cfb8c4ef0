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

template <class T>
void sigmoid_forward(const T* x, T* y, std::int64_t count, simt::stream_t stream) {
  launch_unary("sigmoid_forward", x, y, count, Sigmoid{}, stream);
}

template <class T>
void sigmoid_backward(const T* dy, const T* y, T* dx, std::int64_t count, simt::stream_t stream) {
  launch_binary("sigmoid_backward", dy, y, dx, count, SigmoidGradient{}, stream);
}

template void sigmoid_forward(const float*, float*, std::int64_t, simt::stream_t);
template void sigmoid_forward(const simt::bf16*, simt::bf16*, std::int64_t, simt::stream_t);
template void sigmoid_backward(const float*, const float*, float*, std::int64_t, simt::stream_t);
template void sigmoid_backward(const simt::bf16*, const simt::bf16*, simt::bf16*, std::int64_t,
                               simt::stream_t);

}  // namespace alexnet
