// The turns of one block's threads, and what to say when none of them can go on.

#include "simt/emulator/scheduler.h"

#include <map>
#include <utility>

#include "simt/emulator/text.h"

namespace simt::emulator {
namespace {

// Kernels keep little on the stack; g++'s sanitizers multiply it.
constexpr std::size_t kStackBytes = 256 << 10;

// A poll that leads somewhere does so after far fewer turns of the others. This many take a fraction of
// a second.
constexpr int kMostSpins = 4'000'000;

thread_local Scheduler* active = nullptr;

}  // namespace

Scheduler::Scheduler() : threads_(kMaxThreads), ring_(kMaxThreads) {}

void Scheduler::prepare(dim3 block, Order order) {
  order_ = order;
  count_ = static_cast<int>(block.x * block.y * block.z);
  positions_.clear();
  for (unsigned z = 0; z < block.z; ++z)
    for (unsigned y = 0; y < block.y; ++y)
      for (unsigned x = 0; x < block.x; ++x) positions_.push_back({x, y, z});
  // A parked fiber may hold addresses of another CPU thread's variables, so all of them begin anew here.
  outside_ = std::make_unique<Fiber>();
  idle_.clear();
  for (const auto& fiber : fibers_) {
    fiber->restart();
    idle_.push_back(fiber.get());
  }
}

void Scheduler::run(const Call& call, Random random) {
  call_ = &call;
  random_ = random;
  done_ = spins_ = 0;
  error_ = nullptr;
  ring_head_ = ring_size_ = 0;
  for (int i = 0; i < count_; ++i) {
    thread(i) = Thread{};
    push(order_ == Order::reverse ? count_ - 1 - i : i);
  }
  Scheduler* const outer = std::exchange(active, this);
  running_ = outside_.get();
  switch_to(pop());
  running_ = nullptr;
  current_ = -1;
  active = outer;
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void Scheduler::push(int index) { ring_[(ring_head_ + ring_size_++) % kMaxThreads] = index; }

int Scheduler::pop() {
  if (order_ == Order::random && ring_size_ > 1) {
    const unsigned chosen = (ring_head_ + random_.below(ring_size_)) % kMaxThreads;
    std::swap(ring_[ring_head_], ring_[chosen]);
  }
  const int index = ring_[ring_head_];
  ring_head_ = (ring_head_ + 1) % kMaxThreads;
  --ring_size_;
  return index;
}

bool Scheduler::advance_background() {
  return background_ != nullptr && background_->advance(order_ == Order::random ? &random_ : nullptr);
}

// The thread whose turn it is, or -1 when all have ended. Copies run when no thread can, and by lot before.
int Scheduler::next() {
  if (ring_size_ > 0 && order_ != Order::random) return pop();
  if (by_lot(4)) advance_background();
  while (ring_size_ == 0 && done_ < count_ && advance_background()) {
  }
  if (ring_size_ > 0) return pop();
  if (done_ < count_) report_deadlock();
  return -1;
}

void Scheduler::set_current(int index) {
  current_ = index;
  threadIdx = positions_[static_cast<std::size_t>(index)];
}

Fiber* Scheduler::idle_fiber() {
  if (idle_.empty()) {
    fibers_.push_back(std::make_unique<Fiber>(kStackBytes, &fiber_entry));
    return fibers_.back().get();
  }
  Fiber* fiber = idle_.back();
  idle_.pop_back();
  return fiber;
}

void Scheduler::switch_to(int index) {
  Thread& target = thread(index);
  if (target.fiber == nullptr) target.fiber = idle_fiber();
  set_current(index);
  Fiber* const from = std::exchange(running_, target.fiber);
  Fiber::switch_to(*from, *target.fiber);
}

void Scheduler::fiber_entry() {
  Fiber::entered();
  active->fiber_main();
}

// Runs threads from their beginning, one after another; returns to run() when the block has ended or failed.
void Scheduler::fiber_main() {
  for (;;) {
    Fiber* const self = running_;
    current_thread().fiber = self;
    int following = -1;
    try {
      call_->run();
      finish();
      following = next();
    } catch (...) {
      error_ = std::current_exception();
    }
    if (following >= 0 && thread(following).fiber == nullptr) {
      set_current(following);
      continue;
    }
    idle_.push_back(self);
    if (following >= 0) {
      switch_to(following);
    } else {
      running_ = outside_.get();
      Fiber::switch_to(*self, *outside_);
    }
  }
}

void Scheduler::finish() {
  current_thread().done = true;
  current_thread().fiber = nullptr;
  ++done_;
  spins_ = 0;
}

void Scheduler::wait(const Waitable& what, Site site) {
  const int self = current_;
  Thread& thread = current_thread();
  thread.waits_for = &what;
  thread.site = site;
  const int following = next();
  if (following != self) switch_to(following);
}

void Scheduler::wake(int index) {
  thread(index).waits_for = nullptr;
  spins_ = 0;
  push(index);
}

void Scheduler::yield() {
  if (ring_size_ == 0) return;
  const int self = current_;
  push(self);
  const int following = pop();
  if (following != self) switch_to(following);
}

void Scheduler::spin(std::uint64_t what, Site site) {
  if (std::exchange(current_thread().polled, what) != what) spins_ = 0;
  if (++spins_ > kMostSpins) {
    throw Error(
        "livelock: thread " + std::to_string(current_) + " polls at " + where(site) +
        " for something that does not happen. Blocks run one after another, so a block must not wait for "
        "another one; split the work into two kernels");
  }
  advance_background();
  yield();
}

void Scheduler::report_deadlock() const {
  std::map<std::string, std::vector<int>> waiting;
  std::vector<int> ended;
  for (int i = 0; i < count_; ++i) {
    const Thread& thread = threads_[static_cast<std::size_t>(i)];
    if (thread.done) {
      ended.push_back(i);
    } else {
      waiting["wait at " + where(thread.site) + " for " + thread.waits_for->describe()].push_back(i);
    }
  }
  std::string text = "deadlock: no thread of the block can go on";
  for (const auto& [what, threads] : waiting) text += "\n  threads " + ranges(threads) + " " + what;
  if (!ended.empty()) text += "\n  threads " + ranges(ended) + " have ended";
  throw Deadlock(text);
}

}  // namespace simt::emulator
