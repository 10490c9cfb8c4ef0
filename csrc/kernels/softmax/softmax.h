// Softmax, and the loss that trains the net, float32 and bfloat16. The story is in softmax.cu.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/common/status.h"
#include "simt/simt.h"

namespace alexnet {

// `blocks` blocks of 8 images; each image's classes are shared by `stripes` threads.
struct SoftmaxConfig {
  int stripes;
  int blocks;
};

SoftmaxConfig choose_softmax(int classes, int images);
std::string to_string(const SoftmaxConfig& config);

// p[c, n] = exp(l[c, n]) / sum over c of exp(l[c, n]), for logits and p of [classes, images]. No overlap.
template <class T>
void softmax_forward(const T* logits, T* p, int classes, int images, simt::stream_t stream);

constexpr int kMostTopk = 8;

// D, of the gradient: T, or bfloat16 for float32 logits of a net that goes on in bfloat16.
template <class T, class D>
struct LossArguments {
  const T* logits;    // [classes, images]
  const int* labels;  // [images]; -1: padding, which has no loss, no count and no gradient
  int classes;
  int images;
  int topk[kMostTopk];
  int topk_count;
  float* loss;           // one: the mean over images with a label
  int* correct;          // [topk_count]: images whose label has a rank below topk
  D* dlogits;            // [classes, images]: the gradient of the loss
  std::uint32_t* state;  // null, or (step, ok, lr_scale): ok becomes 0 if the loss is not finite
  StatusWord* status;  // null, or where a label out of range and, without a state, a loss that is not finite
                       // are noted
  std::uint32_t* scratch;  // 1 + 2 * images words, 0 before the first call and left to the calls
};

std::int64_t loss_scratch_words(int images);

// An image with a label out of range makes the loss NaN and has no gradient.
template <class T, class D>
void softmax_cross_entropy(const LossArguments<T, D>& arguments, simt::stream_t stream);

}  // namespace alexnet
