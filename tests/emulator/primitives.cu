// Every primitive of simt.h against a plain statement of what it does. One source for the emulator and for a
// GPU:
//
//   nvcc -std=c++20 -arch=native -I csrc tests/emulator/primitives.cu -o primitives && ./primitives

#include "primitives_of_numbers.h"
#include "primitives_of_threads.h"
#include "table_of_tests.h"

namespace {

const std::vector<Test> kTests = {
    {"indices", indices},
    {"barrier_votes", barrier_votes},
    {"static_shared_memory", static_shared_memory},
    {"dynamic_shared_memory_above_48_kb", dynamic_shared_memory_above_48_kb},
    {"named_barriers", named_barriers},
    {"shuffles_of_all_widths", shuffles_of_all_widths},
    {"masks", masks},
    {"atomics_of_all_types", atomics_of_all_types},
    {"bf16_rounds_to_nearest_even", bf16_rounds_to_nearest_even},
    {"functions_of_integers", functions_of_integers},
    {"functions_of_floats", functions_of_floats},
    {"vector_types", vector_types},
    {"buffers_begin_as_nan", buffers_begin_as_nan},
    {"streams_and_events", streams_and_events},
};

}  // namespace

int main() { return run_tests(kTests); }
