// Matrix product of bfloat16 on Hopper's matrix units. The kernel and the story are in gemm.cu, the choice of
// tiles in choose.cu, the same product with the weights' update behind it in gemm_sgd.cu.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/gemm/gemm.h"
#include "kernels/sgd/sgd.h"
#include "simt/simt.h"

namespace alexnet {

constexpr int kGemmHopperRows = 128;  // of a tile: two consumers of 64
constexpr int kGemmHopperDepth = 64;  // products of a step: 128 bytes, the widest swizzle

// How a product is cut: tiles of 128 rows x `tile_columns`, the K of each in `splits` parts of `split_steps`
// steps of 64 products; `blocks` blocks share the (tile, part) pairs, in rasters of `raster_rows` tile rows.
struct GemmHopperConfig {
  int tile_columns;  // 128 or 256
  int splits, split_steps;
  int raster_rows;
  int blocks;
};

GemmHopperConfig choose_gemm_hopper(const GemmShape& shape);
std::string to_string(const GemmHopperConfig& config);

// The same with tiles and parts as the caller wants them: for tests and for measuring.
GemmHopperConfig cut_gemm_hopper(const GemmShape& shape, int tile_columns, int splits, int blocks);

// Whether the copy engine can read a and b and write c: rows of bfloat16 arrays a multiple of 8 elements
// long, their addresses multiples of 16; rows of a float32 c a multiple of 2, its address of 8.
bool gemm_hopper_fits(const GemmShape& shape, const simt::bf16* a, const simt::bf16* b, const simt::bf16* c);
bool gemm_hopper_fits(const GemmShape& shape, const simt::bf16* a, const simt::bf16* b, const float* c);

// Bytes of the workspace: one float32 matrix [M, N] for each part of K when there are several.
std::size_t gemm_hopper_workspace_bytes(const GemmShape& shape, const GemmHopperConfig& config);

// What gemm (gemm.h) does, for arrays that fit, on a GPU of compute capability 9.0. workspace: as many bytes
// as above, at a multiple of 8; may be null when that is 0. c overlaps nothing else.
void gemm_hopper(const simt::bf16* a, const simt::bf16* b, simt::bf16* c, const GemmShape& shape,
                 const GemmEpilogue& epilogue, const GemmHopperConfig& config, float* workspace,
                 simt::stream_t stream);
void gemm_hopper(const simt::bf16* a, const simt::bf16* b, float* c, const GemmShape& shape,
                 const GemmEpilogue& epilogue, const GemmHopperConfig& config, float* workspace,
                 simt::stream_t stream);

// dw [inputs, outputs] = x [inputs, images] dy [outputs, images]^T, the gradient of a fully connected layer's
// weights, which is not written: `update` (sgd.h) is done with it at once. The same bits as gemm_hopper to
// float32 with K whole, then sgd_momentum.
struct GemmSgdShape {
  int inputs, outputs, images;
};

struct GemmSgdHopperConfig {
  int tiles, blocks;
};
GemmSgdHopperConfig choose_gemm_sgd_hopper(const GemmSgdShape& shape);
std::string to_string(const GemmSgdHopperConfig& config);

// Rows of x, dy and w_bf16 a multiple of 8 elements long, their addresses multiples of 16, of w and v of 8.
bool gemm_sgd_hopper_fits(const GemmSgdShape& shape, const simt::bf16* x, const simt::bf16* dy,
                          const SgdUpdate& update);

// The update's arrays overlap nothing. `config` is the chosen one, or has another number of blocks.
void gemm_sgd_hopper(const simt::bf16* x, const simt::bf16* dy, const GemmSgdShape& shape,
                     const SgdUpdate& update, const GemmSgdHopperConfig& config, simt::stream_t stream);

}  // namespace alexnet
