// The sum of two arrays, element by element: what joins the partial gradients of two towers.
//
// Mapping and limits are those of every pointwise kernel (common/pointwise.h): memory.

#include "kernels/add/add.h"

#include "kernels/common/pointwise.h"

namespace alexnet {
namespace {

struct Sum {
  __device__ __forceinline__ float operator()(float a, float b) const { return a + b; }
};

}  // namespace

template <class T>
void add_forward(const T* a, const T* b, T* y, std::int64_t count, simt::stream_t stream) {
  launch_binary("add_forward", a, b, y, count, Sum{}, stream);
}

template void add_forward(const float*, const float*, float*, std::int64_t, simt::stream_t);
template void add_forward(const simt::bf16*, const simt::bf16*, simt::bf16*, std::int64_t, simt::stream_t);

}  // namespace alexnet
