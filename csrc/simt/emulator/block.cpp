// Runs one block, and says where it was when something is wrong.

#include "simt/emulator/block.h"

#include "simt/emulator/text.h"

constinit thread_local uint3 threadIdx{}, blockIdx{};
constinit thread_local dim3 blockDim{}, gridDim{};

namespace simt::emulator {
namespace {

thread_local Block* current_block = nullptr;

// A thread of the grid: the kernel, then what its end means to its warp.
class OneThread final : public Call {
 public:
  OneThread(const Call& kernel, Warps& warps) : kernel_(kernel), warps_(warps) {}
  void run() const override {
    kernel_.run();
    warps_.ended();
  }
  std::vector<Argument> arguments() const override { return kernel_.arguments(); }

 private:
  const Call& kernel_;
  Warps& warps_;
};

}  // namespace

Block* Block::current() { return current_block; }

Block& Block::here() {
  if (current_block == nullptr) throw Error("a device function was called outside a kernel");
  return *current_block;
}

void Block::begin_launch(const Grid& grid) {
  grid_ = grid;
  gridDim = grid.grid;
  blockDim = grid.block;
  scheduler.prepare(grid.block, grid.schedule.order);
}

void Block::run(std::uint64_t index) {
  const dim3 size = grid_.grid;
  const std::uint64_t row = index / size.x;
  blockIdx = {static_cast<unsigned>(index % size.x), static_cast<unsigned>(row % size.y),
              static_cast<unsigned>(row / size.y)};
  barriers.begin_block(nullptr);
  warps.begin_block(nullptr);
  shared.begin_block(grid_.shared_bytes);
  threadIdx = {};
  const uint3 index_of_block = blockIdx;
  std::string problem;
  current_block = this;
  try {
    scheduler.run(OneThread(*grid_.call, warps), Random(grid_.schedule.seed ^ (index << 20)));
    shared.end_block();
  } catch (const std::exception& error) {
    problem = error.what();
  } catch (...) {
    problem = "the kernel threw something that is no std::exception";
  }
  current_block = nullptr;
  if (problem.empty()) return;
  throw Error(problem + "\n  in block " + triple(index_of_block) + ", thread " + triple(threadIdx) +
              " of the kernel launched at " + where(grid_.site));
}

}  // namespace simt::emulator
