// Matrix product of float32 or bfloat16, summed in float32. The kernels and the story are in gemm.cu, the
// inner loop in tile.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "simt/simt.h"

namespace alexnet {

// c [M, N] = relu(alpha * op(a) op(b) + beta * c + bias), K products a sum. Matrices are row-major without
// gaps: a is [M, K], or [K, M] with trans_a; b is [K, N], or [N, K] with trans_b. All sizes >= 1.
struct GemmShape {
  int M, N, K;
  bool trans_a, trans_b;

  bool operator==(const GemmShape&) const = default;
};

// What becomes of a sum. beta 0 does not read c; bias is [M], one for each row, or null.
struct GemmEpilogue {
  float alpha, beta;
  const float* bias;
  bool relu;
};

// How a product is cut: tiles of rows x columns, K in `splits` parts of `split_depth` products each; and
// whether a and b, whose elements have element_size bytes, can be read four at a time. (Where b cannot, a
// wide tile reads a one by one too.)
struct GemmConfig {
  int tile_rows, tile_columns, threads;
  int splits, split_depth;
  bool quads_of_a, quads_of_b;
  std::size_t element_size;
};

// element_size: of a and b, in bytes; `aligned_a`, `aligned_b`: they are at multiples of 4 elements.
GemmConfig choose_gemm(const GemmShape& shape, std::size_t element_size, bool aligned_a, bool aligned_b);
std::string to_string(const GemmConfig& config);

// Bytes of the workspace: one matrix [M, N] of floats for each part of K when there are several.
std::size_t gemm_workspace_bytes(const GemmShape& shape, std::size_t element_size);

// Elements of a and b are float or bf16; the result's are the same, or float. workspace:
// gemm_workspace_bytes(shape, sizeof(Element)) bytes, at a multiple of 4; may be null when that is 0. c
// overlaps nothing else.
template <class Element, class Result>
void gemm(const Element* a, const Element* b, Result* c, const GemmShape& shape, const GemmEpilogue& epilogue,
          float* workspace, simt::stream_t stream);

// The second half of a split sum: c [M, N], float or bf16, = epilogue(partials[0] + partials[1] + ...), in
// that order, whoever came first. partials is [splits, M, N].
template <class Result>
void sum_partials(const float* partials, int splits, Result* c, std::int64_t M, std::int64_t N,
                  const GemmEpilogue& epilogue, simt::stream_t stream);

}  // namespace alexnet
