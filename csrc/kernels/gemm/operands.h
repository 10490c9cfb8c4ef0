// How gemm's matrices get from global memory into the tiles of tile.h. Both loaders below have fetch() and
// put().
#pragma once

#include <cstdint>

#include "kernels/gemm/tile.h"

namespace alexnet {

// One operand as gemm sees it: element (k, i), where i is a row of a or a column of b, lies at
// data[k * k_stride + i * i_stride]. One of the strides is 1.
template <class Element>
struct MatrixView {
  const Element* data;
  std::int64_t k_stride;
  std::int64_t i_stride;
};

// Four elements at a time. Every four neighbours (along i, or along k when kAlongK) must lie at a multiple of
// their size and be inside or outside the matrix together.
//
//   i is contiguous: a warp copies whole rows of the tile,     [k][i ........ i + 127]  ->  tile.at[k][i ...]
//   k is contiguous: two threads read the 8 k's of one i, and write them to 8 rows of the tile: a transpose.
//
template <class Element, int kWidth, int kThreads, bool kAlongK>
class QuadLoader {
 public:
  // The block's tile begins at column `first` of `end` in all, and at k = `k_first`.
  __device__ __forceinline__ QuadLoader(const MatrixView<Element>& view, int first, int end, int k_first,
                                        int k_end) {
    const int quad = threadIdx.x;
    k_ = kAlongK ? quad % kQuadsOfK * 4 : quad / kQuadsOfRow;
    i_ = kAlongK ? quad / kQuadsOfK : quad % kQuadsOfRow * 4;
    k_left_ = k_end - k_first - k_;
    i_left_ = end - first - i_;
    next_ = view.data + (k_first + k_) * view.k_stride + (first + i_) * view.i_stride;
    apart_ = kAlongK ? kRowsApart * view.i_stride : kRowsApart * view.k_stride;
    step_ = kDepth * view.k_stride;
  }

  __device__ __forceinline__ void fetch() {
    SIMT_UNROLL
    for (int slot = 0; slot < kSlots; ++slot) {
      const int k_ahead = kAlongK ? 0 : slot * kRowsApart;
      const int i_ahead = kAlongK ? slot * kRowsApart : 0;
      const bool valid = exists(slot) && k_ahead < k_left_ && i_ahead < i_left_;
      quads_[slot] = read_or_zero<4>(next_ + slot * apart_, valid);
    }
    next_ += step_;
    k_left_ -= kDepth;
  }

  __device__ __forceinline__ void put(Operand<kWidth>& tile) const {
    SIMT_UNROLL
    for (int slot = 0; slot < kSlots; ++slot) {
      if (!exists(slot)) continue;
      if (kAlongK) {
        SIMT_UNROLL
        for (int k = 0; k < 4; ++k) tile.at[k_ + k][i_ + slot * kRowsApart] = to_float(quads_[slot].at[k]);
      } else {
        *reinterpret_cast<Pack<float, 4>*>(&tile.at[k_ + slot * kRowsApart][i_]) = to_floats(quads_[slot]);
      }
    }
  }

 private:
  static constexpr int kQuads = kDepth * kWidth / 4;
  static constexpr int kSlots = (kQuads + kThreads - 1) / kThreads;
  static constexpr int kQuadsOfRow = kWidth / 4;
  static constexpr int kQuadsOfK = kDepth / 4;
  static constexpr int kRowsApart =
      kThreads / (kAlongK ? kQuadsOfK : kQuadsOfRow);  // between a thread's slots
  static_assert(kThreads % (kAlongK ? kQuadsOfK : kQuadsOfRow) == 0);

  __device__ __forceinline__ static bool exists(int slot) {
    return kQuads % kThreads == 0 || int(threadIdx.x) + slot * kThreads < kQuads;
  }

  int k_, i_;            // the thread's first quad in the tile
  int k_left_, i_left_;  // how far it is from the end of the matrix
  const Element* next_;  // the first quad of the next step
  std::int64_t apart_, step_;
  Pack<Element, 4> quads_[kSlots];
};

// One element at a time, from any address and with any strides: the general path.
template <class Element, int kWidth, int kThreads>
class SingleLoader {
 public:
  __device__ __forceinline__ SingleLoader(const MatrixView<Element>& view, int first, int end, int k_first,
                                          int k_end) {
    // Neighbouring threads read along the contiguous axis, whichever that is.
    const bool along_k = view.k_stride == 1;
    const int t = threadIdx.x;
    k_ = along_k ? t % kDepth : t / kWidth;
    i_ = along_k ? t / kDepth : t % kWidth;
    k_apart_ = along_k ? 0 : kThreads / kWidth;
    i_apart_ = along_k ? kThreads / kDepth : 0;
    k_left_ = k_end - k_first - k_;
    i_left_ = end - first - i_;
    next_ = view.data + (k_first + k_) * view.k_stride + (first + i_) * view.i_stride;
    apart_ = k_apart_ * view.k_stride + i_apart_ * view.i_stride;
    step_ = kDepth * view.k_stride;
  }

  __device__ __forceinline__ void fetch() {
    SIMT_UNROLL
    for (int slot = 0; slot < kSlots; ++slot) {
      const bool valid = slot * k_apart_ < k_left_ && slot * i_apart_ < i_left_;
      singles_[slot] = read_or_zero<1>(next_ + slot * apart_, valid);
    }
    next_ += step_;
    k_left_ -= kDepth;
  }

  __device__ __forceinline__ void put(Operand<kWidth>& tile) const {
    SIMT_UNROLL
    for (int slot = 0; slot < kSlots; ++slot) {
      tile.at[k_ + slot * k_apart_][i_ + slot * i_apart_] = to_float(singles_[slot].at[0]);
    }
  }

 private:
  static constexpr int kSlots = kDepth * kWidth / kThreads;
  static_assert(kDepth * kWidth % kThreads == 0 && kThreads % kWidth == 0);

  int k_, i_, k_apart_, i_apart_;
  int k_left_, i_left_;
  const Element* next_;
  std::int64_t apart_, step_;
  Pack<Element, 1> singles_[kSlots];
};

}  // namespace alexnet
