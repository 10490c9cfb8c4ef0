// Barriers, and the reports of a barrier used wrongly.

#include "simt/emulator/barriers.h"

#include <algorithm>
#include <string_view>

#include "simt/emulator/race.h"
#include "simt/emulator/text.h"

namespace simt::emulator {
namespace {

constexpr int kWarp = 32;

bool same_place(const Site& a, const Site& b) {
  if (a.line() != b.line() || a.column() != b.column()) return false;
  return a.file_name() == b.file_name() || std::string_view(a.file_name()) == b.file_name();
}

int outcome(Vote vote, int votes, int threads) {
  switch (vote) {
    case Vote::any:
      return votes > 0;
    case Vote::all:
      return votes == threads;
    case Vote::count:
      return votes;
    case Vote::none:
      break;
  }
  return 0;
}

}  // namespace

std::string Barriers::Barrier::describe() const {
  const std::string name = whole_block ? "__syncthreads" : "barrier " + std::to_string(id);
  return name + ": " + std::to_string(arrived.size()) + " of " + std::to_string(expected) +
         " threads arrived";
}

void Barriers::begin_block(RaceChecker* races) {
  races_ = races;
  for (int id = 0; id < kCount; ++id) {
    Barrier& barrier = barriers_[static_cast<std::size_t>(id)];
    barrier.id = id;
    barrier.arrived.clear();
    barrier.waiting.clear();
  }
}

void Barriers::check(const Barrier& barrier, int expected, bool whole_block, Vote vote, Site site) const {
  const int self = scheduler_.current();
  const auto name = [&] { return "barrier " + std::to_string(barrier.id); };
  if (!whole_block && (expected <= 0 || expected % kWarp != 0 || expected > kMaxThreads)) {
    throw Error(name() + " at " + where(site) + ": " + std::to_string(expected) +
                " threads; the number must be a positive multiple of 32 (whole warps)");
  }
  if (barrier.arrived.empty()) return;
  const bool divergent = !same_place(barrier.site, site) || barrier.vote != vote;
  if (whole_block && divergent) {
    throw Error("divergent __syncthreads: threads " + ranges(barrier.arrived) + " wait at " +
                where(barrier.site) + ", thread " + std::to_string(self) + " came to " + where(site) +
                ". All threads of a block must come to the same __syncthreads; move it out of the branch");
  }
  if (barrier.expected != expected) {
    throw Error(name() + ": " + std::to_string(barrier.expected) + " threads were announced at " +
                where(barrier.site) + ", " + std::to_string(expected) + " at " + where(site) +
                "; all who use a barrier must agree");
  }
  // Only barrier_arrive lets a thread go on and come back.
  if (barrier.arrived.size() == barrier.waiting.size()) return;
  if (std::find(barrier.arrived.begin(), barrier.arrived.end(), self) != barrier.arrived.end()) {
    throw Error(name() + " at " + where(site) + ": thread " + std::to_string(self) +
                " arrives twice before the others have arrived once");
  }
}

int Barriers::arrive(int id, int threads, bool wait, Vote vote, bool predicate, Site site) {
  Barrier& barrier = barriers_[static_cast<std::size_t>(id)];
  const bool whole_block = threads < 0;
  const int expected = whole_block ? scheduler_.threads() : threads;
  check(barrier, expected, whole_block, vote, site);
  if (barrier.arrived.empty()) {
    barrier.expected = expected;
    barrier.whole_block = whole_block;
    barrier.vote = vote;
    barrier.votes = 0;
    barrier.site = site;
  }
  barrier.votes += predicate;
  barrier.arrived.push_back(scheduler_.current());
  if (races_ != nullptr && !whole_block) races_->arrive(scheduler_.current(), id);
  if (wait) barrier.waiting.push_back(scheduler_.current());
  if (static_cast<int>(barrier.arrived.size()) == expected) return complete(barrier);
  if (!wait) return 0;
  scheduler_.wait(barrier, site);
  return static_cast<int>(scheduler_.current_thread().result);
}

// The running thread is the last to arrive: it wakes the others and queues up behind them.
int Barriers::complete(Barrier& barrier) {
  const int self = scheduler_.current();
  const int result = outcome(barrier.vote, barrier.votes, barrier.expected);
  for (const int index : barrier.waiting) {
    if (index == self) continue;
    scheduler_.thread(index).result = static_cast<std::uint64_t>(result);
    scheduler_.wake(index);
  }
  if (races_ != nullptr && barrier.whole_block) races_->all_threads_meet();
  if (races_ != nullptr && !barrier.whole_block) races_->leave(barrier.waiting, barrier.id);
  const bool waits = !barrier.waiting.empty() && barrier.waiting.back() == self;
  barrier.arrived.clear();
  barrier.waiting.clear();
  if (waits) scheduler_.yield();
  return result;
}

}  // namespace simt::emulator
