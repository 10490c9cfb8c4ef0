// Operations of a warp (32 consecutive threads): __syncwarp, shuffles, votes and small matrices.
//
// The lanes that a mask names meet; the last to arrive computes everyone's result. No lane is ahead of
// another in between unless the schedule says so: kernels that count on lockstep fail here as they do on a
// GPU.
#pragma once

#include <array>
#include <vector>

#include "simt/emulator/scheduler.h"

namespace simt::emulator {

class RaceChecker;
class SharedMemory;

class Warps {
 public:
  Warps(Scheduler& scheduler, const SharedMemory& shared) : scheduler_(scheduler), shared_(shared) {}

  void begin_block(RaceChecker* races);

  // See warp() in runtime.h.
  std::uint64_t operate(WarpOperation operation, unsigned mask, std::uint64_t value, int argument, int width,
                        Site site);

  // The running thread has ended: nobody may wait for it any more.
  void ended();

 private:
  static constexpr unsigned kLanes = 32;

  struct Meeting final : Waitable {
    std::string describe() const override;

    WarpOperation operation{};
    unsigned mask = 0;
    unsigned arrived = 0;  // 0: this place is free
    int width = 0;
    int warp = 0;
    Site site;  // of the first to arrive
    std::array<std::uint64_t, kLanes> values{};
    std::array<int, kLanes> arguments{};
  };
  // Lanes of one warp may be in several meetings at a time, with masks that have no lane in common.
  struct Warp {
    unsigned ended = 0;  // lanes
    std::vector<std::unique_ptr<Meeting>> meetings;
  };

  void check(const Warp& warp, unsigned lane, unsigned mask, WarpOperation operation, int width,
             Site site) const;
  Meeting& join(Warp& warp, int index, unsigned lane, unsigned mask, WarpOperation operation, int width,
                Site site);
  void complete(Meeting& meeting);
  void report_rows(const Meeting& meeting);                  // of ldmatrix and stmatrix, to the race checker
  static std::uint64_t count_votes(const Meeting& meeting);  // a bit for each lane
  static std::uint64_t shuffled(const Meeting& meeting, unsigned lane);

  Scheduler& scheduler_;
  const SharedMemory& shared_;
  RaceChecker* races_ = nullptr;
  std::array<Warp, kMaxThreads / kLanes> warps_;
};

}  // namespace simt::emulator
