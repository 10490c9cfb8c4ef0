// How a kernel writes into the status of its device.
#pragma once

#include <cstdint>

#include "kernels/common/status.h"
#include "simt/simt.h"

namespace alexnet {

// Notes (first, second) in a word of `status`, which may be null.
__device__ __forceinline__ void note(StatusWord* status, StatusPlace place, std::uint32_t first,
                                     std::uint32_t second) {
  if (status != nullptr) atomicMin(&status[place], StatusWord{first} << 32 | second);
}

}  // namespace alexnet
