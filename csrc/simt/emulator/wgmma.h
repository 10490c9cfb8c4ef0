// The matrix units: wgmma of the warpgroups of a block (128 consecutive threads each).
//
// An operation is issued when all 128 threads have called it, and done later: in a forward schedule when a
// thread waits for it, in a reverse one at once, in a random one by lot. Meanwhile its accumulators are here
// and not in the threads' registers, which hold NaN until a wgmma_wait names them.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <vector>

#include "simt/emulator/hopper_runtime.h"
#include "simt/emulator/race.h"
#include "simt/emulator/scheduler.h"
#include "simt/emulator/shared_memory.h"
#include "simt/emulator/wgmma_operand.h"
#include "simt/hopper.h"

namespace simt::emulator {

class Warpgroups {
 public:
  Warpgroups(Scheduler& scheduler, const SharedMemory& shared) : scheduler_(scheduler), shared_(shared) {}

  void begin_block(RaceChecker* races);

  // By the running thread; see hopper.h.
  void issue(const WgmmaOperands& operands, Site site);
  void fence();
  void commit();
  void wait(int groups, float* const (&named)[8], Site site);
  void ended() {
    if (used_) check_taken_back();
  }

  // The wgmma that holds the accumulator at this address of the running thread's, or null.
  const Site* holder(const void* address) const;

 private:
  static constexpr std::size_t kThreads = 128;

  // 64 x columns accumulators in flight.
  struct Tile {
    std::vector<float> values;
    std::size_t columns = 0;
    std::size_t holders = 0;  // threads that have not taken theirs back
  };

  struct Multiplication final : Waitable {
    std::string describe() const override;

    WgmmaOperands operands{};  // of the first thread
    int warpgroup = 0;
    int group = 0;
    Tile* tile = nullptr;
    std::array<std::array<std::uint32_t, 4>, kThreads> a{};  // registers
    std::size_t arrived = 0;
    std::vector<int> waiting;
    Site site;
    Knowledge known;  // in the race build
  };

  // A thread's accumulators in flight, and registers of A that it must not touch.
  struct Loan {
    Tile* tile;
    float* d;
    std::size_t size;
    std::size_t latest;  // number of the latest operation on it
    Site site;
  };
  struct PinnedA {
    const std::uint32_t* registers;
    std::array<std::uint32_t, 4> values;  // when the operation was issued
    std::size_t operation;
    Site site;
  };
  struct ThreadState {
    std::size_t issued = 0;
    std::vector<std::size_t> commits;  // how many were issued at the end of each group
    bool fenced = false;               // since accumulators came back
    bool fenced_in_group = false;
    std::vector<Loan> loans;
    std::vector<PinnedA> pinned;
  };

  struct Warpgroup {
    std::size_t executed = 0;
    std::deque<std::unique_ptr<Multiplication>> operations;  // those after
    std::vector<std::uint32_t> times;                        // of those executed, in the race build
    std::array<ThreadState, kThreads> threads;
  };

  Warpgroup& warpgroup(int thread) { return *warpgroups_[static_cast<std::size_t>(thread) / kThreads]; }
  Multiplication& join(Warpgroup& group, ThreadState& thread, const WgmmaOperands& operands, Site site);
  void lend(ThreadState& thread, Multiplication& operation, const WgmmaOperands& operands, std::size_t number,
            Site site);
  void execute(Warpgroup& group, std::size_t count);
  void multiply(const Multiplication& operation, std::vector<std::uint32_t>& times);
  void read(const Operand& operand, const EngineWork& work, float* out) const;
  void take_back(ThreadState& thread, std::size_t done, float* const (&named)[8], Site site);
  static void check_pinned(ThreadState& thread, std::size_t done, Site site);
  void check_taken_back();
  Tile* new_tile(std::size_t columns);

  Scheduler& scheduler_;
  const SharedMemory& shared_;
  RaceChecker* races_ = nullptr;
  std::vector<std::unique_ptr<Warpgroup>> warpgroups_;
  std::vector<std::unique_ptr<Tile>> tiles_;
  bool used_ = false;
};

}  // namespace simt::emulator
