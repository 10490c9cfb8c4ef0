// cp.async: at once in a reverse schedule, at the wait in a forward one, either in a random one.

#include "simt/emulator/cp_async.h"

#include <cstring>

#include "simt/emulator/race.h"
#include "simt/emulator/text.h"

namespace simt::emulator {
namespace {

constexpr std::size_t kBytes = 16;

}  // namespace

void SmallCopies::begin_block(RaceChecker* races) {
  races_ = races;
  if (used_) threads_.clear();
  used_ = false;
}

void SmallCopies::issue(void* to, const void* from, int bytes, Site site) {
  const auto refuse = [&](const std::string& what) {
    throw Error("cp_async16 at " + where(site) + ": " + what);
  };
  if (bytes < 0 || bytes > static_cast<int>(kBytes)) refuse(std::to_string(bytes) + " bytes, wanted 0 to 16");
  if (!shared_.contains(to)) refuse("the target is not in shared memory");
  if (reinterpret_cast<std::uintptr_t>(to) % kBytes != 0) {
    refuse("the target, " + shared_.describe(to) + ", is no multiple of 16 bytes");
  }
  if (!shared_.inside(to, kBytes)) {
    refuse("the target, 16 bytes at " + shared_.describe(to) + ", reaches past its end");
  }
  if (reinterpret_cast<std::uintptr_t>(from) % kBytes != 0) refuse("the source is no multiple of 16 bytes");
  ThreadState& thread = state();
  const bool at_once = scheduler_.order() == Order::reverse || scheduler_.by_lot(2);
  const Copy copy{to, from, static_cast<std::size_t>(bytes), thread.committed, site, at_once};
  if (at_once) move(copy);
  thread.copies.push_back(copy);
}

SmallCopies::ThreadState& SmallCopies::state() {
  used_ = true;
  threads_.resize(static_cast<std::size_t>(scheduler_.threads()));
  return threads_[static_cast<std::size_t>(scheduler_.current())];
}

void SmallCopies::commit() { ++state().committed; }

void SmallCopies::wait(int groups) {
  ThreadState& thread = state();
  while (!thread.copies.empty() && thread.copies.front().group < thread.committed - groups) {
    finish(thread.copies.front());
    thread.copies.pop_front();
  }
}

void SmallCopies::finish_all() {
  for (const Copy& copy : state().copies) finish(copy);
}

// For the race checker the copy happens here, whenever the bytes moved.
void SmallCopies::finish(const Copy& copy) {
  if (!copy.moved) move(copy);
  if (races_ == nullptr) return;
  races_->access(scheduler_.current(), copy.from, copy.bytes, AccessKind::read, copy.site);
  races_->access(scheduler_.current(), copy.to, kBytes, AccessKind::write, copy.site);
}

void SmallCopies::move(const Copy& copy) {
  std::memcpy(copy.to, copy.from, copy.bytes);
  std::memset(static_cast<unsigned char*>(copy.to) + copy.bytes, 0, kBytes - copy.bytes);
}

}  // namespace simt::emulator
