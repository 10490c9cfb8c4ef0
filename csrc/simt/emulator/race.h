// Finds data races: two accesses to the same bytes, one of them a write, that no barrier, event or end of a
// kernel puts in order. It decides by what orders them, not by what happened, so one run in any schedule is
// enough.
//
// The race build compiles kernels with -fsanitize=thread and links race_hooks.cpp instead of g++'s runtime;
// every read and write of a kernel then comes here. In other builds nothing calls access().
//
// Every thread has a clock, and a table of what it knows of the others' clocks (vector clocks). Passing
// something that orders threads joins tables. What all threads know since the last __syncthreads is one
// number, `everyone_`, so kernels that use nothing else pay for no tables.
//
// Copies and matrix operations that go on beside the threads belong to engines, which have columns in these
// tables. Such work is ordered after what its issuer knew when it issued it, and its time becomes known to
// those who wait for it.
#pragma once

#include <array>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "simt/emulator/address_space.h"
#include "simt/emulator/scheduler.h"
#include "simt/emulator/shadow.h"
#include "simt/emulator/shared_memory.h"
#include "simt/emulator/streams.h"

namespace simt::emulator {

#if defined(SIMT_EMULATOR_RACE)
inline constexpr bool kRaceBuild = true;
#else
inline constexpr bool kRaceBuild = false;
#endif

enum class AccessKind { read, write, atomic };

// What some thread knew at some time.
struct Knowledge {
  std::vector<std::uint32_t> times;
  std::uint32_t everyone = 0;
};

enum class EngineKind { load, store_read, store_write, matrix };

// A piece of work of an engine: when, after what, and (deed) on whose behalf.
struct EngineWork {
  int engine = 0;
  std::uint32_t time = 0;
  const Knowledge* known = nullptr;
  std::int32_t deed = 0;
};

class RaceChecker {
 public:
  static RaceChecker& instance();

  // There is one checker for all: hold this lock during a launch or a copy.
  std::mutex& mutex() { return mutex_; }

  void begin_launch(const Operation& operation);
  void begin_block(int threads, std::uint64_t block, SharedMemory& shared);

  // What orders threads.
  void all_threads_meet();                             // __syncthreads
  void threads_meet(const std::vector<int>& threads);  // __syncwarp
  void arrive(int thread, int barrier);                // at a named barrier
  void leave(const std::vector<int>& threads, int barrier);

  void mbarrier_arrive(int thread, int barrier);
  void mbarrier_brings(int barrier, const EngineWork& work);  // work that this phase waits for is done
  void mbarrier_phase_ends(int barrier);
  void mbarrier_waited(int thread, int barrier);
  void fence_proxy(int thread);

  // Engines. There is one for each mbarrier that loads report to, thread that stores, and warpgroup (`key`).
  Knowledge issue(int thread);                            // what the thread knows when it issues work
  void issue_together(int thread, Knowledge& knowledge);  // what all who issue it know
  EngineWork begin_work(EngineKind kind, int key, const Knowledge& known, const char* what, int issuer,
                        Site site);
  void learn(int thread, EngineKind kind, int key, std::uint32_t time);
  void engine_access(const EngineWork& work, const void* memory, std::size_t bytes, AccessKind kind);

  // A thread of the block touches memory in a primitive, or an accumulator that a wgmma at `lent` holds.
  void access(int thread, const void* memory, std::size_t bytes, AccessKind kind, Site site);
  void accumulator_access(int thread, AccessKind kind, const void* code, Site lent);

  // A thread of the block touches memory. `code`: the return address in the kernel.
  void access(int thread, const void* memory, std::size_t bytes, AccessKind kind, const void* code);
  // A copy of an operation or of the host does.
  void copy_access(const Operation& operation, const void* memory, std::size_t bytes, AccessKind kind);

  // The reports since the last call, one a line; empty when there are none.
  std::string take_reports();

 private:
  static constexpr std::size_t kMostReports = 8;
  static constexpr std::uint16_t kNoThread = 0xffff;
  static constexpr std::uint16_t kFirstEngine = kMaxThreads;  // numbers of engines in Access::thread
  static constexpr int kMostEngines = 64;                     // more share the last one

  // Where in the source something was done, by which primitive, and for engines on behalf of whom.
  struct Deed {
    Site site;
    const char* what;
    int issuer;
  };
  struct MbarrierTimes {
    std::vector<std::uint32_t> pending, ended;
  };

  std::size_t columns() const { return static_cast<std::size_t>(threads_ + kMostEngines); }
  int columns_in_use() const { return threads_ + static_cast<int>(engines_.size()); }
  std::size_t column(const Access& access) const {
    const bool engine = access.thread >= kFirstEngine;
    return engine ? static_cast<std::size_t>(threads_ + access.thread - kFirstEngine) : access.thread;
  }
  std::size_t entry(int thread, int of) const {
    return static_cast<std::size_t>(thread) * columns() + static_cast<std::size_t>(of);
  }
  // Up to when `thread` knows what `of` did; its own clock for itself.
  std::uint32_t& known(int thread, int of) { return known_[entry(thread, of)]; }
  std::uint32_t known(int thread, int of) const { return known_[entry(thread, of)]; }
  void tick(int thread) { known(thread, thread) = ++clock_; }
  // Who looks: the thread, or the engine with what its work was issued after.
  struct View {
    const std::uint32_t* times;
    std::uint32_t everyone;
  };
  bool ordered(const Access& old, const Access& now) const {
    if (old.operation != now.operation) return operations_ordered(old, now);
    if (old.block != now.block) return false;
    if (old.thread < kFirstEngine && (old.thread == now.thread || old.time <= view_.everyone)) return true;
    return old.time <= view_.times[column(old)];
  }
  // Whether its thread called fence_proxy_async after it, and the view knows that.
  bool fenced(const Access& old) const;
  void join(std::vector<std::uint32_t>& table, int thread) const;       // the table learns
  void take_over(int thread, const std::vector<std::uint32_t>& table);  // the thread learns
  void forget_engines();
  int engine_of(EngineKind kind, int key);
  std::int32_t deed_of(const char* what, int issuer, Site site);
  Access access_of(int thread, AccessKind kind);
  void look(const Access& now, const void* memory, std::size_t bytes, AccessKind kind);
  bool operations_ordered(const Access& old, const Access& now) const;
  const Region* region_of(const void* memory);
  void check_cell(Shadow::Cell& cell, Access now, AccessKind kind, const void* memory);
  void check_proxy(const Shadow::Cell& cell, const Access& now, AccessKind kind, const void* memory);
  void shared_access(const Access& now, const void* memory, std::size_t bytes, AccessKind kind);
  void global_access(const Access& now, const void* memory, std::size_t bytes, AccessKind kind,
                     const Region& region);
  // Adds text() to the reports, unless there are many, or one of this kind and line.
  template <class Text>
  void report(const char* kind, const Access& now, Text text) {
    if (reports_.size() >= kMostReports) return;
    const std::string key =
        std::string(kind) + std::to_string(now.code) + "," + std::to_string(now.operation);
    if (reported_.insert(key).second) reports_.push_back(std::string(kind) + ": " + text());
  }
  void unknown_access(const Access& now, const void* memory, std::size_t bytes, AccessKind kind);
  void report_race(const Access& old, const char* old_verb, const Access& now, AccessKind kind,
                   const void* memory);
  std::string who(const Access& access) const;
  std::string place(const void* memory) const;
  std::uint32_t number_of(const Operation& operation);
  Shadow& shadow_of(const Region& region);

  std::mutex mutex_;
  int threads_ = 0;
  std::uint32_t block_ = 0;
  std::uint32_t clock_ = 0;
  std::uint32_t everyone_ = 0;
  std::vector<std::uint32_t> known_;                    // row: a thread; column: of whom
  std::map<int, std::vector<std::uint32_t>> barriers_;  // what the arrived knew
  std::map<int, MbarrierTimes> mbarriers_;
  std::map<std::pair<EngineKind, int>, int> engines_;
  std::vector<std::vector<std::uint32_t>> fences_;  // of each thread: when it called fence_proxy_async
  View view_{};
  std::vector<Deed> deeds_;
  SharedMemory* shared_ = nullptr;
  Shadow shared_shadow_{SharedMemory::kArenaBytes};
  std::size_t shared_end_ = 0;  // how far shared_shadow_ is in use

  std::vector<Operation> operations_;  // Access::operation counts from 1
  std::uint32_t current_operation_ = 0;
  std::map<std::uint64_t, Shadow> shadows_;  // by Region::id
  std::vector<Region> regions_;              // those met since the address space changed
  std::uint64_t regions_version_ = 0;
  std::unordered_map<std::uintptr_t, Shadow> pages_;  // of memory that nobody registered

  std::vector<std::string> reports_;
  std::set<std::string> reported_;
};

}  // namespace simt::emulator
