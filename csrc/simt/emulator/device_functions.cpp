// What the inline functions of intrinsics.h call, handed to the block that is running.

#include <algorithm>

#include "simt/emulator/block.h"

namespace simt::emulator {

void* shared_static(const void* key, std::size_t bytes, std::size_t align, const char* name, Site site) {
  return Block::here().shared.object(key, bytes, align, name, site);
}

void* shared_dynamic(std::size_t bytes, std::size_t align, const char* name, Site site) {
  return Block::here().shared.dynamic(bytes, align, name, site);
}

int barrier(int id, int threads, bool wait, Vote vote, bool predicate, Site site) {
  return Block::here().barriers.arrive(id, threads, wait, vote, predicate, site);
}

std::uint64_t warp(WarpOperation operation, unsigned mask, std::uint64_t value, int argument, int width,
                   Site site) {
  return Block::here().warps.operate(operation, mask, value, argument, width, site);
}

void spin(Site site) { Block::here().scheduler.spin(0, site); }

namespace {

template <class T>
T combine(AtomicOperation operation, T old, T value, T compare) {
  switch (operation) {
    // Through unsigned: CUDA's addition wraps around.
    case AtomicOperation::add:
      return static_cast<T>(static_cast<std::make_unsigned_t<T>>(old) +
                            static_cast<std::make_unsigned_t<T>>(value));
    case AtomicOperation::minimum:
      return std::min(old, value);
    case AtomicOperation::maximum:
      return std::max(old, value);
    case AtomicOperation::conjunction:
      return old & value;
    case AtomicOperation::disjunction:
      return old | value;
    case AtomicOperation::exchange:
      return value;
    case AtomicOperation::compare_exchange:
      return old == compare ? value : old;
  }
  return old;
}

}  // namespace

// Other blocks may be running on other CPU threads, so it is atomic here too. An atomic that changes nothing
// may be the poll of a thread that waits for another one, so it gives way.
template <class T>
T atomic(AtomicOperation operation, T* address, T value, T compare, Site site) {
  Scheduler& scheduler = Block::here().scheduler;
  if constexpr (kRaceBuild) {
    RaceChecker::instance().access(scheduler.current(), address, sizeof(T), AccessKind::atomic,
                                   __builtin_return_address(0));
  }
  T old = __atomic_load_n(address, __ATOMIC_RELAXED);
  T changed = combine(operation, old, value, compare);
  while (!__atomic_compare_exchange_n(address, &old, changed, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
    changed = combine(operation, old, value, compare);
  }
  if (changed == old) {
    const auto question = reinterpret_cast<std::uintptr_t>(address) ^ static_cast<std::uint64_t>(value) << 32;
    scheduler.spin(question ^ static_cast<std::uint64_t>(old), site);
  }
  return old;
}

template int atomic(AtomicOperation, int*, int, int, Site);
template unsigned atomic(AtomicOperation, unsigned*, unsigned, unsigned, Site);
template unsigned long long atomic(AtomicOperation, unsigned long long*, unsigned long long,
                                   unsigned long long, Site);

}  // namespace simt::emulator
