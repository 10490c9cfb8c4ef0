// Division by a number that the host knows: a multiplication and a shift in place of some twenty
// instructions, which count in kernels where a thread does little else.
//
// T. Granlund, P. Montgomery, "Division by invariant integers using multiplication", PLDI 1994: with s =
// ceil(log2 d) and m = floor(2^32 * (2^s - d) / d) + 1, n / d = (n * m / 2^32 + n) / 2^s. Here for n < 2^31,
// so that the sum fits.
#pragma once

#include <cstdint>

#include "simt/simt.h"

namespace alexnet {

class Divider {
 public:
  Divider() = default;
  // 1 <= divisor < 2^31.
  explicit Divider(int divisor) : divisor_(static_cast<std::uint32_t>(divisor)) {
    while ((std::uint32_t{1} << shift_) < divisor_) ++shift_;
    const std::uint64_t beyond = (std::uint64_t{1} << shift_) - divisor_;
    multiplier_ = static_cast<std::uint32_t>((beyond << 32) / divisor_ + 1);
  }

  __host__ __device__ int divisor() const { return static_cast<int>(divisor_); }

  // Returns n / divisor and leaves n % divisor in n; n < 2^31.
  __device__ __forceinline__ std::uint32_t split(std::uint32_t& n) const {
    const auto high = static_cast<std::uint32_t>(std::uint64_t{n} * multiplier_ >> 32);
    const std::uint32_t quotient = (high + n) >> shift_;
    n -= quotient * divisor_;
    return quotient;
  }

 private:
  std::uint32_t divisor_ = 1;
  std::uint32_t multiplier_ = 1;
  std::uint32_t shift_ = 0;
};

}  // namespace alexnet
