// Phases of barriers in shared memory, and the reports of one used wrongly.

#include "simt/emulator/mbarrier.h"

#include <cstring>

#include "simt/emulator/race.h"
#include "simt/emulator/text.h"

namespace simt::emulator {
namespace {

// What lies in the barrier's memory: this and its number. Its state is here, out of reach of stray writes.
constexpr std::uint64_t kMagic = 0x6d62'6172'0000'0000;
constexpr std::uint32_t kMostCount = (1u << 20) - 1;  // of arrivals and of bytes (PTX ISA, mbarrier)

}  // namespace

std::string Mbarriers::Barrier::describe() const {
  return "the mbarrier at " + shared->describe(address) + ": in phase " + std::to_string(phase) +
         " (parity " + std::to_string(phase & 1) + ") it lacks " + std::to_string(pending) + " of " +
         std::to_string(count) + " arrivals and " + std::to_string(bytes) + " bytes";
}

void Mbarriers::begin_block(RaceChecker* races) {
  races_ = races;
  used_ = 0;
}

std::string Mbarriers::end_block() const {
  for (std::size_t i = 0; i < used_; ++i) {
    const Barrier& barrier = *barriers_[i];
    if (barrier.copy_phase <= barrier.seen_phase) continue;
    return "the tma_load at " + where(barrier.copy) +
           " was not waited for: the block ended, and no thread has waited for that phase of " +
           name(barrier.address) + ". Shared memory must stay until a copy is done";
  }
  return "";
}

std::string Mbarriers::name(const void* address) const {
  return "the mbarrier at " + shared_.describe(address);
}

Mbarriers::Barrier& Mbarriers::find(void* address, const char* what, Site site) {
  const auto place = [&] { return std::string(what) + " at " + where(site) + ": "; };
  if (!shared_.contains(address) || !shared_.inside(address, 8)) {
    throw Error(place() + "the mbarrier is not in shared memory");
  }
  std::uint64_t word = 0;
  std::memcpy(&word, address, sizeof word);
  const std::uint64_t index = word - kMagic;
  if (index < used_ && barriers_[index]->address == address) {
    Barrier& barrier = *barriers_[index];
    if (!barrier.fenced) {
      throw Error(place() + "fence_mbarrier_init() is missing: thread " +
                  std::to_string(barrier.initialiser) + " initialised " + name(address) +
                  " and did not call it afterwards");
    }
    if (races_ != nullptr) races_->access(scheduler_.current(), address, 8, AccessKind::atomic, site);
    return barrier;
  }
  for (std::size_t i = 0; i < used_; ++i) {
    if (barriers_[i]->address == address) {
      throw Error(place() + name(address) + " was overwritten by an ordinary write");
    }
  }
  throw Error(place() + name(address) + " was not initialised (mbarrier_init)");
}

void Mbarriers::initialise(void* address, std::uint32_t count, Site site) {
  const std::string place = "mbarrier_init at " + where(site) + ": ";
  if (!shared_.contains(address) || !shared_.inside(address, 8)) {
    throw Error(place + "the mbarrier is not in shared memory");
  }
  if (count < 1 || count > kMostCount) {
    throw Error(place + "count " + std::to_string(count) + ", wanted 1 to " + std::to_string(kMostCount));
  }
  for (std::size_t i = 0; i < used_; ++i) {
    if (barriers_[i]->address != address) continue;
    throw Error(place + name(address) + " is initialised already; a barrier goes on from phase to phase");
  }
  if (used_ == barriers_.size()) barriers_.push_back(std::make_unique<Barrier>());
  Barrier& barrier = *barriers_[used_];
  barrier = Barrier{};
  barrier.shared = &shared_;
  barrier.address = address;
  barrier.count = barrier.pending = count;
  barrier.initialiser = scheduler_.current();
  barrier.number = static_cast<int>(used_);
  const std::uint64_t word = kMagic + used_++;
  std::memcpy(address, &word, sizeof word);
  if (races_ != nullptr) races_->access(scheduler_.current(), address, 8, AccessKind::write, site);
}

void Mbarriers::fence() {
  for (std::size_t i = 0; i < used_; ++i) {
    if (barriers_[i]->initialiser == scheduler_.current()) barriers_[i]->fenced = true;
  }
}

void Mbarriers::arrive(void* address, std::uint32_t bytes, Site site) {
  Barrier& barrier = find(address, bytes > 0 ? "mbarrier_arrive_expect_tx" : "mbarrier_arrive", site);
  if (barrier.pending == 0) {
    throw Error("mbarrier_arrive at " + where(site) + ": more arrivals than the count of " +
                std::to_string(barrier.count) + " in phase " + std::to_string(barrier.phase) + " of " +
                name(address));
  }
  barrier.bytes += bytes;
  if (barrier.bytes > kMostCount) {
    throw Error("mbarrier_arrive_expect_tx at " + where(site) + ": " + std::to_string(barrier.bytes) +
                " bytes under way to " + name(address) + ", more than " + std::to_string(kMostCount));
  }
  --barrier.pending;
  if (races_ != nullptr) races_->mbarrier_arrive(scheduler_.current(), barrier.number);
  settle(barrier, site);
}

// Ends the phase when it lacks nothing.
void Mbarriers::settle(Barrier& barrier, Site site) {
  if (barrier.pending > 0 || barrier.bytes > 0) return;
  if (barrier.bytes < 0) {
    throw Error("copies brought " + std::to_string(-barrier.bytes) +
                " bytes more than mbarrier_arrive_expect_tx announced in phase " +
                std::to_string(barrier.phase) + " of " + name(barrier.address) + " (the latest at " +
                where(site) + ")");
  }
  ++barrier.phase;
  barrier.pending = barrier.count;
  if (races_ != nullptr) races_->mbarrier_phase_ends(barrier.number);
  if (!barrier.waiting.empty()) barrier.seen_phase = barrier.phase;
  for (const int thread : barrier.waiting) {
    scheduler_.wake(thread);
    if (races_ != nullptr) races_->mbarrier_waited(thread, barrier.number);
  }
  barrier.waiting.clear();
}

bool Mbarriers::ended(Barrier& barrier, std::uint32_t parity, const char* what, Site site) {
  if (parity > 1) {
    throw Error(std::string(what) + " at " + where(site) + ": parity " + std::to_string(parity) +
                ", wanted 0 or 1");
  }
  if ((barrier.phase & 1) == parity) return false;
  barrier.seen_phase = barrier.phase;
  if (races_ != nullptr) races_->mbarrier_waited(scheduler_.current(), barrier.number);
  return true;
}

bool Mbarriers::test(void* address, std::uint32_t parity, Site site) {
  Barrier& barrier = find(address, "mbarrier_test", site);
  if (ended(barrier, parity, "mbarrier_test", site)) return true;
  scheduler_.spin(reinterpret_cast<std::uintptr_t>(address) + parity, site);
  return ended(barrier, parity, "mbarrier_test", site);
}

void Mbarriers::wait(void* address, std::uint32_t parity, Site site) {
  Barrier& barrier = find(address, "mbarrier_wait", site);
  if (scheduler_.by_lot(4)) scheduler_.yield();
  if (!ended(barrier, parity, "mbarrier_wait", site)) {
    barrier.waiting.push_back(scheduler_.current());
    scheduler_.wait(barrier, site);
  }
}

int Mbarriers::announce_copy(void* address, Site site) {
  Barrier& barrier = find(address, "tma_load", site);
  barrier.copy = site;
  barrier.copy_phase = barrier.phase + 1;
  return barrier.number;
}

void Mbarriers::complete_copy(int index, std::uint32_t bytes, const EngineWork* work, Site site) {
  Barrier& barrier = *barriers_[static_cast<std::size_t>(index)];
  barrier.bytes -= bytes;
  if (races_ != nullptr) races_->mbarrier_brings(index, *work);
  if (barrier.bytes < -static_cast<std::int64_t>(kMostCount)) {
    throw Error("tma_load at " + where(site) + ": " + std::to_string(-barrier.bytes) + " bytes came to " +
                name(barrier.address) + " that nobody has announced");
  }
  settle(barrier, site);
}

}  // namespace simt::emulator
