// Planted bugs in a warp-specialised kernel; they are in pipelined_gemm.h.

#include "bugs.h"
#include "pipelined_gemm.h"

namespace {

using pipelined_gemm::Bug;

template <Bug kBug>
bool right(bool bug) {
  // More steps than stages, and edges of tiles outside the matrices.
  static const bool without = pipelined_gemm::right<Bug::none>(136, 72, 500);
  return bug ? pipelined_gemm::right<kBug>(136, 72, 500) : without;
}

#define CASE(name) {#name, right<Bug::name>}

const std::vector<Case> kCases = {
    CASE(full_parity),      CASE(empty_parity),
    CASE(swizzle),          CASE(leading),
    CASE(no_proxy_fence),   CASE(no_wait_for_copies),
    CASE(early_release),    CASE(too_few_bytes),
    CASE(no_init_fence),    CASE(no_epilogue_barrier),
    CASE(no_store_wait),    CASE(no_store_wait_at_the_end),
    CASE(too_few_arrivals), CASE(read_before_wgmma_wait),
    CASE(no_wgmma_fence),   CASE(no_commit),
};

}  // namespace

int main(int count, char** arguments) { return run_cases(kCases, count, arguments); }
