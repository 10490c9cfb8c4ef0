// setmaxnreg: the registers of a block, which its warpgroups hand on.
#pragma once

#include <array>
#include <vector>

#include "simt/emulator/scheduler.h"

namespace simt::emulator {

class RegisterPool {
 public:
  explicit RegisterPool(Scheduler& scheduler) : scheduler_(scheduler) {}

  void begin_block();
  // By the running thread: takes effect when all threads of its warpgroup have called it.
  void set(int registers, bool increase, Site site);

 private:
  static constexpr int kWarpgroup = 128;

  struct Request final : Waitable {
    std::string describe() const override;

    int each = 0;  // registers of a thread now
    int wanted = 0;
    int arrived = 0;
    int free = 0;  // of the block, when it was described last
    bool increase = false;
    Site site;
    std::vector<int> waiting;
  };

  int threads_of(int warpgroup) const;
  void grant();

  Scheduler& scheduler_;
  int free_ = 0;
  bool used_ = true;
  std::array<Request, kMaxThreads / kWarpgroup> warpgroups_;
};

}  // namespace simt::emulator
