// How many registers each warpgroup has. A launch gives every thread the same; what one gives back another
// may take. How many nvcc gives at launch is not known here: as many as __launch_bounds__ of one block
// allows.

#include "simt/emulator/register_pool.h"

#include <algorithm>

#include "simt/emulator/text.h"

namespace simt::emulator {
namespace {

constexpr int kRegistersOfBlock = 64 * 1024;
constexpr int kMostRegisters = 256;  // of a thread, as setmaxnreg counts

}  // namespace

std::string RegisterPool::Request::describe() const {
  return "setmaxnreg_inc<" + std::to_string(wanted) + ">: " + std::to_string(each) +
         " registers a thread now, " + std::to_string(free) +
         " free in the block (65536 less what its warpgroups hold)";
}

void RegisterPool::begin_block() {
  if (!used_) return;
  used_ = false;
  for (Request& request : warpgroups_) request = Request{};
}

int RegisterPool::threads_of(int warpgroup) const {
  return std::min(kWarpgroup, scheduler_.threads() - warpgroup * kWarpgroup);
}

void RegisterPool::set(int registers, bool increase, Site site) {
  if (!used_) {
    used_ = true;
    const int each = std::min(kMostRegisters, kRegistersOfBlock / scheduler_.threads() / 8 * 8);
    free_ = 0;
    for (Request& request : warpgroups_) request.each = each;
  }
  const int index = scheduler_.current() / kWarpgroup;
  Request& request = warpgroups_[static_cast<std::size_t>(index)];
  const auto name = [](bool up, int count) {
    return std::string(up ? "setmaxnreg_inc<" : "setmaxnreg_dec<") + std::to_string(count) + ">";
  };
  if (request.arrived == 0) {
    request.wanted = registers;
    request.increase = increase;
    request.site = site;
    const bool right = increase ? registers >= request.each : registers <= request.each;
    if (!right) {
      throw Error(name(increase, registers) + " at " + where(site) + ": each thread of warpgroup " +
                  std::to_string(index) + " has " + std::to_string(request.each) + " registers");
    }
  }
  if (request.wanted != registers || request.increase != increase) {
    throw Error("warpgroup " + std::to_string(index) +
                " diverges: " + name(request.increase, request.wanted) + " at " + where(request.site) + ", " +
                name(increase, registers) + " at " + where(site));
  }
  ++request.arrived;
  if (!increase && request.arrived == threads_of(index)) {
    free_ += (request.each - request.wanted) * threads_of(index);
    request.each = request.wanted;
    request.arrived = 0;
    grant();
    return;
  }
  if (!increase) return;
  request.waiting.push_back(scheduler_.current());
  grant();
  if (request.arrived != 0) {
    request.free = free_;
    scheduler_.wait(request, site);
  }
}

// Gives what is free to warpgroups that ask for it and have all their threads there.
void RegisterPool::grant() {
  for (std::size_t i = 0; i < warpgroups_.size(); ++i) {
    Request& request = warpgroups_[i];
    request.free = free_;
    const int threads = threads_of(static_cast<int>(i));
    if (!request.increase || request.arrived == 0 || request.arrived < threads) continue;
    const int missing = (request.wanted - request.each) * threads;
    if (missing > free_) continue;
    free_ -= missing;
    request.each = request.wanted;
    request.arrived = 0;
    for (const int thread : request.waiting) {
      if (thread != scheduler_.current()) scheduler_.wake(thread);
    }
    request.waiting.clear();
  }
}

}  // namespace simt::emulator
