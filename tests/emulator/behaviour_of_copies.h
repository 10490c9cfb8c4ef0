// Part of behaviour.cpp: tensor maps, and when copies run.
#pragma once

#include "behaviour_of_memory.h"
#include "simt/hopper.h"

namespace {

using simt::Swizzle;
using simt::TensorMapSpec;

alignas(1024) unsigned char some_memory[4096];

// A map that is right, of 16 x 8 floats.
TensorMapSpec right_spec() {
  return {some_memory, simt::ElementType::float32, 2, {16, 8}, {64}, {16, 8}, {1, 1}, Swizzle::bytes_64};
}

template <class Change>
std::string refusal_of(Change change) {
  TensorMapSpec spec = right_spec();
  change(spec);
  return refusal([&] { simt::make_tensor_map(spec); });
}

bool tensor_maps_that_the_driver_refuses() {
  return refusal_of([](auto&) {}).empty() &&
         holds(refusal_of([](auto& s) { s.base = some_memory + 8; }), "the address is no multiple of 16") &&
         holds(refusal_of([](auto& s) { s.rank = 1; }), "rank 1, wanted 2 to 5") &&
         holds(refusal_of([](auto& s) { s.rank = 6; }), "rank 6") &&
         holds(refusal_of([](auto& s) { s.size[1] = 0; }), "size 0 of dimension 1") &&
         holds(refusal_of([](auto& s) { s.size[0] = (1ull << 32) + 1; }), "size 4294967297 of dimension 0") &&
         holds(refusal_of([](auto& s) { s.stride[0] = 72; }),
               "stride 72 of dimension 1, wanted a multiple") &&
         holds(refusal_of([](auto& s) { s.stride[0] = 1ull << 40; }), "stride 1099511627776") &&
         holds(refusal_of([](auto& s) { s.box[1] = 257; }), "box 257 of dimension 1, wanted 1 to 256") &&
         holds(refusal_of([](auto& s) { s.box[0] = 2; }), "a row of the box is 8 bytes") &&
         holds(refusal_of([](auto& s) { s.step[1] = 9; }), "step 9 of dimension 1, wanted 1 to 8") &&
         holds(refusal_of([](auto& s) { s.step[0] = 2; }), "step 2 of dimension 0, wanted 1") &&
         holds(refusal_of([](auto& s) { s.swizzle = Swizzle::bytes_128; }),
               "wanted the 128 of its swizzle") &&
         holds(refusal_of([](auto& s) { s.rank = 0; }), "behaviour_of_copies.h:");
}

struct Cell {
  alignas(1024) float values[16 * 8];
  simt::Mbarrier barrier;
};

// How much of the box is there directly after the load was issued, and after the wait.
__global__ void look_twice(const __grid_constant__ simt::TensorMap map, int* seen) {
  SIMT_DYN_SHARED(cell, Cell);
  if (threadIdx.x != 0) return;
  simt::mbarrier_init(cell.barrier, 1);
  simt::fence_mbarrier_init();
  simt::mbarrier_arrive_expect_tx(cell.barrier, sizeof cell.values);
  simt::tma_load(cell.values, map, cell.barrier, {0, 0});
  const volatile float* values = cell.values;
  seen[0] = values[0] == 0;
  simt::mbarrier_wait(cell.barrier, 0);
  seen[1] = values[0] == 0;
}

bool a_load_seen(const char* schedule, int before) {
  simt::emulator::set_schedule(simt::emulator::parse_schedule(schedule));
  const DeviceBuffer<float> x(std::vector<float>(16 * 8, 0.0f));
  DeviceBuffer<int> seen(2);
  TensorMapSpec spec = right_spec();
  spec.base = x.data();
  const auto text =
      refusal([&] { launch(look_twice, 1, 32, sizeof(Cell), 0, simt::make_tensor_map(spec), seen.data()); });
  // The race build says so: looking is not allowed.
  if (!text.empty()) return holds(text, before ? "race: " : "uninitialised shared memory");
  return seen.to_host() == std::vector<int>{before, 1};
}

bool copies_run_when_the_schedule_says() { return a_load_seen("forward", 0) && a_load_seen("reverse", 1); }

}  // namespace
