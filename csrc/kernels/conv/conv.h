// Convolution and its gradients. x, w, y and their gradients dx and dy are float32 or bfloat16; b, db and dw
// are float32, as all sums are. Arrays and stories:
//
//   x  [C, H, W, N]            conv_fprop.cu        y from x and w, with bias and ReLU
//   w  [C/groups, R, S, K]     conv_first_layer.cu  the same for images of few channels
//   y  [K, P, Q, N]            conv_dgrad.cu        dx from dy and w
//   b  [K]                     conv_wgrad.cu        dw from x and dy
//                              bias_grad.cu         db from dy
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "simt/simt.h"

namespace alexnet {

// Output (p, q) sees rows p * stride_h - pad_top + r for 0 <= r < R and columns likewise; what lies outside
// the image is 0. Kernels skip some of the products with these zeros: a weight that is NaN or infinite reaches
// every output with a pixel under it, and may or may not reach those that have padding there.
struct ConvShape {
  int C, H, W, N;
  int K, R, S;
  int P, Q;
  int stride_h, stride_w;
  int pad_top, pad_left;
  int groups;

  bool operator==(const ConvShape&) const = default;
};

// Throws std::invalid_argument for a shape that the kernels cannot take; all launchers begin with it.
void require_valid(const ConvShape& shape);

// How a launch is cut: tiles of `tile_rows` filters (channels in dgrad) x 128 lanes, the images and positions
// that neighbouring threads hold; reads of four elements (`quads`) or one, of `element_size` bytes each.
struct ConvConfig {
  int tile_rows, threads;
  bool quads;
  std::size_t element_size;
  std::int64_t tiles;
  int splits;  // parts of the sum, each in blocks of its own: wgrad alone has more than one
};

// `shape` must be valid. element_size: of x, w and y, in bytes; `aligned`: they are at multiples of 4
// elements.
ConvConfig choose_conv_fprop(const ConvShape& shape, std::size_t element_size, bool aligned);
ConvConfig choose_conv_first_layer(const ConvShape& shape, std::size_t element_size, bool aligned);
ConvConfig choose_conv_dgrad(const ConvShape& shape, std::size_t element_size, bool aligned);
ConvConfig choose_conv_wgrad(const ConvShape& shape, std::size_t element_size, bool aligned);
std::string to_string(const ConvConfig& config);

// Below, Element is float or simt::bf16.

// y = conv(x, w) + b, negative results 0 if `relu` (NaN stays). b may be null. y overlaps nothing else.
template <class Element>
void conv_fprop(const Element* x, const Element* w, const float* b, Element* y, const ConvShape& shape,
                bool relu, simt::stream_t stream);

// Whether conv_first_layer takes this shape, and conv_fprop hands it over: few channels in one group.
bool is_first_layer(const ConvShape& shape);
template <class Element>
void conv_first_layer(const Element* x, const Element* w, const float* b, Element* y, const ConvShape& shape,
                      bool relu, simt::stream_t stream);

// dx, the gradient of x. relu_y [C, H, W, N] or null: dx is 0 where it is 0 or negative.
template <class Element>
void conv_dgrad(const Element* dy, const Element* w, const Element* relu_y, Element* dx,
                const ConvShape& shape, simt::stream_t stream);

// dw, the gradient of w. workspace: conv_wgrad_workspace_bytes(shape, sizeof(Element)) bytes at a multiple of
// 4, or null when that is 0.
template <class Element>
void conv_wgrad(const Element* x, const Element* dy, float* dw, const ConvShape& shape, float* workspace,
                simt::stream_t stream);
std::size_t conv_wgrad_workspace_bytes(const ConvShape& shape, std::size_t element_size);

// db [K] = sums of the rows of dy [K, count]. workspace: likewise.
struct BiasGradConfig {
  int blocks, threads, splits;
  bool quads;
  std::size_t element_size;
};
BiasGradConfig choose_bias_grad(int K, std::int64_t count, std::size_t element_size, bool aligned);
std::string to_string(const BiasGradConfig& config);
template <class Element>
void bias_grad(const Element* dy, float* db, int K, std::int64_t count, float* workspace,
               simt::stream_t stream);
std::size_t bias_grad_workspace_bytes(int K, std::int64_t count, std::size_t element_size);

}  // namespace alexnet
