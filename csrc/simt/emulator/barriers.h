// The sixteen barriers of a block: 0 is __syncthreads, 1 to 15 are simt::barrier_sync and barrier_arrive.
#pragma once

#include <array>
#include <vector>

#include "simt/emulator/scheduler.h"

namespace simt::emulator {

class RaceChecker;

class Barriers {
 public:
  explicit Barriers(Scheduler& scheduler) : scheduler_(scheduler) {}

  void begin_block(RaceChecker* races);

  // See barrier() in runtime.h.
  int arrive(int id, int threads, bool wait, Vote vote, bool predicate, Site site);

 private:
  static constexpr int kCount = 16;

  struct Barrier final : Waitable {
    std::string describe() const override;

    int id = 0;
    int expected = 0;
    int votes = 0;  // how many predicates were true
    bool whole_block = false;
    Vote vote = Vote::none;
    Site site;  // of the first to arrive
    std::vector<int> arrived;
    std::vector<int> waiting;
  };

  void check(const Barrier& barrier, int expected, bool whole_block, Vote vote, Site site) const;
  int complete(Barrier& barrier);

  Scheduler& scheduler_;
  RaceChecker* races_ = nullptr;
  std::array<Barrier, kCount> barriers_;
};

}  // namespace simt::emulator
