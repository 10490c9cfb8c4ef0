// One thread block in the making: its scheduler, barriers, warps and shared memory. An object runs block
// after block on one CPU thread and is kept for the next launch.
#pragma once

#include "simt/emulator/barriers.h"
#include "simt/emulator/cp_async.h"
#include "simt/emulator/mbarrier.h"
#include "simt/emulator/race.h"
#include "simt/emulator/register_pool.h"
#include "simt/emulator/scheduler.h"
#include "simt/emulator/shared_memory.h"
#include "simt/emulator/tma.h"
#include "simt/emulator/warps.h"
#include "simt/emulator/wgmma.h"

namespace simt::emulator {

// What all blocks of a launch have in common.
struct Grid {
  dim3 grid, block;
  std::size_t shared_bytes;
  const Call* call;
  Site site;  // of the launch
  Schedule schedule;
  const Operation* operation;
};

class Block {
 public:
  void begin_launch(const Grid& grid);
  // Throws simt::Error, with block, thread and launch in its text; after that this object is of no more use.
  void run(std::uint64_t index);

  // The block whose thread is running on this CPU thread, or null.
  static Block* current();
  // The same, for primitives, which must not be called outside a kernel.
  static Block& here();

  Scheduler scheduler;
  SharedMemory shared;
  Barriers barriers{scheduler};
  Warps warps{scheduler, shared};
  Mbarriers mbarriers{scheduler, shared};
  BulkCopies bulk_copies{scheduler, shared, mbarriers};
  SmallCopies small_copies{scheduler, shared};
  Warpgroups warpgroups{scheduler, shared};
  RegisterPool registers{scheduler};

  // The running thread has come to the end of the kernel.
  void thread_ended();

 private:
  void begin_block(RaceChecker* races);
  std::string run_threads(std::uint64_t index);

  Grid grid_{};
};

}  // namespace simt::emulator
