#include "simt/emulator/emulator.h"

#include <string>

constinit thread_local uint3 threadIdx{}, blockIdx{};
constinit thread_local dim3 blockDim{}, gridDim{};

namespace simt::emulator {
namespace {

std::string text(dim3 size) {
  return "(" + std::to_string(size.x) + ", " + std::to_string(size.y) + ", " + std::to_string(size.z) + ")";
}

bool fits(dim3 size, dim3 limit) {
  return size.x >= 1 && size.x <= limit.x && size.y >= 1 && size.y <= limit.y && size.z >= 1 &&
         size.z <= limit.z;
}

// The limits of every GPU since compute capability 3.0 (CUDA programming guide, technical specifications). A
// launch outside them fails there, so it must fail here too.
void check_limits(dim3 grid, dim3 block) {
  if (!fits(grid, dim3(0x7fffffff, 65535, 65535))) throw Error("kernel launch: invalid grid " + text(grid));
  const bool block_fits = fits(block, dim3(1024, 1024, 64)) && block.x * block.y * block.z <= 1024;
  if (!block_fits) throw Error("kernel launch: invalid block " + text(block));
}

void run_block(dim3 block, void (*invoke)(void*), void* closure) {
  for (threadIdx.z = 0; threadIdx.z < block.z; ++threadIdx.z)
    for (threadIdx.y = 0; threadIdx.y < block.y; ++threadIdx.y)
      for (threadIdx.x = 0; threadIdx.x < block.x; ++threadIdx.x) invoke(closure);
}

}  // namespace

void run_grid(dim3 grid, dim3 block, std::size_t shared_bytes, void (*invoke)(void*), void* closure) {
  check_limits(grid, block);
  if (shared_bytes != 0) throw Error("kernel launch: the emulator has no dynamic shared memory yet");
  gridDim = grid;
  blockDim = block;
  for (blockIdx.z = 0; blockIdx.z < grid.z; ++blockIdx.z)
    for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y)
      for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x) run_block(block, invoke, closure);
}

}  // namespace simt::emulator
