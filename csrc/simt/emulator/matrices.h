// ldmatrix, stmatrix and mma: what the 32 lanes of a warp do together with 8x8 matrices of bfloat16.
#pragma once

#include <array>

#include "simt/emulator/hopper_runtime.h"

namespace simt::emulator {

class SharedMemory;

// `lanes`: for each lane the address of its MatrixRow or MmaOperands.
void run_matrix_operation(WarpOperation operation, const std::array<std::uint64_t, 32>& lanes,
                          const SharedMemory& shared, Site site);

}  // namespace simt::emulator
