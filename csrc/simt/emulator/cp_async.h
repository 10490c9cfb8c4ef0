// Copies of 16 bytes from global to shared memory that a thread issues and waits for by itself (cp.async).
#pragma once

#include <deque>
#include <vector>

#include "simt/emulator/scheduler.h"
#include "simt/emulator/shared_memory.h"

namespace simt::emulator {

class RaceChecker;

class SmallCopies {
 public:
  SmallCopies(Scheduler& scheduler, const SharedMemory& shared) : scheduler_(scheduler), shared_(shared) {}

  void begin_block(RaceChecker* races);

  // By the running thread; see hopper.h.
  void issue(void* to, const void* from, int bytes, Site site);
  void commit();
  void wait(int groups);
  void ended() {
    if (used_) finish_all();
  }

 private:
  struct Copy {
    void* to;
    const void* from;
    std::size_t bytes;
    int group;
    Site site;
    bool moved;
  };
  struct ThreadState {
    int committed = 0;  // groups
    std::deque<Copy> copies;
  };

  ThreadState& state();  // of the running thread
  static void move(const Copy& copy);
  void finish(const Copy& copy);
  void finish_all();  // of the running thread

  Scheduler& scheduler_;
  const SharedMemory& shared_;
  RaceChecker* races_ = nullptr;
  std::vector<ThreadState> threads_;
  bool used_ = false;  // blocks that copy nothing pay nothing
};

}  // namespace simt::emulator
