// Runs one block, and says where it was when something is wrong.

#include "simt/emulator/block.h"

#include "simt/emulator/text.h"

constinit thread_local uint3 threadIdx{}, blockIdx{};
constinit thread_local dim3 blockDim{}, gridDim{};

namespace simt::emulator {
namespace {

thread_local Block* current_block = nullptr;

// A thread of the grid: the kernel, then what its end means to others.
class OneThread final : public Call {
 public:
  OneThread(const Call& kernel, Block& block) : kernel_(kernel), block_(block) {}
  void run() const override {
    kernel_.run();
    block_.thread_ended();
  }
  std::vector<Argument> arguments() const override { return kernel_.arguments(); }

 private:
  const Call& kernel_;
  Block& block_;
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
  scheduler.set_background(&bulk_copies);
}

void Block::begin_block(RaceChecker* races) {
  barriers.begin_block(races);
  warps.begin_block(races);
  shared.begin_block(grid_.shared_bytes);
  mbarriers.begin_block(races);
  bulk_copies.begin_block(races, grid_.operation->device);
  small_copies.begin_block(races);
  warpgroups.begin_block(races);
  registers.begin_block();
}

void Block::thread_ended() {
  small_copies.ended();
  bulk_copies.ended();
  warpgroups.ended();
  warps.ended();
}

void Block::run(std::uint64_t index) {
  const dim3 size = grid_.grid;
  const std::uint64_t row = index / size.x;
  blockIdx = {static_cast<unsigned>(index % size.x), static_cast<unsigned>(row % size.y),
              static_cast<unsigned>(row / size.y)};
  RaceChecker* races = nullptr;
  if constexpr (kRaceBuild) {
    races = &RaceChecker::instance();
    races->begin_block(scheduler.threads(), index, shared);
  }
  begin_block(races);
  const uint3 place = blockIdx;
  current_block = this;
  std::string problem = run_threads(index);
  current_block = nullptr;
  if constexpr (kRaceBuild) {
    const std::string reports = races->take_reports();
    if (!reports.empty()) problem = problem.empty() ? reports : reports + "\n" + problem;
  }
  if (problem.empty()) return;
  throw Error(problem + "\n  in block " + triple(place) + " of the kernel launched at " + where(grid_.site));
}

// What went wrong, or nothing.
std::string Block::run_threads(std::uint64_t index) {
  try {
    scheduler.run(OneThread(*grid_.call, *this), Random(grid_.schedule.seed ^ (index << 20)));
    bulk_copies.end_block();
  } catch (const Deadlock& error) {
    return error.what();
  } catch (const std::exception& error) {
    return error.what() + ("\n  in thread " + triple(threadIdx));
  } catch (...) {
    return "the kernel threw something that is no std::exception, in thread " + triple(threadIdx);
  }
  const std::string copies = mbarriers.end_block();
  return copies.empty() ? shared.end_block() : copies;
}

}  // namespace simt::emulator
