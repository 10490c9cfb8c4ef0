// Part of hopper_primitives.cu: matrices of a warp and of a warpgroup.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "primitives_of_copies.h"

namespace {

using simt::Major;

// ---- wgmma

__host__ __device__ inline float a_value(int m, int k) { return static_cast<float>((m * 7 + k * 3) % 5 - 2); }
__host__ __device__ inline float b_value(int n, int k) {
  return static_cast<float>((n * 5 + k * 11) % 7 - 3);
}

// Operands of `count` rows or columns and kPanel of K; pieces of 8 rows are kPattern bytes.
template <Swizzle kSwizzle>
struct Layout {
  static constexpr int kRow = 16 << static_cast<int>(kSwizzle);  // bytes
  static constexpr int kPattern = 8 * kRow;
  static constexpr int kPanel = kSwizzle == Swizzle::none ? 16 : kRow / 2;  // of K, when K is contiguous

  // Byte of element (i, k). Without a swizzle: 8 x 8 elements follow each other, along i first.
  __host__ __device__ static int place(Major major, int count, int i, int k) {
    if constexpr (kSwizzle == Swizzle::none) {
      const int piece = i / 8 + k / 8 * (count / 8);
      return piece * 128 + (major == Major::k ? i % 8 * 16 + k % 8 * 2 : k % 8 * 16 + i % 8 * 2);
    } else if (major == Major::k) {
      return swizzled_place(i * kRow + k * 2, kSwizzle);
    } else {
      const int block = i / (kRow / 2);
      return block * kPanel * kRow + swizzled_place(k * kRow + i % (kRow / 2) * 2, kSwizzle);
    }
  }

  __device__ static std::uint64_t descriptor(const unsigned char* tile, Major major, int count, int k) {
    if constexpr (kSwizzle == Swizzle::none) {
      // Pieces along K are count / 8 pieces apart, those along M or N follow each other.
      return simt::wgmma_descriptor(tile + k / 8 * (count / 8) * 128, count / 8 * 128, 128, kSwizzle);
    } else if (major == Major::k) {
      return simt::wgmma_descriptor(tile + k * 2, 16, kPattern, kSwizzle);
    } else {
      return simt::wgmma_descriptor(tile + k * kRow, kPanel * kRow, kPattern, kSwizzle);
    }
  }
};

struct OperandTiles {
  alignas(1024) unsigned char a[64 * 128];
  alignas(1024) unsigned char b[256 * 128];
};

template <Swizzle kSwizzle>
__device__ void fill_operand(unsigned char* tile, Major major, int count, float (*value)(int, int)) {
  for (int at = static_cast<int>(threadIdx.x); at < count * Layout<kSwizzle>::kPanel; at += 128) {
    const int i = at % count, k = at / count;
    *reinterpret_cast<bf16*>(tile + Layout<kSwizzle>::place(major, count, i, k)) = simt::to_bf16(value(i, k));
  }
}

// Registers of A for the step of 16 that begins at k.
__device__ inline void fill_registers(std::uint32_t (&a)[4], int row, int pair, int k) {
  for (int i = 0; i < 4; ++i) {
    const int m = row + i % 2 * 8, at = k + i / 2 * 8 + pair;
    const std::uint32_t low = simt::bf16_bits(simt::to_bf16(a_value(m, at)));
    a[i] = low | std::uint32_t{simt::bf16_bits(simt::to_bf16(a_value(m, at + 1)))} << 16;
  }
}

// D = A B, then D += A B once more, with A in registers where it is K-major.
template <Swizzle kSwizzle, Major kA, Major kB, int kSize>
__device__ __forceinline__ void multiply_twice(float (&d)[kSize], const OperandTiles& tiles, int columns,
                                               const std::uint32_t (&a)[4][4]) {
  using Tile = Layout<kSwizzle>;
  simt::wgmma_fence();
  SIMT_UNROLL
  for (int step = 0; step < Tile::kPanel / 16; ++step) {
    const auto of_a = Tile::descriptor(tiles.a, kA, 64, step * 16);
    simt::wgmma<kA, kB>(d, of_a, Tile::descriptor(tiles.b, kB, columns, step * 16), step > 0);
  }
  simt::wgmma_commit();
  simt::wgmma_fence();
  SIMT_UNROLL
  for (int step = 0; step < Tile::kPanel / 16; ++step) {
    const auto of_b = Tile::descriptor(tiles.b, kB, columns, step * 16);
    if constexpr (kA == Major::k) {
      simt::wgmma<kB>(d, a[step], of_b, true);
    } else {
      simt::wgmma<kA, kB>(d, Tile::descriptor(tiles.a, kA, 64, step * 16), of_b, true);
    }
  }
  simt::wgmma_commit();
  simt::wgmma_wait<0>(d);
}

template <Swizzle kSwizzle, int kN>
__global__ void __launch_bounds__(128) multiply(Major major_a, Major major_b, int columns, float* y) {
  SIMT_DYN_SHARED(tiles, OperandTiles);
  const int thread = static_cast<int>(threadIdx.x);
  const int row = thread / 32 * 16 + thread % 32 / 4, pair = thread % 4 * 2;
  fill_operand<kSwizzle>(tiles.a, major_a, 64, a_value);
  fill_operand<kSwizzle>(tiles.b, major_b, columns, b_value);
  std::uint32_t a[4][4];
  SIMT_UNROLL
  for (int step = 0; step < 4; ++step) fill_registers(a[step], row, pair, step * 16);
  simt::fence_proxy_async();
  __syncthreads();
  float d[kN / 2];
  if (major_a == Major::k && major_b == Major::k) {
    multiply_twice<kSwizzle, Major::k, Major::k>(d, tiles, columns, a);
  } else if (major_a == Major::k) {
    multiply_twice<kSwizzle, Major::k, Major::mn>(d, tiles, columns, a);
  } else if (major_b == Major::k) {
    multiply_twice<kSwizzle, Major::mn, Major::k>(d, tiles, columns, a);
  } else {
    multiply_twice<kSwizzle, Major::mn, Major::mn>(d, tiles, columns, a);
  }
  SIMT_UNROLL
  for (int e = 0; e < kN / 2; ++e) y[(row + e / 2 % 2 * 8) * kN + e / 4 * 8 + pair + e % 2] = d[e];
}

template <Swizzle kSwizzle, int kN>
bool product(Major a, Major b) {
  // MN-major operands come in whole blocks.
  constexpr int kBlock = Layout<kSwizzle>::kRow / 2;
  const int columns = b == Major::mn ? (kN + kBlock - 1) / kBlock * kBlock : kN;
  DeviceBuffer<float> y(64 * kN);
  launch(multiply<kSwizzle, kN>, 1, 128, sizeof(OperandTiles), 0, a, b, columns, y.data());
  const auto values = y.to_host();
  for (int m = 0; m < 64; ++m) {
    for (int n = 0; n < kN; ++n) {
      float sum = 0;
      for (int k = 0; k < Layout<kSwizzle>::kPanel; ++k) sum += 2 * a_value(m, k) * b_value(n, k);
      if (values[static_cast<std::size_t>(m * kN + n)] != sum) return false;
    }
  }
  return true;
}

template <Swizzle kSwizzle, int kN>
bool products() {
  return product<kSwizzle, kN>(Major::k, Major::k) && product<kSwizzle, kN>(Major::k, Major::mn) &&
         product<kSwizzle, kN>(Major::mn, Major::k) && product<kSwizzle, kN>(Major::mn, Major::mn);
}

// Of 8 * (kFirst + 1) columns, and the widths after that.
template <int kFirst, int... kNext>
bool products_from(std::integer_sequence<int, kNext...>) {
  return (products<Swizzle::bytes_128, 8 * (kFirst + kNext + 1)>() && ...);
}

bool wgmma_of_narrow_tiles() { return products_from<0>(std::make_integer_sequence<int, 16>()); }

bool wgmma_of_wide_tiles() { return products_from<16>(std::make_integer_sequence<int, 16>()); }

bool wgmma_of_other_swizzles() {
  return products<Swizzle::bytes_64, 64>() && products<Swizzle::bytes_32, 64>() &&
         products<Swizzle::none, 64>();
}

// ---- mma, ldmatrix, stmatrix

// d[16][8] += a[16][16] b[8][16], and a's registers through stmatrix and back.
template <bool kTrans>
__global__ void small_matrices(float* y, std::uint32_t* copy) {
  SIMT_SHARED(a, bf16[16 * 16]);
  SIMT_SHARED(b, bf16[2 * 16 * 8]);
  SIMT_SHARED(again, bf16[4 * 64]);
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = lane; i < 256; i += 32) a[i] = simt::to_bf16(a_value(i / 16, i % 16));
  // K-major, or with kTrans [k][n], which ldmatrix transposes.
  for (int i = lane; i < 128; i += 32) {
    b[i] = simt::to_bf16(kTrans ? b_value(i % 8, i / 8) : b_value(i / 8 % 8, i / 64 * 8 + i % 8));
    b[128 + i] = b[i];
  }
  __syncwarp();
  std::uint32_t ra[4], rb[4];
  simt::ldmatrix_x4(ra, a + lane % 16 * 16 + lane / 16 * 8);
  simt::ldmatrix_x4<kTrans>(rb, b + lane * 8);
  const std::uint32_t first[2] = {rb[0], rb[1]}, second[2] = {rb[2], rb[3]};
  float d[4] = {100, 100, 100, 100};
  simt::mma_m16n8k16(d, ra, first);
  simt::mma_m16n8k16(d, ra, second);
  for (int i = 0; i < 4; ++i) y[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = d[i];
  simt::stmatrix_x4<kTrans>(again + lane * 8, ra);
  __syncwarp();
  for (int i = 0; i < 4; ++i)
    copy[i * 32 + lane] = reinterpret_cast<const std::uint32_t*>(again)[i * 32 + lane];
}

template <bool kTrans>
bool matrices_of_a_warp() {
  DeviceBuffer<float> y(128);
  DeviceBuffer<std::uint32_t> copy(128);
  launch(small_matrices<kTrans>, 1, 32, 0, 0, y.data(), copy.data());
  const auto values = y.to_host();
  const auto words = copy.to_host();
  for (int i = 0; i < 128; ++i) {
    float sum = 100;
    for (int k = 0; k < 16; ++k) sum += 2 * a_value(i / 8, k) * b_value(i % 8, k);
    if (values[static_cast<std::size_t>(i)] != sum) return false;
  }
  for (int i = 0; i < 256; ++i) {  // matrix, row and column in `again`
    const int matrix = i / 64, row = kTrans ? i % 8 : i / 8 % 8, column = kTrans ? i / 8 % 8 : i % 8;
    const float value = a_value(row + matrix % 2 * 8, column + matrix / 2 * 8);
    const std::uint32_t word = words[static_cast<std::size_t>(i / 2)] >> i % 2 * 16 & 0xffff;
    if (word != simt::bf16_bits(simt::to_bf16(value))) return false;
  }
  return true;
}

}  // namespace
