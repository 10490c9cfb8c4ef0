// The look at every access, and the reports. What orders accesses is in race_order.cpp.

#include "simt/emulator/race.h"

#include <algorithm>

#include "simt/emulator/symbols.h"
#include "simt/emulator/text.h"

namespace simt::emulator {
namespace {

constexpr std::uintptr_t kPage = 4096;

const char* verb(AccessKind kind) {
  switch (kind) {
    case AccessKind::read:
      return "reads";
    case AccessKind::write:
      return "writes";
    case AccessKind::atomic:
      break;
  }
  return "updates";
}

}  // namespace

RaceChecker& RaceChecker::instance() {
  static RaceChecker checker;
  return checker;
}

// ---- The look at an access

void RaceChecker::check_cell(Shadow::Cell& cell, Access now, AccessKind kind, const void* memory) {
  const auto clash = [&](const Access& old) {
    return (old.bytes & now.bytes) && !(old.atomic && now.atomic) && !ordered(old, now);
  };
  for (const Access& old : cell.writes) {
    if (clash(old)) report_race(old, old.atomic ? "updated" : "wrote", now, kind, memory);
  }
  if (now.thread >= kFirstEngine && now.thread != kNoThread) check_proxy(cell, now, kind, memory);
  if (kind == AccessKind::read) {
    remember(std::span(cell.reads), now,
             [&](const Access& old) { return old.thread == now.thread || ordered(old, now); });
    return;
  }
  for (Access& old : cell.reads) {
    if (clash(old)) report_race(old, "read", now, kind, memory);
    if (!(old.bytes & ~now.bytes)) old = {};
  }
  // An atomic of another thread is kept beside: an unordered write may race with either.
  remember(std::span(cell.writes), now, [&](const Access& old) { return !now.atomic || ordered(old, now); });
  cell.written |= now.bytes;
}

void RaceChecker::shared_access(const Access& now, const void* memory, std::size_t bytes, AccessKind kind) {
  const auto deed = [&] { return who(now) + " " + verb(kind) + " " + place(memory); };
  if (!shared_->inside(memory, bytes)) {
    report("shared memory out of bounds", now, deed);
    return;
  }
  const std::size_t offset = shared_->offset(memory);
  shared_end_ = std::max(shared_end_, offset + bytes);
  shared_shadow_.visit(offset, bytes, [&](Shadow::Cell& cell, std::uint8_t mask) {
    Access part = now;
    part.bytes = mask;
    if (kind != AccessKind::write && (mask & ~cell.written)) {
      report("uninitialised shared memory", now, [&] { return deed() + ", which nothing has written"; });
    }
    check_cell(cell, part, kind, memory);
  });
}

void RaceChecker::global_access(const Access& now, const void* memory, std::size_t bytes, AccessKind kind,
                                const Region& region) {
  const auto deed = [&] { return who(now) + " " + verb(kind) + " " + place(memory); };
  const bool ours = region.red_zone > 0;
  const bool by_kernel = now.thread != kNoThread;
  const int device = operations_[now.operation - 1].device;
  if (region.freed) {
    report("freed memory", now, deed);
    return;
  }
  if (!region.inside(memory, bytes)) {
    if (ours) report("out of bounds", now, deed);
    return;
  }
  if (by_kernel && region.device != device) {
    report("wrong device", now, [&] {
      return deed() + " of " + device_name(region.device) + ", and the kernel runs on " + device_name(device);
    });
    return;
  }
  const std::size_t offset = reinterpret_cast<std::uintptr_t>(memory) - region.begin;
  shadow_of(region).visit(offset, bytes, [&](Shadow::Cell& cell, std::uint8_t mask) {
    Access part = now;
    part.bytes = mask;
    if (ours && by_kernel && kind != AccessKind::write && (mask & ~cell.written)) {
      report("uninitialised memory", now, [&] { return deed() + ", which nothing has written"; });
    }
    check_cell(cell, part, kind, memory);
  });
}

// Ordinary writes and copies or matrix units take different ways to shared memory; a fence joins them.
void RaceChecker::check_proxy(const Shadow::Cell& cell, const Access& now, AccessKind kind,
                              const void* memory) {
  if (!shared_->contains(memory)) return;
  for (const Access& old : cell.writes) {
    if (!(old.bytes & now.bytes) || old.thread >= kFirstEngine || old.atomic) continue;
    if (!ordered(old, now) || fenced(old)) continue;
    report("missing fence_proxy_async", now, [&] {
      return who(now) + " " + verb(kind) + " " + place(memory) + ", which " + who(old) +
             " wrote; that thread must call fence_proxy_async() between its writing and the barrier";
    });
  }
}

Access RaceChecker::access_of(int thread, AccessKind kind) {
  view_ = {&known_[entry(thread, 0)], everyone_};
  Access now;
  now.operation = current_operation_;
  now.block = block_;
  now.time = known(thread, thread);
  now.thread = static_cast<std::uint16_t>(thread);
  now.atomic = kind == AccessKind::atomic;
  return now;
}

void RaceChecker::look(const Access& now, const void* memory, std::size_t bytes, AccessKind kind) {
  if (shared_->contains(memory)) {
    shared_access(now, memory, bytes, kind);
  } else if (const Region* region = region_of(memory)) {
    global_access(now, memory, bytes, kind, *region);
  } else {
    unknown_access(now, memory, bytes, kind);
  }
}

void RaceChecker::access(int thread, const void* memory, std::size_t bytes, AccessKind kind,
                         const void* code) {
  Access now = access_of(thread, kind);
  now.code = short_address(code);
  look(now, memory, bytes, kind);
}

void RaceChecker::access(int thread, const void* memory, std::size_t bytes, AccessKind kind, Site site) {
  Access now = access_of(thread, kind);
  now.code = deed_of("", 0, site);
  now.at_site = true;
  look(now, memory, bytes, kind);
}

void RaceChecker::engine_access(const EngineWork& work, const void* memory, std::size_t bytes,
                                AccessKind kind) {
  view_ = {work.known->times.data(), work.known->everyone};
  Access now;
  now.operation = current_operation_;
  now.block = block_;
  now.time = work.time;
  now.thread = static_cast<std::uint16_t>(kFirstEngine + work.engine);
  now.code = work.deed;
  now.at_site = true;
  look(now, memory, bytes, kind);
}

void RaceChecker::accumulator_access(int thread, AccessKind kind, const void* code, Site lent) {
  Access now = access_of(thread, kind);
  now.code = short_address(code);
  report("accumulator in flight", now, [&] {
    return who(now) + " " + verb(kind) + " an accumulator of the wgmma at " + where(lent) +
           ", and no wgmma_wait has named it since";
  });
}

// Memory that nobody registered: its bounds are unknown, but races in it are races.
void RaceChecker::unknown_access(const Access& now, const void* memory, std::size_t bytes, AccessKind kind) {
  const auto begin = reinterpret_cast<std::uintptr_t>(memory);
  for (std::uintptr_t at = begin; at < begin + bytes;) {
    const std::uintptr_t page = at / kPage * kPage;
    const std::uintptr_t end = std::min(begin + bytes, page + kPage);
    Shadow& shadow = pages_.try_emplace(page, kPage).first->second;
    shadow.visit(at - page, end - at, [&](Shadow::Cell& cell, std::uint8_t mask) {
      Access part = now;
      part.bytes = mask;
      check_cell(cell, part, kind, memory);
    });
    at = end;
  }
}

void RaceChecker::copy_access(const Operation& operation, const void* memory, std::size_t bytes,
                              AccessKind kind) {
  Access now;
  now.operation = number_of(operation);
  now.thread = kNoThread;
  const Region* region = region_of(memory);
  if (bytes > 0 && region != nullptr) global_access(now, memory, bytes, kind, *region);
}

const Region* RaceChecker::region_of(const void* memory) {
  const AddressSpace& space = AddressSpace::instance();
  if (regions_version_ != space.version()) {
    regions_version_ = space.version();
    regions_.clear();
    const std::set<std::uint64_t> live = space.ids();
    std::erase_if(shadows_, [&](const auto& shadow) { return !live.contains(shadow.first); });
  }
  const auto at = reinterpret_cast<std::uintptr_t>(memory);
  for (const Region& region : regions_) {
    if (region.near(at)) return &region;
  }
  Region region;
  if (!space.find(memory, region)) return nullptr;
  return &regions_.emplace_back(std::move(region));
}

Shadow& RaceChecker::shadow_of(const Region& region) {
  return shadows_.try_emplace(region.id, region.bytes).first->second;
}

// ---- Reports

std::string RaceChecker::who(const Access& access) const {
  const Operation& operation = operations_[access.operation - 1];
  if (access.thread == kNoThread) return operation.what;
  if (access.at_site) {
    const Deed& deed = deeds_[static_cast<std::size_t>(access.code)];
    const std::string in_block = " of block " + std::to_string(access.block);
    if (access.thread < kFirstEngine) {
      return "thread " + std::to_string(access.thread) + in_block + " (" + where(deed.site) + ")";
    }
    return std::string(deed.what) + std::to_string(deed.issuer) + in_block + " (" + where(deed.site) + ")";
  }
  return "thread " + std::to_string(access.thread) + " of block " + std::to_string(access.block) + " (" +
         source_line(access.code) + ")";
}

std::string RaceChecker::place(const void* memory) const {
  if (shared_ != nullptr && shared_->contains(memory)) return shared_->describe(memory);
  Region region;
  if (!AddressSpace::instance().find(memory, region)) return "memory that nobody registered";
  const auto at = reinterpret_cast<std::uintptr_t>(memory);
  if (at < region.begin) return std::to_string(region.begin - at) + " bytes before " + region.name;
  if (at >= region.begin + region.bytes) {
    return std::to_string(at - region.begin - region.bytes) + " bytes past the end of " + region.name;
  }
  return "byte " + std::to_string(at - region.begin) + " of " + region.name;
}

void RaceChecker::report_race(const Access& old, const char* old_verb, const Access& now, AccessKind kind,
                              const void* memory) {
  const auto operation = [&](const Access& access) { return operations_[access.operation - 1].what; };
  report("race", now, [&] {
    std::string text =
        who(now) + " " + verb(kind) + " " + place(memory) + ", which " + who(old) + " " + old_verb;
    if (old.operation != now.operation) {
      if (old.thread != kNoThread) text += " in " + operation(old);
      return text + "; no event or synchronisation puts " + operation(now) + " after it";
    }
    return text + (old.block != now.block ? "; blocks run in any order"
                   : old.thread >= kFirstEngine || now.thread >= kFirstEngine
                       ? "; no wait puts one after the other"
                       : "; no barrier lies between");
  });
}

std::string RaceChecker::take_reports() {
  std::string text;
  for (const std::string& report : reports_) text += (text.empty() ? "" : "\n") + report;
  reports_.clear();
  reported_.clear();
  return text;
}

}  // namespace simt::emulator
