// scale^-beta and scale^(-beta - 1), the two powers that normalisation and its gradient need.
#pragma once

#include "simt/simt.h"

namespace alexnet {

struct Powers {
  float minus_beta;
  float minus_beta_minus_1;
};

// For the paper's beta = 3/4: s^-3/4 = r^2 / sqrt(r) and 1/s = r^2 with r = 1/sqrt(s). powf takes some 60
// instructions, more than a multiprocessor has time for while 8 or 12 bytes of memory come and go; this takes
// about 10. Either is within 4 units in the last place, and 0 where s is infinite: that is what the limit is
// for, which no finite s reaches (r > 5e-20). A NaN goes through r.
__device__ __forceinline__ Powers powers_three_quarters(float s) {
  const float r = rsqrtf(s);
  const float power = r * r * rsqrtf(fmaxf(r, 1e-30f));
  return {power, power * (r * r)};
}

__device__ __forceinline__ Powers powers_of_any_beta(float s, float beta) {
  const float power = powf(s, -beta);
  return {power, power / s};
}

template <bool kThreeQuarters>
__device__ __forceinline__ Powers powers(float s, float beta) {
  if constexpr (kThreeQuarters) {
    return powers_three_quarters(s);
  } else {
    return powers_of_any_beta(s, beta);
  }
}

}  // namespace alexnet
