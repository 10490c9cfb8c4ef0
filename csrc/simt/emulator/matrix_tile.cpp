// The one loop of the emulator that must be fast. A product of two bfloat16 is exact in float32, so fusing it
// with the addition, as some of the clones do, gives the same bits.

#include "simt/emulator/matrix_tile.h"

namespace simt::emulator {
namespace {

constexpr int kRows = 4, kColumns = 32;  // of the piece that is kept in registers

template <bool kWhole>
inline __attribute__((always_inline)) void multiply_piece(float* __restrict d, const float* __restrict a,
                                                          const float* __restrict b, int n, int rest) {
  const int width = kWhole ? kColumns : rest;
  float sum[kRows][kColumns];
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < width; ++j) sum[i][j] = d[i * n + j];
  }
  for (int k = 0; k < 16; ++k) {
    for (int i = 0; i < kRows; ++i) {
      for (int j = 0; j < width; ++j) sum[i][j] += a[k * 64 + i] * b[k * n + j];
    }
  }
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < width; ++j) d[i * n + j] = sum[i][j];
  }
}

}  // namespace

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
__attribute__((optimize("O3"), no_sanitize("address"),
               target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif
void multiply_tile(float* d, const float* a, const float* b, int n) {
  for (int row = 0; row < 64; row += kRows) {
    for (int column = 0; column < n; column += kColumns) {
      float* piece = d + row * n + column;
      if (n - column >= kColumns) {
        multiply_piece<true>(piece, a + row, b + column, n, kColumns);
      } else {
        multiply_piece<false>(piece, a + row, b + column, n, n - column);
      }
    }
  }
}

}  // namespace simt::emulator
