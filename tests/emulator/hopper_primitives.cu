// The primitives of hopper.h against a plain statement of what they do. One source for the emulator and for a
// GPU of compute capability 9.0:
//
//   nvcc -std=c++20 -gencode arch=compute_90a,code=sm_90a -I csrc tests/emulator/hopper_primitives.cu
//     -o hopper_primitives && ./hopper_primitives

#include "pipelined_gemm.h"
#include "primitives_of_copies.h"
#include "primitives_of_matrices.h"
#include "table_of_tests.h"

namespace {

bool a_pipelined_product() {
  using pipelined_gemm::Bug;
  return pipelined_gemm::right<Bug::none>(128, 128, 64) && pipelined_gemm::right<Bug::none>(136, 200, 500);
}

const std::vector<Test> kTests = {
    {"mbarriers_hand_over", mbarriers_hand_over},
    {"loads_of_2_dimensions", loads<2>},
    {"loads_of_3_dimensions", loads<3>},
    {"loads_of_4_dimensions", loads<4>},
    {"loads_of_5_dimensions", loads<5>},
    {"stores_of_2_dimensions", stores<2>},
    {"stores_of_3_dimensions", stores<3>},
    {"stores_of_4_dimensions", stores<4>},
    {"stores_of_5_dimensions", stores<5>},
    {"stores_with_steps", stores_with_steps},
    {"groups_of_stores", groups_of_stores},
    {"small_copies", small_copies},
    {"matrices_of_a_warp", matrices_of_a_warp<false>},
    {"transposed_matrices_of_a_warp", matrices_of_a_warp<true>},
    {"wgmma_of_narrow_tiles", wgmma_of_narrow_tiles},
    {"wgmma_of_wide_tiles", wgmma_of_wide_tiles},
    {"wgmma_of_other_swizzles", wgmma_of_other_swizzles},
    {"a_pipelined_product", a_pipelined_product},
};

}  // namespace

int main() { return run_tests(kTests); }
