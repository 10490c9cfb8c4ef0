// What the kernels of this folder walk: the channels of one pixel of one image, or of a pack of
// neighbouring ones.
#pragma once

#include <cstdint>

#include "kernels/common/pack.h"
#include "kernels/lrn/lrn.h"
#include "simt/simt.h"

namespace alexnet {
namespace {

constexpr int kThreads = 256;

// The channels [first, last) that a thread writes, and [group_first, group_last) that its windows may reach.
struct Segment {
  int first, last;
  int group_first, group_last;
};

__device__ __forceinline__ Segment segment_of(int index, int segment, const LrnShape& shape) {
  const int group = shape.C / shape.groups;
  const int per_group = (group + segment - 1) / segment;
  const int begin = index / per_group * group;
  const int first = begin + index % per_group * segment;
  return {first, min(first + segment, begin + group), begin, begin + group};
}

// A column of packs: its element at a channel, or zeros where the group has no such channel.
template <class T, int kWidth>
struct Column {
  const Pack<T, kWidth>* at_channel_0;
  std::int64_t packs;  // from one channel to the next
  int group_first, group_last;

  __device__ __forceinline__ Pack<T, kWidth> operator[](int c) const {
    Pack<T, kWidth> value = {};
    if (c >= group_first && c < group_last) value = at_channel_0[c * packs];
    return value;
  }
};

}  // namespace
}  // namespace alexnet
