// How a kernel says that its data are bad: a kernel cannot raise, so it leaves a note that somebody reads
// later.
//
// The status of a device is a few 64-bit words in its memory, all ones as long as all is well. A word keeps
// the smallest note of its kind, that is the one of the first image, whatever the order of threads
// (atomicMin). Notes stay until the host has read them: ops.check_status(), which knows these words by their
// places (alexnet_cuda/ops/_kernels/status.py).
#pragma once

#include <cstdint>

namespace alexnet {

using StatusWord = unsigned long long;

enum StatusPlace {
  kBadLabel,     // image, label
  kLabelLimit,   // 0, number of classes
  kBadLoss,      // image whose loss is not finite; without one, kNoImage
  kBadOffsetY,   // image, y
  kBadOffsetX,   // image, x
  kOffsetLimit,  // largest y, largest x
  kStatusWords
};

constexpr std::uint32_t kNoImage = 0xfffffffe;

}  // namespace alexnet
