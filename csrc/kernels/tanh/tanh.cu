// Hyperbolic tangent: y = tanh(x), element by element.
//
// Mapping and limits are those of every pointwise kernel (common/pointwise.h): memory. tanhf takes some 20
// instructions, which a multiprocessor does in less time than its 8 bytes take to come and go.

#include "kernels/tanh/tanh.h"

#include "kernels/common/pointwise.h"

namespace alexnet {
namespace {

struct Tanh {
  __device__ __forceinline__ float operator()(float x) const { return tanhf(x); }
};

struct TanhGradient {
  __device__ __forceinline__ float operator()(float dy, float y) const { return dy * fmaf(-y, y, 1.0f); }
};

}  // namespace

template <class T>
void tanh_forward(const T* x, T* y, std::int64_t count, simt::stream_t stream) {
  launch_unary("tanh_forward", x, y, count, Tanh{}, stream);
}

template <class T>
void tanh_backward(const T* dy, const T* y, T* dx, std::int64_t count, simt::stream_t stream) {
  launch_binary("tanh_backward", dy, y, dx, count, TanhGradient{}, stream);
}

template void tanh_forward(const float*, float*, std::int64_t, simt::stream_t);
template void tanh_forward(const simt::bf16*, simt::bf16*, std::int64_t, simt::stream_t);
template void tanh_backward(const float*, const float*, float*, std::int64_t, simt::stream_t);
template void tanh_backward(const simt::bf16*, const simt::bf16*, simt::bf16*, std::int64_t, simt::stream_t);

}  // namespace alexnet
