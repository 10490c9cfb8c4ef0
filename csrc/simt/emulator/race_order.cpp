// What orders threads, engines and operations.

#include <algorithm>

#include "simt/emulator/race.h"

namespace simt::emulator {
namespace {

constexpr std::size_t kMostPages = 4096;  // their shadows take 340 MB

}  // namespace

// ---- Tables

void RaceChecker::join(std::vector<std::uint32_t>& table, int thread) const {
  const auto* row = &known_[entry(thread, 0)];
  const auto used = static_cast<std::size_t>(columns_in_use());
  for (std::size_t of = 0; of < used; ++of) table[of] = std::max(table[of], row[of]);
}

void RaceChecker::take_over(int thread, const std::vector<std::uint32_t>& table) {
  for (int of = 0; of < columns_in_use(); ++of) {
    if (of != thread) known(thread, of) = std::max(known(thread, of), table[static_cast<std::size_t>(of)]);
  }
}

// ---- What orders threads

void RaceChecker::begin_launch(const Operation& operation) {
  current_operation_ = number_of(operation);
  if (pages_.size() > kMostPages) pages_.clear();  // forgets what earlier operations did there
}

void RaceChecker::begin_block(int threads, std::uint64_t block, SharedMemory& shared) {
  if (threads != threads_) {
    threads_ = threads;
    known_.assign(static_cast<std::size_t>(threads) * columns(), 0);
  }
  forget_engines();
  block_ = static_cast<std::uint32_t>(block);
  shared_ = &shared;
  shared_shadow_.clear(shared_end_);
  shared_end_ = 0;
  barriers_.clear();
  all_threads_meet();
}

// All older clocks are now known to everyone; the tables' entries, being older, mean nothing any more.
void RaceChecker::all_threads_meet() {
  everyone_ = clock_++;
  for (int thread = 0; thread < threads_; ++thread) known(thread, thread) = clock_;
  // A time of an engine is no time of a thread: what one knows of it all know now, and no more.
  for (int engine = threads_; engine < columns_in_use(); ++engine) {
    std::uint32_t latest = 0;
    for (int thread = 0; thread < threads_; ++thread) latest = std::max(latest, known(thread, engine));
    for (int thread = 0; thread < threads_; ++thread) known(thread, engine) = latest;
  }
}

void RaceChecker::threads_meet(const std::vector<int>& threads) {
  for (const int thread : threads) arrive(thread, -1);
  leave(threads, -1);
}

void RaceChecker::arrive(int thread, int barrier) {
  auto& table = barriers_[barrier];
  table.resize(columns());
  join(table, thread);
  tick(thread);
}

void RaceChecker::leave(const std::vector<int>& threads, int barrier) {
  const auto& table = barriers_[barrier];
  for (const int thread : threads) take_over(thread, table);
  barriers_.erase(barrier);
}

// ---- What orders operations

std::uint32_t RaceChecker::number_of(const Operation& operation) {
  operations_.push_back(operation);
  return static_cast<std::uint32_t>(operations_.size());
}

bool RaceChecker::operations_ordered(const Access& old, const Access& now) const {
  const Operation& before = operations_[old.operation - 1];
  const Clock& clock = operations_[now.operation - 1].after;
  return before.stream < clock.size() && clock[before.stream] >= before.number;
}

// ---- Barriers that copies report to

void RaceChecker::mbarrier_arrive(int thread, int barrier) {
  MbarrierTimes& times = mbarriers_[barrier];
  times.pending.resize(columns());
  join(times.pending, thread);
  tick(thread);
}

void RaceChecker::mbarrier_brings(int barrier, const EngineWork& work) {
  MbarrierTimes& times = mbarriers_[barrier];
  times.pending.resize(columns());
  auto& time = times.pending[static_cast<std::size_t>(threads_ + work.engine)];
  time = std::max(time, work.time);
}

void RaceChecker::mbarrier_phase_ends(int barrier) {
  MbarrierTimes& times = mbarriers_[barrier];
  times.pending.resize(columns());
  times.ended.resize(columns());
  for (std::size_t of = 0; of < columns(); ++of)
    times.ended[of] = std::max(times.ended[of], times.pending[of]);
}

void RaceChecker::mbarrier_waited(int thread, int barrier) {
  MbarrierTimes& times = mbarriers_[barrier];
  times.ended.resize(columns());
  take_over(thread, times.ended);
}

// ---- Engines

void RaceChecker::forget_engines() {
  const int used = columns_in_use();
  for (int thread = 0; thread < threads_; ++thread) {
    for (int engine = threads_; engine < used; ++engine) known(thread, engine) = 0;
  }
  engines_.clear();
  mbarriers_.clear();
  fences_.resize(static_cast<std::size_t>(threads_));
  for (auto& times : fences_) times.clear();
}

void RaceChecker::fence_proxy(int thread) {
  fences_[static_cast<std::size_t>(thread)].push_back(known(thread, thread));
  tick(thread);
}

bool RaceChecker::fenced(const Access& old) const {
  const auto& times = fences_[old.thread];
  const auto fence = std::lower_bound(times.begin(), times.end(), old.time);
  return fence != times.end() && *fence <= std::max(view_.everyone, view_.times[old.thread]);
}

int RaceChecker::engine_of(EngineKind kind, int key) {
  const int next = std::min(static_cast<int>(engines_.size()), kMostEngines - 1);
  return engines_.try_emplace({kind, key}, next).first->second;
}

Knowledge RaceChecker::issue(int thread) {
  const auto* row = &known_[entry(thread, 0)];
  Knowledge knowledge{{row, row + columns()}, everyone_};
  tick(thread);
  return knowledge;
}

void RaceChecker::issue_together(int thread, Knowledge& knowledge) {
  if (knowledge.times.empty()) {
    knowledge = issue(thread);
    return;
  }
  const auto* row = &known_[entry(thread, 0)];
  for (std::size_t of = 0; of < columns(); ++of) knowledge.times[of] = std::min(knowledge.times[of], row[of]);
  knowledge.everyone = std::min(knowledge.everyone, everyone_);
  tick(thread);
}

EngineWork RaceChecker::begin_work(EngineKind kind, int key, const Knowledge& known, const char* what,
                                   int issuer, Site site) {
  return {engine_of(kind, key), ++clock_, &known, deed_of(what, issuer, site)};
}

void RaceChecker::learn(int thread, EngineKind kind, int key, std::uint32_t time) {
  auto& entry = known(thread, threads_ + engine_of(kind, key));
  entry = std::max(entry, time);
}

std::int32_t RaceChecker::deed_of(const char* what, int issuer, Site site) {
  const auto same = [&](const Deed& deed) {
    return deed.site.line() == site.line() && deed.site.column() == site.column() &&
           deed.site.file_name() == site.file_name() && deed.what == what && deed.issuer == issuer;
  };
  // Found among the latest as a rule: primitives follow each other in a few lines.
  const auto found = std::find_if(deeds_.rbegin(), deeds_.rend(), same);
  if (found != deeds_.rend()) return static_cast<std::int32_t>(deeds_.rend() - found - 1);
  deeds_.push_back({site, what, issuer});
  return static_cast<std::int32_t>(deeds_.size() - 1);
}

}  // namespace simt::emulator
