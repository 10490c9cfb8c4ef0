// An array times a number: what dropout that is not inverted needs at test time.
//
// Mapping and limits are those of every pointwise kernel (common/pointwise.h): memory.

#include "kernels/scale/scale.h"

#include "kernels/common/pointwise.h"

namespace alexnet {
namespace {

struct Scale {
  float factor;
  __device__ __forceinline__ float operator()(float x) const { return factor * x; }
};

}  // namespace

template <class T>
void scale_forward(const T* x, T* y, std::int64_t count, float factor, simt::stream_t stream) {
  launch_unary("scale_forward", x, y, count, Scale{factor}, stream);
}

template void scale_forward(const float*, float*, std::int64_t, float, simt::stream_t);
template void scale_forward(const simt::bf16*, simt::bf16*, std::int64_t, float, simt::stream_t);

}  // namespace alexnet
