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
#pragma once

#include <array>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "simt/emulator/address_space.h"
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

  // A thread of the block touches memory. `code`: the return address in the kernel.
  void access(int thread, const void* memory, std::size_t bytes, AccessKind kind, const void* code);
  // A copy of an operation or of the host does.
  void copy_access(const Operation& operation, const void* memory, std::size_t bytes, AccessKind kind);

  // The reports since the last call, one a line; empty when there are none.
  std::string take_reports();

 private:
  static constexpr std::uint16_t kNoThread = 0xffff;

  std::size_t entry(int thread, int of) const {
    return static_cast<std::size_t>(thread) * static_cast<std::size_t>(threads_) +
           static_cast<std::size_t>(of);
  }
  // Up to when `thread` knows what `of` did; its own clock for itself.
  std::uint32_t& known(int thread, int of) { return known_[entry(thread, of)]; }
  std::uint32_t known(int thread, int of) const { return known_[entry(thread, of)]; }
  void tick(int thread) { known(thread, thread) = ++clock_; }
  bool ordered(const Access& old, const Access& now) const {
    if (old.operation != now.operation) return operations_ordered(old, now);
    if (old.block != now.block) return false;
    return old.time <= everyone_ || old.thread == now.thread || old.time <= known(now.thread, old.thread);
  }
  bool operations_ordered(const Access& old, const Access& now) const;
  const Region* region_of(const void* memory);
  void check_cell(Shadow::Cell& cell, Access now, AccessKind kind, const void* memory);
  void shared_access(const Access& now, const void* memory, std::size_t bytes, AccessKind kind);
  void global_access(const Access& now, const void* memory, std::size_t bytes, AccessKind kind,
                     const Region& region);
  // Adds text() to the reports, unless there are many, or one of this kind and line.
  template <class Text>
  void report(const char* kind, const Access& now, Text text);
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
