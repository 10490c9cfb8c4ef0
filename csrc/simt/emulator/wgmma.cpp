// Matrix units: issuing, doing and waiting, and the reports of one used wrongly.

#include "simt/emulator/wgmma.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "simt/emulator/bf16.h"
#include "simt/emulator/matrix_tile.h"
#include "simt/emulator/race.h"
#include "simt/emulator/text.h"
#include "simt/emulator/wgmma_operand.h"

namespace simt::emulator {
namespace {

constexpr std::uint32_t kInFlight = 0x7fc0'dead;  // a NaN that arithmetic does not make

// Calls visit(index of d, row, column) for the accumulators of a thread; see hopper.h.
template <class Visit>
void for_each_accumulator(std::size_t thread, std::size_t size, Visit visit) {
  const std::size_t row = thread / 32 * 16 + thread % 32 / 4;
  const std::size_t column = thread % 4 * 2;
  for (std::size_t e = 0; e < size; ++e) visit(e, row + e / 2 % 2 * 8, column + e / 4 * 8 + e % 2);
}

// Read past AddressSanitizer: the variable may have gone out of scope, which is the caller's mistake to
// report.
#if defined(__SANITIZE_ADDRESS__)
__attribute__((no_sanitize("address"), noinline))
#endif
bool same_registers(const std::uint32_t* registers, const std::array<std::uint32_t, 4>& values) {
  bool same = true;
  for (std::size_t i = 0; i < 4; ++i) same &= registers[i] == values[i];
  return same;
}

}  // namespace

std::string Warpgroups::Multiplication::describe() const {
  return "the wgmma at " + where(site) + ", which " + std::to_string(arrived) +
         " of 128 threads of warpgroup " + std::to_string(warpgroup) + " have issued";
}

void Warpgroups::begin_block(RaceChecker* races) {
  races_ = races;
  if (!used_) return;
  used_ = false;
  for (auto& group : warpgroups_) *group = Warpgroup{};
  for (auto& tile : tiles_) tile->holders = 0;
}

Warpgroups::Tile* Warpgroups::new_tile(std::size_t columns) {
  Tile* tile = nullptr;
  for (const auto& candidate : tiles_) {
    if (candidate->holders == 0) tile = candidate.get();
  }
  if (tile == nullptr) {
    tiles_.push_back(std::make_unique<Tile>());
    tile = tiles_.back().get();
    tile->values.resize(64 * 256);
  }
  tile->columns = columns;
  tile->holders = kThreads;
  return tile;
}

// ---- Issuing

Warpgroups::Multiplication& Warpgroups::join(Warpgroup& group, ThreadState& thread,
                                             const WgmmaOperands& operands, Site site) {
  const int self = scheduler_.current();
  const std::size_t index = thread.issued - group.executed;
  const int commits = static_cast<int>(thread.commits.size());
  if (index == group.operations.size()) {
    auto& made = group.operations.emplace_back(std::make_unique<Multiplication>());
    made->operands = operands;
    made->warpgroup = self / static_cast<int>(kThreads);
    made->group = commits;
    made->site = site;
    const auto held = std::find_if(thread.loans.begin(), thread.loans.end(),
                                   [&](const Loan& loan) { return loan.d == operands.d; });
    made->tile =
        held != thread.loans.end() ? held->tile : new_tile(static_cast<std::size_t>(operands.size) * 2);
  }
  Multiplication& operation = *group.operations[index];
  const WgmmaOperands& first = operation.operands;
  const bool same = first.size == operands.size && first.a == operands.a && first.b == operands.b &&
                    first.major_a == operands.major_a && first.major_b == operands.major_b &&
                    first.add == operands.add && operation.group == commits &&
                    (first.a_registers == nullptr) == (operands.a_registers == nullptr);
  if (!same) {
    throw Error("wgmma: warpgroup " + std::to_string(operation.warpgroup) + " diverges: thread " +
                std::to_string(self) + " calls the one at " + where(site) +
                " with other operands, or in another group, than the first thread did at " +
                where(operation.site) + ". All 128 threads must issue the same operation");
  }
  return operation;
}

// The accumulators go from the thread's registers to the operation's tile, unless they are there already.
void Warpgroups::lend(ThreadState& thread, Multiplication& operation, const WgmmaOperands& operands,
                      std::size_t number, Site site) {
  const auto size = static_cast<std::size_t>(operands.size);
  for (Loan& loan : thread.loans) {
    if (loan.d != operands.d) continue;
    if (loan.tile != operation.tile || loan.size != size) {
      throw Error("wgmma at " + where(site) + ": its accumulators are those of the wgmma at " +
                  where(loan.site) + " in another shape, or no wgmma_wait has named them since");
    }
    loan.latest = number;
    return;
  }
  if (!thread.fenced) {
    throw Error("wgmma at " + where(site) +
                ": wgmma_fence() is missing: it comes before the first wgmma, and after accumulators were "
                "touched by other means");
  }
  Tile& tile = *operation.tile;
  const std::size_t self = static_cast<std::size_t>(scheduler_.current()) % kThreads;
  for_each_accumulator(self, size, [&](std::size_t e, std::size_t row, std::size_t column) {
    tile.values[row * tile.columns + column] = operands.d[e];
    operands.d[e] = std::bit_cast<float>(kInFlight);
  });
  thread.loans.push_back({&tile, operands.d, size, number, site});
}

void Warpgroups::issue(const WgmmaOperands& operands, Site site) {
  const int self = scheduler_.current();
  const int index = self / static_cast<int>(kThreads);
  if (scheduler_.threads() < (index + 1) * static_cast<int>(kThreads)) {
    throw Error("wgmma at " + where(site) + ": thread " + std::to_string(self) +
                " belongs to no whole warpgroup of 128 threads");
  }
  used_ = true;
  while (warpgroups_.size() <= static_cast<std::size_t>(index)) {
    warpgroups_.push_back(std::make_unique<Warpgroup>());
  }
  Warpgroup& group = warpgroup(self);
  const std::size_t lane = static_cast<std::size_t>(self) % kThreads;
  ThreadState& thread = group.threads[lane];
  Multiplication& operation = join(group, thread, operands, site);
  const std::size_t number = thread.issued++;
  lend(thread, operation, operands, number, site);
  if (operands.a_registers != nullptr) {
    if (!thread.fenced_in_group) {
      throw Error("wgmma at " + where(site) +
                  ": wgmma_fence() is missing between the writing of A's registers and this group");
    }
    std::copy_n(operands.a_registers, 4, operation.a[lane].begin());
    thread.pinned.push_back({operands.a_registers, operation.a[lane], number, site});
  }
  if (races_ != nullptr) races_->issue_together(self, operation.known);
  if (++operation.arrived < kThreads) return;
  for (const int waiting : operation.waiting) scheduler_.wake(waiting);
  if (scheduler_.order() == Order::reverse || scheduler_.by_lot(2)) execute(group, number + 1);
}

void Warpgroups::fence() {
  const int self = scheduler_.current();
  used_ = true;
  while (warpgroups_.size() <= static_cast<std::size_t>(self) / kThreads) {
    warpgroups_.push_back(std::make_unique<Warpgroup>());
  }
  ThreadState& thread = warpgroup(self).threads[static_cast<std::size_t>(self) % kThreads];
  thread.fenced = thread.fenced_in_group = true;
}

void Warpgroups::commit() {
  const int self = scheduler_.current();
  if (static_cast<std::size_t>(self) / kThreads >= warpgroups_.size()) return;
  ThreadState& thread = warpgroup(self).threads[static_cast<std::size_t>(self) % kThreads];
  thread.commits.push_back(thread.issued);
  thread.fenced_in_group = false;
}

// ---- Doing

void Warpgroups::execute(Warpgroup& group, std::size_t count) {
  while (group.executed < count) {
    multiply(*group.operations.front(), group.times);
    group.operations.pop_front();
    ++group.executed;
  }
}

void Warpgroups::read(const Operand& operand, const EngineWork& work, float* out) const {
  read_operand(shared_, operand, out);
  if (races_ == nullptr) return;
  operand.for_each_unit([&](std::uint32_t offset, std::uint32_t, std::uint32_t) {
    races_->engine_access(work, shared_.at(offset), 16, AccessKind::read);
  });
}

void Warpgroups::multiply(const Multiplication& operation, std::vector<std::uint32_t>& times) {
  alignas(64) thread_local float a[16 * 64];
  alignas(64) thread_local float b[16 * 256];
  const WgmmaOperands& operands = operation.operands;
  const auto columns = static_cast<int>(operation.tile->columns);
  EngineWork work;
  if (races_ != nullptr) {
    work = races_->begin_work(EngineKind::matrix, operation.warpgroup, operation.known,
                              "the wgmma of warpgroup ", operation.warpgroup, operation.site);
    times.push_back(work.time);
  }
  const Operand in_b = decode_operand(shared_, operands.b, operands.major_b, columns, "B", operation.site);
  read(in_b, work, b);
  if (operands.a_registers == nullptr) {
    const Operand in_a = decode_operand(shared_, operands.a, operands.major_a, 64, "A", operation.site);
    read(in_a, work, a);
  } else {
    for (std::size_t thread = 0; thread < kThreads; ++thread) {
      for_each_accumulator(thread, 8, [&](std::size_t e, std::size_t row, std::size_t k) {
        const std::uint32_t word = operation.a[thread][e / 2];
        a[k * 64 + row] = to_float({static_cast<std::uint16_t>(e % 2 == 0 ? word & 0xffff : word >> 16)});
      });
    }
  }
  float* d = operation.tile->values.data();
  if (!operands.add) std::fill_n(d, 64 * operation.tile->columns, 0.0f);
  multiply_tile(d, a, b, columns);
}

// ---- Waiting

void Warpgroups::wait(int groups, float* const (&named)[8], Site site) {
  const int self = scheduler_.current();
  if (static_cast<std::size_t>(self) / kThreads >= warpgroups_.size()) return;
  Warpgroup& group = warpgroup(self);
  ThreadState& thread = group.threads[static_cast<std::size_t>(self) % kThreads];
  const auto committed = static_cast<int>(thread.commits.size());
  if (committed <= groups) return;
  const std::size_t done = thread.commits[static_cast<std::size_t>(committed - groups - 1)];
  if (done == 0) return;
  if (done > group.executed) {
    Multiplication& last = *group.operations[done - 1 - group.executed];
    if (last.arrived < kThreads) {
      last.waiting.push_back(self);
      scheduler_.wait(last, site);
    }
    execute(group, done);
  }
  if (races_ != nullptr) {
    races_->learn(self, EngineKind::matrix, self / static_cast<int>(kThreads), group.times[done - 1]);
  }
  check_pinned(thread, done, site);
  take_back(thread, done, named, site);
}

// Of the accumulators that the wait names, those that no operation in flight uses.
void Warpgroups::take_back(ThreadState& thread, std::size_t done, float* const (&named)[8], Site site) {
  const std::size_t self = static_cast<std::size_t>(scheduler_.current()) % kThreads;
  std::erase_if(thread.loans, [&](Loan& loan) {
    if (loan.latest >= done || std::find(std::begin(named), std::end(named), loan.d) == std::end(named)) {
      return false;
    }
    for_each_accumulator(self, loan.size, [&](std::size_t e, std::size_t row, std::size_t column) {
      if (std::bit_cast<std::uint32_t>(loan.d[e]) != kInFlight) {
        throw Error("accumulator d[" + std::to_string(e) + "] of the wgmma at " + where(loan.site) +
                    " was written before the wgmma_wait at " + where(site));
      }
      loan.d[e] = loan.tile->values[row * loan.tile->columns + column];
    });
    --loan.tile->holders;
    thread.fenced = false;
    return true;
  });
}

void Warpgroups::check_pinned(ThreadState& thread, std::size_t done, Site site) {
  std::erase_if(thread.pinned, [&](const PinnedA& pin) {
    if (pin.operation >= done) return false;
    if (same_registers(pin.registers, pin.values)) return true;
    throw Error("the registers of A of the wgmma at " + where(pin.site) +
                " were changed before the wgmma_wait at " + where(site) +
                ". Each operation in flight needs its own");
  });
}

const Site* Warpgroups::holder(const void* address) const {
  const auto self = static_cast<std::size_t>(scheduler_.current());
  if (!used_ || self / kThreads >= warpgroups_.size()) return nullptr;
  const auto* at = static_cast<const float*>(address);
  for (const Loan& loan : warpgroups_[self / kThreads]->threads[self % kThreads].loans) {
    if (at >= loan.d && at < loan.d + loan.size) return &loan.site;
  }
  return nullptr;
}

void Warpgroups::check_taken_back() {
  const int self = scheduler_.current();
  if (static_cast<std::size_t>(self) / kThreads >= warpgroups_.size()) return;
  const ThreadState& thread = warpgroup(self).threads[static_cast<std::size_t>(self) % kThreads];
  if (thread.loans.empty()) return;
  throw Error("the thread ended, and no wgmma_wait has named the accumulators of the wgmma at " +
              where(thread.loans.front().site));
}

}  // namespace simt::emulator
