// Several neighbouring elements that move as one: four floats are one 16-byte load. Loops over `at` are
// unrolled, so a pack lives in registers.
#pragma once

#include "simt/simt.h"

namespace alexnet {

template <class T, int kWidth>
struct alignas(sizeof(T) * kWidth) Pack {
  T at[kWidth];
};

}  // namespace alexnet
