// Softmax over the classes of each image, and the loss: mean of -log softmax(logits)[label], with the number
// of images that are right and the gradient, in one kernel.
//
// Mapping. logits are [classes, images], the image fastest. A block takes 8 images (32 bytes of a row, the
// smallest piece that memory delivers, or 16 of bf16), and cuts the classes into stripes:
//
//                  images  0 1 2 3 4 5 6 7 | next block
//     class 0              warp 0: lanes 0 to 7
//     class 1              warp 0: lanes 8 to 15
//       ...
//     class 127            warp 31: lanes 24 to 31            128 stripes of 8 threads = 1024 threads
//     class 128            warp 0 again
//
// Three walks over the classes: the largest logit and the label's rank; the sum of exp(logit - largest),
// which cannot overflow; the gradient. Only the first comes from memory. Between them a reduction over the
// stripes (common/reduce.h) in a fixed order.
//
// The mean needs all blocks. Each leaves its images' losses in global memory, and the last one to finish,
// whichever it is, adds them up in the order of images. What goes from block to block goes through atomics (a
// store by atomicExch, a load by atomicAdd of 0), with a fence before the counter that says how many are
// done.
//
// What limits it: latency. 128 images of 1000 classes are 16 blocks of half a megabyte in all: some
// microseconds, of which memory would need a quarter of one.
//
// Everything but reading logits and writing p and the gradient is float32.
//
// NaN: a NaN logit makes the image's loss and gradient NaN, and the image wrong.

#include "kernels/softmax/softmax.h"

#include "kernels/common/check.h"
#include "kernels/common/element.h"
#include "kernels/common/note.h"
#include "kernels/common/reduce.h"
#include "simt/simt.h"

namespace alexnet {
namespace {

constexpr int kImages = 8;
constexpr int kMostStripes = 128;             // 1024 threads
constexpr int kLeastStripes = 4;              // a whole warp
constexpr std::uint32_t kWrong = 0xffffffff;  // a rank below no k

__device__ __forceinline__ bool is_finite(float x) { return fabsf(x) < INFINITY; }

// A thread's column (image) and first class. Threads of images past the last one go along with nothing to do.
struct Place {
  int n;
  int stripe;
  int stripes;
};

__device__ __forceinline__ Place place_of_thread() {
  const int thread = static_cast<int>(threadIdx.x);
  return {static_cast<int>(blockIdx.x) * kImages + thread % kImages, thread / kImages,
          static_cast<int>(blockDim.x) / kImages};
}

using FloatScratch = BlockScratch<float, kImages>;
using IntScratch = BlockScratch<int, kImages>;

// Over the stripes of an image.
template <class T, class Operation>
__device__ __forceinline__ T over_stripes(T value, Operation operation, BlockScratch<T, kImages>& scratch) {
  return block_reduce<kImages>(value, operation, scratch, static_cast<int>(threadIdx.x),
                               static_cast<int>(blockDim.x));
}

// Block: one-dimensional, 8 threads for each stripe; grid: a block for 8 images. logits and p are [classes,
// images].
template <class T>
__global__ void __launch_bounds__(kImages* kMostStripes)
    softmax_forward_kernel(const T* logits, T* p, int classes, int images) {
  SIMT_SHARED(scratch, FloatScratch);
  const Place place = place_of_thread();
  const bool active = place.n < images;
  const auto at = [&](int c) { return std::int64_t{c} * images + place.n; };

  float largest = -INFINITY;
  for (int c = place.stripe; active && c < classes; c += place.stripes)
    largest = Maximum{}(largest, to_float(logits[at(c)]));
  largest = over_stripes(largest, Maximum{}, scratch);
  float sum = 0.0f;
  for (int c = place.stripe; active && c < classes; c += place.stripes)
    sum += expf(to_float(logits[at(c)]) - largest);
  sum = over_stripes(sum, Sum{}, scratch);
  for (int c = place.stripe; active && c < classes; c += place.stripes)
    p[at(c)] = from_float<T>(expf(to_float(logits[at(c)]) - largest) / sum);
}

// The number of images that have a label; every thread gets it.
template <class T, class D>
__device__ __forceinline__ int count_labels(const LossArguments<T, D>& a) {
  int count = 0;
  for (int first = 0; first < a.images; first += static_cast<int>(blockDim.x)) {
    const int n = first + static_cast<int>(threadIdx.x);
    count += __syncthreads_count(n < a.images && a.labels[n] >= 0 && a.labels[n] < a.classes);
  }
  return count;
}

struct ImageResult {
  float loss;
  std::uint32_t rank;  // of the label; kWrong: not to be counted
};

// Gradient, loss and rank of this thread's image. All threads of the block call. label < 0: padding.
template <class T, class D>
__device__ __forceinline__ ImageResult image_loss(const LossArguments<T, D>& a, const Place& place, int label,
                                                  float count, FloatScratch& float_scratch,
                                                  IntScratch& int_scratch) {
  const bool labelled = label >= 0;
  const auto at = [&](int c) { return std::int64_t{c} * a.images + place.n; };
  const float chosen = labelled ? to_float(a.logits[at(label)]) : 0.0f;

  float largest = -INFINITY;
  int rank = 0;
  for (int c = place.stripe; labelled && c < a.classes; c += place.stripes) {
    const float logit = to_float(a.logits[at(c)]);
    largest = Maximum{}(largest, logit);
    rank += logit > chosen || (logit == chosen && c < label);
  }
  largest = over_stripes(largest, Maximum{}, float_scratch);
  rank = over_stripes(rank, Sum{}, int_scratch);

  float sum = 0.0f;
  for (int c = place.stripe; labelled && c < a.classes; c += place.stripes)
    sum += expf(to_float(a.logits[at(c)]) - largest);
  sum = over_stripes(sum, Sum{}, float_scratch);

  for (int c = place.stripe; place.n < a.images && c < a.classes; c += place.stripes) {
    float gradient = 0.0f;
    if (labelled) {
      gradient = (expf(to_float(a.logits[at(c)]) - largest) / sum - (c == label ? 1.0f : 0.0f)) / count;
    }
    a.dlogits[at(c)] = from_float<D>(gradient);
  }
  const bool countable = labelled && largest == largest;  // the largest is NaN if any is
  return {labelled ? logf(sum) - (chosen - largest) : 0.0f,
          countable ? static_cast<std::uint32_t>(rank) : kWrong};
}

// The last block: from the images' losses and ranks to the results. All its threads call.
template <class T, class D>
__device__ __forceinline__ void finish(const LossArguments<T, D>& a, float count,
                                       BlockScratch<float>& float_scratch, BlockScratch<int>& int_scratch) {
  const int thread = static_cast<int>(threadIdx.x);
  const int threads = static_cast<int>(blockDim.x);
  std::uint32_t* losses = a.scratch + 1;
  std::uint32_t* ranks = losses + a.images;

  float sum = 0.0f;
  std::uint32_t first_bad = kNoImage;
  for (int n = thread; n < a.images; n += threads) {
    const float loss = __uint_as_float(atomicAdd(&losses[n], 0u));
    if (!is_finite(loss) && first_bad == kNoImage) first_bad = static_cast<std::uint32_t>(n);
    sum += loss;
  }
  sum = block_reduce(sum, Sum{}, float_scratch, thread, threads);
  const float loss = sum / count;
  const bool bad = !is_finite(loss);
  if (bad && a.state == nullptr) note(a.status, kBadLoss, first_bad, 0);

  for (int i = 0; i < a.topk_count; ++i) {
    int right = 0;
    for (int n = thread; n < a.images; n += threads) {
      right += atomicAdd(&ranks[n], 0u) < static_cast<std::uint32_t>(a.topk[i]);
    }
    right = block_reduce(right, Sum{}, int_scratch, thread, threads);
    if (thread == 0) a.correct[i] = right;
  }
  if (thread == 0) {
    *a.loss = loss;
    if (bad && a.state != nullptr) a.state[1] = 0;
    atomicExch(a.scratch, 0u);  // ready for the next call
  }
}

// Grid and block as above.
template <class T, class D>
__global__ void __launch_bounds__(kImages* kMostStripes)
    softmax_cross_entropy_kernel(const __grid_constant__ LossArguments<T, D> a) {
  SIMT_SHARED(float_scratch, FloatScratch);
  SIMT_SHARED(int_scratch, IntScratch);
  SIMT_SHARED(last_float_scratch, BlockScratch<float>);
  SIMT_SHARED(last_int_scratch, BlockScratch<int>);
  const Place place = place_of_thread();
  const int given = place.n < a.images ? a.labels[place.n] : -1;
  const bool bad_label = given < -1 || given >= a.classes;
  const int labels = count_labels(a);
  const float count = labels > 0 ? static_cast<float>(labels) : 1.0f;

  ImageResult result = image_loss(a, place, bad_label ? -1 : given, count, float_scratch, int_scratch);
  if (place.stripe == 0 && place.n < a.images) {
    if (bad_label) {
      result.loss = NAN;
      note(a.status, kBadLabel, static_cast<std::uint32_t>(place.n), static_cast<std::uint32_t>(given));
      note(a.status, kLabelLimit, 0, static_cast<std::uint32_t>(a.classes));
    }
    atomicExch(&a.scratch[1 + place.n], __float_as_uint(result.loss));
    atomicExch(&a.scratch[1 + a.images + place.n], result.rank);
    __threadfence();
  }
  __syncthreads();
  const bool is_last = threadIdx.x == 0 && atomicAdd(a.scratch, 1u) == gridDim.x - 1;
  if (__syncthreads_or(is_last)) finish(a, count, last_float_scratch, last_int_scratch);
}

void check_shape(const std::string& name, int classes, int images) {
  require(classes >= 1 && images >= 1,
          name + ": logits of [" + std::to_string(classes) + ", " + std::to_string(images) + "]");
}

}  // namespace

SoftmaxConfig choose_softmax(int classes, int images) {
  int stripes = kLeastStripes;
  while (stripes < kMostStripes && stripes < classes) stripes *= 2;
  return {stripes, (images - 1) / kImages + 1};
}

std::string to_string(const SoftmaxConfig& config) {
  return std::to_string(config.blocks) + " blocks of " + std::to_string(kImages) + " images, " +
         std::to_string(config.stripes) + " threads each";
}

template <class T>
void softmax_forward(const T* logits, T* p, int classes, int images, simt::stream_t stream) {
  check_shape("softmax_forward", classes, images);
  const std::int64_t count = std::int64_t{classes} * images;
  require_apart(logits, count, p, count, "softmax_forward: logits and p");
  const SoftmaxConfig config = choose_softmax(classes, images);
  simt::launch(softmax_forward_kernel<T>, dim3(config.blocks), dim3(kImages * config.stripes), 0, stream,
               logits, p, classes, images);
}

std::int64_t loss_scratch_words(int images) { return 1 + 2 * std::int64_t{images}; }

template <class T, class D>
void softmax_cross_entropy(const LossArguments<T, D>& a, simt::stream_t stream) {
  check_shape("softmax_cross_entropy", a.classes, a.images);
  require(a.topk_count >= 1 && a.topk_count <= kMostTopk,
          "softmax_cross_entropy: topk has " + std::to_string(a.topk_count) + " numbers, wanted 1 to " +
              std::to_string(kMostTopk));
  const std::int64_t count = std::int64_t{a.classes} * a.images;
  require_apart(a.logits, count, a.dlogits, count, "softmax_cross_entropy: logits and dlogits");
  const SoftmaxConfig config = choose_softmax(a.classes, a.images);
  simt::launch(softmax_cross_entropy_kernel<T, D>, dim3(config.blocks), dim3(kImages * config.stripes), 0,
               stream, a);
}

template void softmax_forward(const float*, float*, int, int, simt::stream_t);
template void softmax_forward(const simt::bf16*, simt::bf16*, int, int, simt::stream_t);
template void softmax_cross_entropy(const LossArguments<float, float>&, simt::stream_t);
template void softmax_cross_entropy(const LossArguments<simt::bf16, simt::bf16>&, simt::stream_t);
template void softmax_cross_entropy(const LossArguments<float, simt::bf16>&, simt::stream_t);

}  // namespace alexnet
