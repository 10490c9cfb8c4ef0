// Launches: what a GPU would refuse, and the blocks of a grid spread over CPU threads.

#include <algorithm>
#include <atomic>
#include <bit>
#include <mutex>
#include <thread>

#include "simt/emulator/block.h"
#include "simt/emulator/text.h"

namespace simt::emulator {
namespace {

constexpr std::size_t kMaxDynamicShared = 227 * 1024;  // compute capability 9.0

// A block of 1024 threads has 2048 memory mappings (a stack and its guard), and Linux allows a process 65530.
constexpr int kMaxCpuThreads = 16;

// Starting a CPU thread takes as long as some thousand emulated threads.
constexpr std::uint64_t kThreadsWorthACpuThread = 4096;

std::uint64_t volume(dim3 size) { return std::uint64_t{size.x} * size.y * size.z; }

bool fits(dim3 size, dim3 limit) {
  return size.x >= 1 && size.x <= limit.x && size.y >= 1 && size.y <= limit.y && size.z >= 1 &&
         size.z <= limit.z;
}

// The limits of every GPU since compute capability 3.0 (CUDA programming guide, technical specifications). A
// launch outside them fails there, so it must fail here too.
void check_limits(dim3 grid, dim3 block, std::size_t shared_bytes, Site site) {
  const std::string place = "kernel launch at " + where(site) + ": ";
  if (!fits(grid, dim3(0x7fffffff, 65535, 65535))) throw Error(place + "invalid grid " + triple(grid));
  if (!fits(block, dim3(1024, 1024, 64)) || volume(block) > kMaxThreads) {
    throw Error(place + "invalid block " + triple(block));
  }
  if (shared_bytes > kMaxDynamicShared) {
    throw Error(place + std::to_string(shared_bytes) + " bytes of dynamic shared memory, more than the " +
                std::to_string(kMaxDynamicShared) + " of any GPU");
  }
  if (Block::current() != nullptr) throw Error(place + "a kernel cannot launch a kernel here");
}

// Blocks in the order of the schedule. A random order is i -> (odd * i + offset) mod 2^k, which meets every
// number once; those past the end are passed over.
class BlockOrder {
 public:
  BlockOrder(std::uint64_t blocks, const Schedule& schedule) : blocks_(blocks), order_(schedule.order) {
    Random random(schedule.seed);
    mask_ = std::bit_ceil(blocks) - 1;
    factor_ = random.next() | 1;
    offset_ = random.next();
  }

  std::uint64_t steps() const { return order_ == Order::random ? mask_ + 1 : blocks_; }

  // The block of a step, or blocks() for none.
  std::uint64_t block(std::uint64_t step) const {
    if (order_ == Order::forward) return step;
    if (order_ == Order::reverse) return blocks_ - 1 - step;
    return std::min(blocks_, (factor_ * step + offset_) & mask_);
  }
  std::uint64_t blocks() const { return blocks_; }

 private:
  std::uint64_t blocks_;
  Order order_;
  std::uint64_t mask_ = 0, factor_ = 1, offset_ = 0;
};

// Blocks are made once and lent out: their stacks and shared memory are warm at the next launch.
class Lender {
 public:
  std::unique_ptr<Block> take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return std::make_unique<Block>();
    auto block = std::move(free_.back());
    free_.pop_back();
    return block;
  }
  void give_back(std::unique_ptr<Block> block) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(block));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Block>> free_;
};

Lender& lender() {
  static Lender instance;
  return instance;
}

// Shared by the CPU threads that work on one launch.
struct Progress {
  std::atomic<std::uint64_t> step{0};
  std::atomic<bool> failed{false};
  std::mutex mutex;
  std::exception_ptr error;
};

void work(const Grid& grid, const BlockOrder& order, Progress& progress) {
  try {
    auto block = lender().take();
    block->begin_launch(grid);
    for (std::uint64_t step; !progress.failed && (step = progress.step++) < order.steps();) {
      const std::uint64_t index = order.block(step);
      if (index < order.blocks()) block->run(index);
    }
    lender().give_back(std::move(block));
  } catch (...) {
    const std::lock_guard lock(progress.mutex);
    if (!progress.failed) progress.error = std::current_exception();
    progress.failed = true;
  }
}

int workers(const Grid& grid) {
  if constexpr (kRaceBuild) return 1;  // the checker follows one thread at a time
  const std::uint64_t blocks = volume(grid.grid);
  const std::uint64_t worth = blocks * volume(grid.block) / kThreadsWorthACpuThread;
  const int cpus = std::min(cpu_threads(), kMaxCpuThreads);
  return static_cast<int>(
      std::min({blocks, std::max<std::uint64_t>(worth, 1), static_cast<std::uint64_t>(cpus)}));
}

void run_grid(const Grid& grid) {
  std::unique_lock<std::mutex> lock;
  if constexpr (kRaceBuild) {
    lock = std::unique_lock(RaceChecker::instance().mutex());
    RaceChecker::instance().begin_launch(*grid.operation);
  }
  const BlockOrder order(volume(grid.grid), grid.schedule);
  Progress progress;
  std::vector<std::jthread> helpers;
  for (int i = 1; i < workers(grid); ++i) {
    helpers.emplace_back([&] { work(grid, order, progress); });
  }
  work(grid, order, progress);
  helpers.clear();  // joins them
  if (progress.error) std::rethrow_exception(progress.error);
}

}  // namespace

void launch(dim3 grid, dim3 block, std::size_t shared_bytes, void* stream, std::unique_ptr<Call> call,
            Site site) {
  check_limits(grid, block, shared_bytes, site);
  const std::shared_ptr<const Call> kernel = std::move(call);
  submit(stream, "the kernel launched at " + where(site), [=](const Operation& operation) {
    const AddressSpace& memory = AddressSpace::instance();
    memory.check_arguments(*kernel, operation.device, site);
    run_grid({grid, block, shared_bytes, kernel.get(), site, schedule(), &operation});
    memory.check_red_zones(operation.what);
  });
}

}  // namespace simt::emulator
