// The arithmetic of wgmma.
#pragma once

namespace simt::emulator {

// d[64][n] += a[16][64] transposed times b[16][n]; n a multiple of 8.
void multiply_tile(float* d, const float* a, const float* b, int n);

}  // namespace simt::emulator
