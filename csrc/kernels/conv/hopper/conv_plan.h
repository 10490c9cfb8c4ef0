// Before the launch: which tiles, and the tensor maps. Shared by conv_fprop.cu and conv_dgrad.cu.
#pragma once

#include <array>

#include "kernels/conv/hopper/conv_hopper.h"
#include "kernels/conv/hopper/conv_problem.h"
#include "kernels/conv/hopper/conv_row_problem.h"

namespace alexnet {

// One of the kernels of a pass. taps: of a step, 1 or all of a row of the filter; positions: of a tile, or 0
// for any number.
struct ConvKernel {
  int rows, columns, depth, taps, positions;
  void (*launch)(const ConvHopperArguments&, int tiles, int multiprocessors, simt::stream_t);
};

template <class Problem>
constexpr ConvKernel conv_kernel() {
  return {Problem::kRows, Problem::kAllColumns, Problem::kDepth,
          Problem::kTaps, Problem::kPositions,  launch_pipeline<Problem>};
}

// All of them.
class ConvKernels {
 public:
  template <int kCount>
  constexpr ConvKernels(const ConvKernel (&kernels)[kCount]) : begin_(kernels), end_(kernels + kCount) {}
  const ConvKernel* begin() const { return begin_; }
  const ConvKernel* end() const { return end_; }

 private:
  const ConvKernel* begin_;
  const ConvKernel* end_;
};

// A pass in the kernel's terms. The result is [groups * rows, down.results, across.results, N], the pixels
// [groups * depth, down.pixels, across.pixels, N].
struct ConvPass {
  bool backward;
  int rows, depth;  // of a group
  int groups, images;
  WindowAxis down, across;
};
ConvPass forward_pass(const ConvShape& shape);
ConvPass backward_pass(const ConvShape& shape);

struct ConvArrays {
  const simt::bf16* pixels;
  const simt::bf16* weights;
  const simt::bf16* mask;  // or null
  simt::bf16* result;
};

// All arrays of a call; null for one that is left out.
using ConvPointers = std::array<const void*, 4>;
bool conv_fits(const ConvPass& pass, const ConvPointers& pointers);

// The cheapest kernel by estimate, with the cheapest number of positions.
ConvHopperConfig choose_conv(const ConvPass& pass, ConvKernels kernels, int multiprocessors);

// The kernel of these sizes; throws std::invalid_argument when there is none.
const ConvKernel& find_conv(ConvKernels kernels, int rows, int columns, int depth);
// Throws std::invalid_argument when the kernel cannot take the pass, or not with so many positions.
ConvHopperConfig configure_conv(const ConvPass& pass, const ConvKernel& kernel, int positions);

ConvHopperArguments conv_arguments(const ConvPass& pass, const ConvArrays& arrays,
                                   const ConvHopperConfig& config);

}  // namespace alexnet
