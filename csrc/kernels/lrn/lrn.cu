// Local response normalisation across channels. The kernel to read after relu.cu: still no thread needs
// another's result, but each now walks through memory and remembers what it has seen.
//
//     y[c] = x[c] * scale[c]^-beta
//     scale[c] = k + alpha * (x[c-2]^2 + x[c-1]^2 + x[c]^2 + x[c+1]^2 + x[c+2]^2)
//
// at every pixel of every image (a window of size 5 is shown; windows end at the ends of the channels'
// group).
//
// Mapping. A tensor [C, H, W, N] is C rows of H * W * N numbers, and a pixel of an image is a column of it:
//
//                  position   0  1  2  3 | 4  5  6  7 | 8 ...       (pixel and image; neighbours in memory)
//     channel 0               .  .  .  . | .  .  .  . |
//     channel 1               .  .  .  . | .  .  .  . |             a thread owns 4 neighbouring columns and
//     channel 2               .  .  .  . | .  .  .  . |             walks down a segment of their channels
//        ...               thread 0 |    | thread 1   |
//
// At each step a warp reads and writes 32 * 16 contiguous bytes of one row (of bf16, 32 * 8): coalesced.
// Every number is read from memory once, though five windows need it: the thread keeps the last five in
// registers, a ring that moves by one.
//
//     ring at channel c:      x[c-2] x[c-1] x[c] x[c+1] x[c+2]
//                                 \_______ squares, sum ______/  -> y[c]
//     next:              drop x[c-2], take in x[c+3]
//
// The sum is computed anew from the ring each time. (Adding the newest square and subtracting the oldest
// would be fewer additions, but rounding errors would pile up, and a NaN once inside would never leave.)
//
// What limits it: memory, if enough loads are under way. A number takes some 600 cycles to arrive, a third of
// a microsecond, however many are asked for in the meantime: to get an H200's 4.8 TB/s, about 1.5 MB must be
// on their way at any moment, 12 KB for each multiprocessor. A step needs one load and then waits for it, so
// the loads of kAhead steps are started together. What waits needs a place: a multiprocessor has 65536
// registers for all its threads, so threads with twice the registers are half as many. Few columns and many
// channels would leave most of the GPU idle; then a column is cut into segments, each walked by a thread of
// its own, at the price of reading 4 channels of the neighbouring segment too.
//
// Backward. With t[j] = dy[j] * x[j] * scale[j]^(-beta-1),
//
//     dx[i] = dy[i] * scale[i]^-beta - 2 * alpha * beta * x[i] * (t[i-2] + t[i-1] + t[i] + t[i+1] + t[i+2])
//
// The same walk with three rings: of x (from which scale[j] is computed again, so nothing needs to be stored
// in between), of t, and of dy * scale^-beta, which waits until the sum of t around its channel is complete.
// x and dy are read once.

#include "kernels/lrn/lrn.h"

#include "kernels/common/check.h"
#include "kernels/common/pack.h"
#include "kernels/lrn/any_size.h"
#include "kernels/lrn/column.h"
#include "kernels/lrn/power.h"
#include "simt/simt.h"

namespace alexnet {
namespace {

// AlexNet's window. Rings have to be indexed by constants to live in registers, so their size is one too;
// windows of other sizes take the kernels of any_size.h, which read neighbours again (from the caches).
constexpr int kRingSize = 5;
constexpr int kBefore = kRingSize / 2;
constexpr int kAfter = kRingSize - 1 - kBefore;

// Columns of a thread, where addresses are multiples of so many elements. Not more in bf16, since the rings
// are floats: with eight, backward would take 166 registers, and a multiprocessor could hold 8 warps.
constexpr int kWidest = 4;
constexpr int kAhead = 8;                            // forward: 8 packs of x under way
constexpr int kAheadBackward = 4;                    // 4 of x and 4 of dy
constexpr std::int64_t kEnoughThreads = 132 * 1024;  // half of what an H100 or H200 holds
constexpr int kShortestSegment = 32;                 // reading 4 channels more is 1/8 of a segment then

template <int kSize, class T>
__device__ __forceinline__ void push(T (&ring)[kSize], const T& newest) {
  SIMT_UNROLL
  for (int i = 0; i + 1 < kSize; ++i) ring[i] = ring[i + 1];
  ring[kSize - 1] = newest;
}

template <int kWidth>
__device__ __forceinline__ float scale_of(const Pack<float, kWidth> (&x)[kRingSize], int i,
                                          const LrnConstants& constants) {
  float sum = 0.0f;
  SIMT_UNROLL
  for (int j = 0; j < kRingSize; ++j) sum = fmaf(x[j].at[i], x[j].at[i], sum);
  return fmaf(constants.alpha, sum, constants.k);
}

// The contract of the two kernels below. Block: one-dimensional. blockIdx.x and threadIdx.x number the packs
// of positions, blockIdx.y the segments. Arrays are [C, positions]; positions is a multiple of kWidth,
// addresses of kWidth elements. constants.size is kRingSize; kThreeQuarters: constants.beta is 0.75.

template <class T, int kWidth, bool kThreeQuarters>
__global__ void __launch_bounds__(kThreads)
    lrn_forward_kernel(const T* x, T* y, LrnShape shape, LrnConstants constants, int segment) {
  const std::int64_t packs = shape.positions / kWidth;
  const std::int64_t pack = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (pack >= packs) return;
  const Segment channels = segment_of(blockIdx.y, segment, shape);
  const Column<T, kWidth> column{reinterpret_cast<const Pack<T, kWidth>*>(x) + pack, packs,
                                 channels.group_first, channels.group_last};
  auto* y_column = reinterpret_cast<Pack<T, kWidth>*>(y) + pack;

  // The ring one step before the first channel.
  Pack<float, kWidth> ring[kRingSize];
  SIMT_UNROLL
  for (int i = 0; i < kRingSize; ++i) ring[i] = to_floats(column[channels.first - 1 - kBefore + i]);

  for (int c = channels.first; c < channels.last; c += kAhead) {
    Pack<T, kWidth> incoming[kAhead];
    SIMT_UNROLL
    for (int j = 0; j < kAhead; ++j) incoming[j] = column[c + j + kAfter];
    SIMT_UNROLL
    for (int j = 0; j < kAhead; ++j) {
      push(ring, to_floats(incoming[j]));
      Pack<float, kWidth> result;
      SIMT_UNROLL
      for (int i = 0; i < kWidth; ++i) {
        const float scale = scale_of<kWidth>(ring, i, constants);
        result.at[i] = ring[kBefore].at[i] * powers<kThreeQuarters>(scale, constants.beta).minus_beta;
      }
      if (c + j < channels.last) y_column[(c + j) * packs] = from_floats<T>(result);
    }
  }
}

template <class T, int kWidth, bool kThreeQuarters>
__global__ void __launch_bounds__(kThreads)
    lrn_backward_kernel(const T* x, const T* dy, T* dx, LrnShape shape, LrnConstants constants, int segment) {
  const std::int64_t packs = shape.positions / kWidth;
  const std::int64_t pack = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (pack >= packs) return;
  const Segment channels = segment_of(blockIdx.y, segment, shape);
  const Column<T, kWidth> x_column{reinterpret_cast<const Pack<T, kWidth>*>(x) + pack, packs,
                                   channels.group_first, channels.group_last};
  const Column<T, kWidth> dy_column{reinterpret_cast<const Pack<T, kWidth>*>(dy) + pack, packs,
                                    channels.group_first, channels.group_last};
  auto* dx_column = reinterpret_cast<Pack<T, kWidth>*>(dx) + pack;
  const float factor = 2.0f * constants.alpha * constants.beta;

  // At step j: x[j - kBefore .. j + kAfter], t[j - kRingSize + 1 .. j] and dy * scale^-beta of [j - kBefore
  // .. j].
  Pack<float, kWidth> x_ring[kRingSize];
  Pack<float, kWidth> t_ring[kRingSize] = {};
  Pack<float, kWidth> direct_ring[kBefore + 1] = {};
  const int start = channels.first - kAfter;  // the first channel whose window holds the first of the segment
  SIMT_UNROLL
  for (int i = 0; i < kRingSize; ++i) x_ring[i] = to_floats(x_column[start - 1 - kBefore + i]);

  for (int c = start; c < channels.last + kBefore; c += kAheadBackward) {
    Pack<T, kWidth> x_incoming[kAheadBackward];
    Pack<T, kWidth> dy_incoming[kAheadBackward];
    SIMT_UNROLL
    for (int j = 0; j < kAheadBackward; ++j) {
      x_incoming[j] = x_column[c + j + kAfter];
      dy_incoming[j] = dy_column[c + j];
    }
    SIMT_UNROLL
    for (int j = 0; j < kAheadBackward; ++j) {
      push(x_ring, to_floats(x_incoming[j]));
      const Pack<float, kWidth> gradient = to_floats(dy_incoming[j]);
      Pack<float, kWidth> t, direct, result;
      SIMT_UNROLL
      for (int i = 0; i < kWidth; ++i) {
        const Powers power = powers<kThreeQuarters>(scale_of<kWidth>(x_ring, i, constants), constants.beta);
        direct.at[i] = gradient.at[i] * power.minus_beta;
        t.at[i] = gradient.at[i] * x_ring[kBefore].at[i] * power.minus_beta_minus_1;
      }
      push(t_ring, t);
      push(direct_ring, direct);
      SIMT_UNROLL
      for (int i = 0; i < kWidth; ++i) {
        float sum = 0.0f;
        SIMT_UNROLL
        for (int tap = 0; tap < kRingSize; ++tap) sum += t_ring[tap].at[i];
        result.at[i] = fmaf(-factor * x_ring[0].at[i], sum, direct_ring[0].at[i]);
      }
      const int channel = c + j - kBefore;  // the one whose sum is complete now
      if (channel >= channels.first && channel < channels.last) {
        dx_column[channel * packs] = from_floats<T>(result);
      }
    }
  }
}

std::int64_t ceil_divide(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

void check_lrn(const std::string& name, const LrnShape& shape, const LrnConstants& constants) {
  require(shape.C >= 1 && shape.positions >= 1 && shape.groups >= 1 && shape.C % shape.groups == 0,
          name + ": " + std::to_string(shape.C) + " channels of " + std::to_string(shape.positions) +
              " positions in " + std::to_string(shape.groups) + " groups");
  require(constants.size >= 1, name + ": a window of " + std::to_string(constants.size));
}

dim3 grid_of(const std::string& name, const LrnConfig& config) {
  require(config.blocks < std::int64_t{1} << 31 && config.segments <= 65535,
          name + ": " + to_string(config) + ", more than a grid holds");
  return dim3(static_cast<unsigned>(config.blocks), static_cast<unsigned>(config.segments));
}

}  // namespace

LrnConfig choose_lrn(const LrnShape& shape, const LrnConstants& constants, bool aligned) {
  LrnConfig config{};
  config.ring = constants.size == kRingSize;
  config.width = config.ring && aligned && shape.positions % kWidest == 0 ? kWidest : 1;
  config.threads = kThreads;
  const std::int64_t packs = shape.positions / config.width;
  config.blocks = ceil_divide(packs, kThreads);
  const int group = shape.C / shape.groups;
  int per_group = 1;
  while (packs * shape.groups * per_group < kEnoughThreads &&
         ceil_divide(group, per_group * 2) >= kShortestSegment) {
    per_group *= 2;
  }
  config.segment = static_cast<int>(ceil_divide(group, per_group));
  config.segments = static_cast<int>(shape.groups * ceil_divide(group, config.segment));
  return config;
}

std::string to_string(const LrnConfig& config) {
  return std::to_string(config.blocks) + " x " + std::to_string(config.segments) + " blocks of " +
         std::to_string(config.threads) + " threads, each " + std::to_string(config.segment) +
         " channels of " + std::to_string(config.width) + (config.width == 1 ? " position" : " positions") +
         (config.ring ? ", window in registers" : ", any window");
}

template <class T>
void lrn_forward(const T* x, T* y, const LrnShape& shape, const LrnConstants& constants,
                 simt::stream_t stream) {
  check_lrn("lrn_forward", shape, constants);
  const std::int64_t count = shape.C * shape.positions;
  require_apart(x, count, y, count, "lrn_forward: x and y");

  const bool aligned = is_aligned(x, kWidest * sizeof(T)) && is_aligned(y, kWidest * sizeof(T));
  const LrnConfig config = choose_lrn(shape, constants, aligned);
  const bool three_quarters = constants.beta == 0.75f;
  auto* kernel = lrn_forward_any_size_kernel<T>;
  if (config.ring && config.width == kWidest) {
    kernel = three_quarters ? lrn_forward_kernel<T, kWidest, true> : lrn_forward_kernel<T, kWidest, false>;
  } else if (config.ring) {
    kernel = three_quarters ? lrn_forward_kernel<T, 1, true> : lrn_forward_kernel<T, 1, false>;
  }
  simt::launch(kernel, grid_of("lrn_forward", config), dim3(config.threads), 0, stream, x, y, shape,
               constants, config.segment);
}

template <class T>
void lrn_backward(const T* x, const T* dy, T* dx, const LrnShape& shape, const LrnConstants& constants,
                  simt::stream_t stream) {
  check_lrn("lrn_backward", shape, constants);
  const std::int64_t count = shape.C * shape.positions;
  require_apart(x, count, dx, count, "lrn_backward: x and dx");
  require_apart(dy, count, dx, count, "lrn_backward: dy and dx");

  const bool aligned = is_aligned(x, kWidest * sizeof(T)) && is_aligned(dy, kWidest * sizeof(T)) &&
                       is_aligned(dx, kWidest * sizeof(T));
  const LrnConfig config = choose_lrn(shape, constants, aligned);
  const bool three_quarters = constants.beta == 0.75f;
  auto* kernel = lrn_backward_any_size_kernel<T>;
  if (config.ring && config.width == kWidest) {
    kernel = three_quarters ? lrn_backward_kernel<T, kWidest, true> : lrn_backward_kernel<T, kWidest, false>;
  } else if (config.ring) {
    kernel = three_quarters ? lrn_backward_kernel<T, 1, true> : lrn_backward_kernel<T, 1, false>;
  }
  simt::launch(kernel, grid_of("lrn_backward", config), dim3(config.threads), 0, stream, x, dy, dx, shape,
               constants, config.segment);
}

template void lrn_forward(const float*, float*, const LrnShape&, const LrnConstants&, simt::stream_t);
template void lrn_forward(const simt::bf16*, simt::bf16*, const LrnShape&, const LrnConstants&,
                          simt::stream_t);
template void lrn_backward(const float*, const float*, float*, const LrnShape&, const LrnConstants&,
                           simt::stream_t);
template void lrn_backward(const simt::bf16*, const simt::bf16*, simt::bf16*, const LrnShape&,
                           const LrnConstants&, simt::stream_t);

}  // namespace alexnet
