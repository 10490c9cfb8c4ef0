// Runs the threads of one block in turns on one CPU thread: a fiber each, and a queue of those that can go
// on.
//
// A thread runs until it waits (wait()) or ends. One that never waits needs no fiber of its own: the next
// thread starts on the same stack, so kernels without barriers cost no switch.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "simt/emulator/fiber.h"
#include "simt/emulator/runtime.h"
#include "simt/emulator/settings.h"

namespace simt::emulator {

constexpr int kMaxThreads = 1024;  // of a block, on every GPU

// What a thread can wait for. The text goes into the report of a deadlock: "barrier 1: 64 of 128 threads
// arrived".
class Waitable {
 public:
  virtual std::string describe() const = 0;

 protected:
  ~Waitable() = default;
};

// Work that goes on beside the threads of a block: copies that are under way.
class Background {
 public:
  // Does a piece of it; false when there is none. `random` draws which one; null: the oldest.
  virtual bool advance(Random* random) = 0;

 protected:
  ~Background() = default;
};

// No thread of the block can go on. Other errors are the running thread's.
struct Deadlock : Error {
  using Error::Error;
};

struct Thread {
  Fiber* fiber = nullptr;  // null: has not begun
  bool done = false;
  const Waitable* waits_for = nullptr;
  Site site;
  std::uint64_t result = 0;  // of the operation it waited for
  std::uint64_t polled = 0;  // the latest argument of spin()
};

class Scheduler {
 public:
  Scheduler();

  void set_background(Background* background) { background_ = background; }
  Order order() const { return order_; }

  // Before the first block of a launch, on the CPU thread that will run it.
  void prepare(dim3 block, Order order);

  // One block. `random` decides the turns when the order is random. Rethrows what a thread threw; after that
  // this object is of no more use, since the others were left where they waited.
  void run(const Call& call, Random random);

  int threads() const { return count_; }
  int current() const { return current_; }  // -1 outside run()
  // Whether the address is on the stack of the running thread.
  bool on_stack(const void* address) const { return running_ != nullptr && running_->owns(address); }
  Thread& thread(int index) { return threads_[static_cast<std::size_t>(index)]; }
  Thread& current_thread() { return thread(current_); }

  // Called by the running thread: runs others until some thread wakes this one.
  void wait(const Waitable& what, Site site);
  void wake(int index);
  // True for one in `odds` calls under a random order, never under another one.
  bool by_lot(unsigned odds) { return order_ == Order::random && random_.below(odds) == 0; }
  // Called by the running thread: lets the others that can run go first.
  void yield();
  // yield() of a thread that polls; `what` stands for what it asked and was told. Throws when nothing else
  // has happened in the block for millions of polls.
  void spin(std::uint64_t what, Site site);

 private:
  static void fiber_entry();
  void fiber_main();
  void push(int index);
  int pop();
  int next();
  bool advance_background();
  void finish();
  void set_current(int index);
  void switch_to(int index);
  Fiber* idle_fiber();
  [[noreturn]] void report_deadlock() const;

  const Call* call_ = nullptr;
  Background* background_ = nullptr;
  Order order_ = Order::forward;
  Random random_{0};
  int count_ = 0;
  int current_ = -1;
  int done_ = 0;
  int spins_ = 0;
  std::exception_ptr error_;
  std::vector<Thread> threads_;
  std::vector<uint3> positions_;  // threadIdx of each thread

  std::vector<int> ring_;  // the queue
  unsigned ring_head_ = 0;
  unsigned ring_size_ = 0;

  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
  std::unique_ptr<Fiber> outside_;  // the caller of run()
  Fiber* running_ = nullptr;
};

}  // namespace simt::emulator
