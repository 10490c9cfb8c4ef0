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
  threads_.resize(static_cast<std::size_t>(scheduler_.threads()));
  for (ThreadState& thread : threads_) {
    thread.committed = 0;
    thread.copies.clear();
  }
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
  const Copy copy{to, from, static_cast<std::size_t>(bytes), thread.committed, site};
  if (scheduler_.order() == Order::reverse || scheduler_.by_lot(2)) {
    run(copy);
  } else {
    thread.copies.push_back(copy);
  }
}

void SmallCopies::commit() { ++state().committed; }

void SmallCopies::wait(int groups) {
  ThreadState& thread = state();
  while (!thread.copies.empty() && thread.copies.front().group < thread.committed - groups) {
    run(thread.copies.front());
    thread.copies.pop_front();
  }
}

void SmallCopies::ended() {
  for (const Copy& copy : state().copies) run(copy);
}

void SmallCopies::run(const Copy& copy) {
  std::memcpy(copy.to, copy.from, copy.bytes);
  std::memset(static_cast<unsigned char*>(copy.to) + copy.bytes, 0, kBytes - copy.bytes);
}

}  // namespace simt::emulator
