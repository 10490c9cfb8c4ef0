// From stored bytes to a minibatch: x[c,i,j,n] = images[n, y+i, x+j, c] + color_shift[n,c] - mean, mirrored
// where asked.
//
// It is a transpose: images are stored one after another, and a batch has the image index fastest. Read as it
// is written, every byte would come from another image; so a tile goes through shared memory.
//
//     read: a warp takes one image,    tile[run of 96 bytes][32 images]   write: a warp takes one byte of the
//     lanes take bytes of a crop's     bytes, rows padded to 36           run, lanes take images
//     row
//       image 0   r g b r g b r ...  ->   r:  0 1 2 3 ... 31    ->    x[0, i, j, 0..31]   128 bytes
//       image 1   r g b r g b r ...       g:  0 1 2 3 ... 31          x[1, i, j, 0..31]
//
// Rows of 36 bytes are 9 banks apart, and 9 is odd: the 32 lanes that store one image's bytes meet no bank
// twice.
//
// Mapping: block.x numbers pieces of 96 bytes of a crop's row (32 RGB pixels), rows slowest; block.y the
// images, 32 at a time. A mirrored image is read in reverse order of pixels, so that the tile is in the order
// of x.
//
// What limits it: memory, 1 byte in and 4 out for each element (2 of bf16). A thread has 12 single bytes
// under way; with 8 warps a block and 8 blocks a multiprocessor that is 24 KB.

#include "kernels/augment/augment.h"

#include "kernels/common/check.h"
#include "kernels/common/element.h"
#include "kernels/common/note.h"
#include "simt/simt.h"

namespace alexnet {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr int kImages = 32;
constexpr int kRun = 96;
constexpr int kPitch = 36;

struct Corner {
  int y, x;
  bool inside;  // whether the whole crop is
};

template <class T>
__device__ __forceinline__ Corner corner_of(const AugmentArguments<T>& a, int n) {
  const int y = a.offsets[2 * n];
  const int x = a.offsets[2 * n + 1];
  return {y, x, y >= 0 && y <= a.H - a.h && x >= 0 && x <= a.W - a.w};
}

// Grid and block: choose_augment's. kChannels: C, or 0 for any (division by a constant is a multiplication).
template <class T, int kChannels>
__global__ void __launch_bounds__(kThreads) augment_kernel(AugmentArguments<T> a, int runs) {
  SIMT_SHARED(tile, std::uint8_t[kRun][kPitch]);  // [byte of the run][image]
  const int C = kChannels > 0 ? kChannels : a.C;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int i = static_cast<int>(blockIdx.x) / runs;
  const int run_begin = static_cast<int>(blockIdx.x) % runs * kRun;
  const int run_length = min(kRun, a.w * C - run_begin);
  const int first_image = static_cast<int>(blockIdx.y) * kImages;

  SIMT_UNROLL
  for (int k = 0; k < kImages / kWarps; ++k) {
    const int in_tile = warp + k * kWarps;
    const int n = first_image + in_tile;
    if (n >= a.n) continue;
    const Corner corner = corner_of(a, n);
    if (!corner.inside) continue;
    const std::uint8_t* row = a.images + ((std::int64_t{n} * a.H + corner.y + i) * a.W + corner.x) * C;
    const bool flip = a.flips[n] != 0;
    SIMT_UNROLL
    for (int b = 0; b < kRun; b += 32) {
      const int at = run_begin + b + lane;  // within the row of x: pixel * C + channel
      if (b + lane < run_length) tile[b + lane][in_tile] = row[flip ? (a.w - 1 - at / C) * C + at % C : at];
    }
  }
  __syncthreads();

  const int n = first_image + lane;
  if (n >= a.n) return;
  const Corner corner = corner_of(a, n);
  if (!corner.inside && blockIdx.x == 0 && warp == 0) {
    note(a.status, kBadOffsetY, static_cast<std::uint32_t>(n), static_cast<std::uint32_t>(corner.y));
    note(a.status, kBadOffsetX, static_cast<std::uint32_t>(n), static_cast<std::uint32_t>(corner.x));
    note(a.status, kOffsetLimit, static_cast<std::uint32_t>(a.H - a.h),
         static_cast<std::uint32_t>(a.W - a.w));
  }
  const int mean_row = (a.mean_H - a.h) / 2 + i;
  const int mean_left = (a.mean_W - a.w) / 2;
  for (int b = warp; b < run_length; b += kWarps) {
    const int j = (run_begin + b) / C;
    const int c = (run_begin + b) % C;
    float value = corner.inside ? static_cast<float>(tile[b][lane]) : NAN;
    if (a.color_shift != nullptr) value += a.color_shift[std::int64_t{n} * C + c];
    if (a.mean != nullptr) {
      value -= a.mean[a.mean_H == 0 ? c : (std::int64_t{mean_row} * a.mean_W + mean_left + j) * C + c];
    }
    a.x[((std::int64_t{c} * a.h + i) * a.w + j) * a.n + n] = from_float<T>(value);
  }
}

std::int64_t runs_of(int C, int w) { return (std::int64_t{w} * C + kRun - 1) / kRun; }

}  // namespace

AugmentConfig choose_augment(int n, int C, int h, int w) {
  return {kThreads, kRun, runs_of(C, w) * h, (n - 1) / kImages + 1};
}

std::string to_string(const AugmentConfig& config) {
  return std::to_string(config.blocks_x) + " x " + std::to_string(config.blocks_y) + " blocks of " +
         std::to_string(config.threads) + " threads, " + std::to_string(config.run) + " bytes of 32 images";
}

template <class T>
void augment(const AugmentArguments<T>& a, simt::stream_t stream) {
  require(a.n >= 1 && a.H >= 1 && a.W >= 1 && a.C >= 1 && a.h >= 1 && a.w >= 1 && a.h <= a.H && a.w <= a.W,
          "augment: crops of " + std::to_string(a.h) + " x " + std::to_string(a.w) + " from " +
              std::to_string(a.n) + " images of " + std::to_string(a.H) + " x " + std::to_string(a.W) +
              " x " + std::to_string(a.C));
  require(a.mean_H == 0 || (a.mean_H >= a.h && a.mean_W >= a.w),
          "augment: a mean image smaller than the crop");
  require(std::int64_t{a.w} * a.C < std::int64_t{1} << 31, "augment: a row of more than 2^31 bytes");
  const AugmentConfig config = choose_augment(a.n, a.C, a.h, a.w);
  require(config.blocks_x < std::int64_t{1} << 31 && config.blocks_y <= 65535,
          "augment: " + to_string(config) + ", more than a grid holds");
  const auto kernel = a.C == 3 ? augment_kernel<T, 3> : augment_kernel<T, 0>;
  simt::launch(kernel, dim3(static_cast<unsigned>(config.blocks_x), config.blocks_y), dim3(kThreads), 0,
               stream, a, static_cast<int>(runs_of(a.C, a.w)));
}

template void augment(const AugmentArguments<float>&, simt::stream_t);
template void augment(const AugmentArguments<simt::bf16>&, simt::stream_t);

}  // namespace alexnet
