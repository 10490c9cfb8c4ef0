// Barriers in shared memory that count arrivals of threads and bytes of copies (mbarrier in PTX).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "simt/emulator/scheduler.h"
#include "simt/emulator/shared_memory.h"

namespace simt::emulator {

class RaceChecker;
struct EngineWork;

class Mbarriers {
 public:
  Mbarriers(Scheduler& scheduler, const SharedMemory& shared) : scheduler_(scheduler), shared_(shared) {}

  void begin_block(RaceChecker* races);
  // What is wrong when the block ends now, or nothing.
  std::string end_block() const;

  // By the running thread; see hopper.h.
  void initialise(void* barrier, std::uint32_t count, Site site);
  void fence();
  void arrive(void* barrier, std::uint32_t bytes, Site site);
  bool test(void* barrier, std::uint32_t parity, Site site);
  void wait(void* barrier, std::uint32_t parity, Site site);

  // By a copy: that it was issued, and that its bytes are there. The number of the barrier is for the second.
  int announce_copy(void* barrier, Site site);
  void complete_copy(int barrier, std::uint32_t bytes, const EngineWork* work, Site site);

 private:
  struct Barrier final : Waitable {
    std::string describe() const override;

    const SharedMemory* shared = nullptr;
    void* address = nullptr;
    std::uint32_t count = 0;
    std::uint32_t pending = 0;  // arrivals that this phase still lacks
    std::int64_t bytes = 0;     // that were announced and are not there; may be negative for a while
    std::uint64_t phase = 0;    // how many have ended
    bool fenced = false;
    int initialiser = 0;
    int number = 0;
    Site copy;                     // the latest
    std::uint64_t copy_phase = 0;  // 1 + the phase in which that was issued
    std::uint64_t seen_phase = 0;  // how many a thread has seen end
    std::vector<int> waiting;
  };

  Barrier& find(void* address, const char* what, Site site);
  bool ended(Barrier& barrier, std::uint32_t parity, const char* what, Site site);
  void settle(Barrier& barrier, Site site);
  std::string name(const void* address) const;

  Scheduler& scheduler_;
  const SharedMemory& shared_;
  RaceChecker* races_ = nullptr;
  std::vector<std::unique_ptr<Barrier>> barriers_;  // kept for the next block
  std::size_t used_ = 0;
};

}  // namespace simt::emulator
