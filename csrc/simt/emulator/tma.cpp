// Copies of boxes, and the reports of one that touches what it must not.

#include "simt/emulator/tma.h"

#include <algorithm>
#include <cstring>

#include "simt/emulator/race.h"
#include "simt/emulator/text.h"

namespace simt::emulator {

void BulkCopies::begin_block(RaceChecker* races, int device) {
  races_ = races;
  device_ = device;
  loads_.clear();
  stores_.clear();
  threads_.clear();
}

void BulkCopies::end_block() {
  for (Copy& copy : stores_) {
    while (copy.step != Step::written) advance_store(copy);
  }
}

// ---- Issuing

// What loads and stores have in common.
BulkCopies::Copy BulkCopies::begin(const TensorMap& map, const void* shared, const int* at, int rank,
                                   const char* what, Site site) {
  const auto refuse = [&](const std::string& text) {
    throw Error(std::string(what) + " at " + where(site) + ": " + text);
  };
  if (map.rank < 2 || map.rank > 5) refuse("the tensor map was not made by make_tensor_map");
  if (rank != map.rank) {
    refuse(std::to_string(rank) + " coordinates for a tensor map of " + std::to_string(map.rank) +
           " dimensions");
  }
  if (!shared_.contains(shared)) refuse("the address is not in shared memory");
  const std::size_t alignment = swizzle_repeat(map.swizzle);
  if (shared_.offset(shared) % alignment != 0) {
    refuse("the address, " + shared_.describe(shared) + ", is no multiple of " + std::to_string(alignment) +
           (map.swizzle == 0 ? ", which copies want" : ", after which the swizzle repeats"));
  }
  if (!shared_.inside(shared, box_bytes(map))) {
    refuse("the box of " + std::to_string(box_bytes(map)) + " bytes at " + shared_.describe(shared) +
           " reaches past its end");
  }
  Copy copy;
  copy.map = map;
  std::copy_n(at, rank, copy.at.begin());
  copy.shared = static_cast<unsigned char*>(const_cast<void*>(shared));
  copy.thread = scheduler_.current();
  copy.site = site;
  if (races_ != nullptr) copy.known = races_->issue(copy.thread);
  return copy;
}

void BulkCopies::load(void* to, const TensorMap& map, void* barrier, const int* at, int rank, Site site) {
  Copy copy = begin(map, to, at, rank, "tma_load", site);
  copy.load = true;
  copy.barrier = mbarriers_.announce_copy(barrier, site);
  if (scheduler_.order() == Order::reverse) {
    run_load(copy);
  } else {
    loads_.push_back(std::move(copy));
  }
}

void BulkCopies::store(const TensorMap& map, const void* from, const int* at, int rank, Site site) {
  Copy copy = begin(map, from, at, rank, "tma_store", site);
  ThreadState& thread = threads_[copy.thread];
  copy.group = thread.committed;
  copy.data.assign(copy.shared, copy.shared + box_bytes(map));
  ++thread.open;
  thread.latest = site;
  stores_.push_back(std::move(copy));
  if (scheduler_.order() == Order::reverse) {
    advance_store(stores_.back());
    advance_store(stores_.back());
  }
}

void BulkCopies::commit() {
  ThreadState& thread = threads_[scheduler_.current()];
  ++thread.committed;
  thread.open = 0;
}

void BulkCopies::wait(int groups, StoreWait until) {
  const int self = scheduler_.current();
  ThreadState& thread = threads_[self];
  const int done = thread.committed - groups;
  thread.read = std::max(thread.read, done);
  for (Copy& copy : stores_) {
    if (copy.thread != self || copy.group >= done) continue;
    if (copy.step == Step::issued) advance_store(copy);
    if (!copy.read_awaited) check_source(copy);
    copy.read_awaited = true;
    if (until == StoreWait::written && copy.step == Step::read) advance_store(copy);
  }
  forget_done_stores();
  if (races_ == nullptr) return;
  std::erase_if(thread.done, [&](const Done& step) {
    if (step.group >= done || (until == StoreWait::read && step.kind == EngineKind::store_write))
      return false;
    races_->learn(self, step.kind, self, step.time);
    return true;
  });
}

// The running thread ends: shared memory may go any time.
void BulkCopies::check_waited() const {
  const auto found = threads_.find(scheduler_.current());
  if (found == threads_.end()) return;
  const ThreadState& thread = found->second;
  if (thread.open == 0 && thread.read >= thread.committed) return;
  const std::string missing =
      thread.open > 0 ? "tma_store_commit() and tma_store_wait_read<0>()" : "tma_store_wait_read<0>()";
  throw Error("the thread ended without waiting for the tma_store at " + where(thread.latest) + ": " +
              missing + " is missing");
}

// ---- Doing

bool BulkCopies::advance(Random* random) {
  std::vector<Copy*> stores;
  for (Copy& copy : stores_) {
    if (copy.step != Step::written) stores.push_back(&copy);
  }
  const std::size_t count = loads_.size() + stores.size();
  if (count == 0) return false;
  const std::size_t chosen = random == nullptr ? 0 : random->below(static_cast<std::uint32_t>(count));
  if (chosen >= loads_.size()) {
    advance_store(*stores[chosen - loads_.size()]);
    forget_done_stores();
    return true;
  }
  const Copy copy = std::move(loads_[chosen]);
  loads_.erase(loads_.begin() + static_cast<std::ptrdiff_t>(chosen));
  run_load(copy);
  return true;
}

void BulkCopies::advance_store(Copy& copy) {
  if (copy.step == Step::issued) {
    if (races_ != nullptr) read_source(copy);
    copy.step = Step::read;
  } else {
    write_target(copy);
    copy.step = Step::written;
  }
}

void BulkCopies::forget_done_stores() {
  std::erase_if(stores_, [](const Copy& copy) { return copy.read_awaited && copy.step == Step::written; });
}

// The part of a row inside the tensor must be memory of the kernel's device.
void BulkCopies::check_global(const Copy& copy, const BoxRow& row) {
  const AddressSpace& space = AddressSpace::instance();
  if (version_ != space.version() || !known_ || !region_.inside(row.global, row.inside)) {
    version_ = space.version();
    known_ = space.find(row.global, region_);
  }
  std::string problem;
  if (!known_) {
    if (device_ != kNoDevice) problem = "touches memory that no device owns";
  } else if (region_.freed) {
    problem = "touches " + region_.name + ", which was freed";
  } else if (region_.device != device_) {
    problem = "touches " + region_.name + " of " + device_name(region_.device) + ", and the kernel runs on " +
              device_name(device_);
  } else if (!region_.inside(row.global, row.inside)) {
    problem = "reaches outside " + region_.name + " (" + std::to_string(region_.bytes) +
              " bytes): the tensor map is larger than its memory";
  }
  if (problem.empty()) return;
  std::string at;
  for (int d = 0; d < copy.map.rank; ++d) {
    at += (d == 0 ? "" : ", ") + std::to_string(copy.at[static_cast<std::size_t>(d)]);
  }
  throw Error(std::string(copy.load ? "tma_load" : "tma_store") + " at " + where(copy.site) +
              ": the box that begins at {" + at + "} " + problem);
}

namespace {

// Bytes `begin` to `end` of a box lie in pieces of 16 at most, which a swizzle moves as a whole.
template <class Visit>
void for_each_piece(const TensorMap& map, std::uint32_t start, std::uint32_t begin, std::uint32_t end,
                    Visit visit) {
  for (std::uint32_t at = begin; at < end;) {
    const std::uint32_t next = std::min(end, (at / 16 + 1) * 16);
    visit(swizzled(start + at, map.swizzle) - start, at, next - at);
    at = next;
  }
}

// Most pieces are whole, and a copy of a known size is one instruction.
void copy_piece(unsigned char* to, const unsigned char* from, std::uint32_t bytes) {
  if (bytes == 16) {
    std::memcpy(to, from, 16);
  } else {
    std::memcpy(to, from, bytes);
  }
}

}  // namespace

EngineWork BulkCopies::begin_work(const Copy& copy, EngineKind kind) {
  if (races_ == nullptr) return {};
  if (kind == EngineKind::load) {
    return races_->begin_work(kind, copy.barrier, copy.known, "the tma_load of thread ", copy.thread,
                              copy.site);
  }
  const EngineWork work =
      races_->begin_work(kind, copy.thread, copy.known, "the tma_store of thread ", copy.thread, copy.site);
  threads_[copy.thread].done.push_back({kind, copy.group, work.time});
  return work;
}

void BulkCopies::run_load(const Copy& copy) {
  const EngineWork work = begin_work(copy, EngineKind::load);
  const auto start = static_cast<std::uint32_t>(shared_.offset(copy.shared));
  const std::uint32_t rows = box_rows(copy.map);
  std::vector<unsigned char> line(box_count(copy.map, 0) * copy.map.element_bytes);
  for (std::uint32_t i = 0; i < rows; ++i) {
    const BoxRow row = box_row(copy.map, copy.at.data(), i);
    std::fill(line.begin(), line.end(), 0);
    if (row.inside > 0) {
      check_global(copy, row);
      std::memcpy(line.data() + row.skip, row.global, row.inside);
      if (races_ != nullptr) races_->engine_access(work, row.global, row.inside, AccessKind::read);
    }
    for_each_piece(copy.map, start, row.offset, row.offset + row.bytes,
                   [&](std::uint32_t to, std::uint32_t from, std::uint32_t bytes) {
                     copy_piece(copy.shared + to, line.data() + (from - row.offset), bytes);
                     if (races_ == nullptr) return;
                     races_->engine_access(work, copy.shared + to, bytes, AccessKind::write);
                   });
  }
  mbarriers_.complete_copy(copy.barrier, box_bytes(copy.map), &work, copy.site);
}

// The bytes were taken when the copy was issued. Only what goes to the tensor need have been written.
void BulkCopies::read_source(const Copy& copy) {
  const EngineWork work = begin_work(copy, EngineKind::store_read);
  const auto start = static_cast<std::uint32_t>(shared_.offset(copy.shared));
  const std::uint32_t rows = box_rows(copy.map);
  for (std::uint32_t i = 0; i < rows; ++i) {
    const BoxRow row = box_row(copy.map, copy.at.data(), i);
    const std::uint32_t begin = row.offset + row.skip;
    for_each_piece(copy.map, start, begin, begin + row.inside,
                   [&](std::uint32_t from, std::uint32_t, std::uint32_t bytes) {
                     races_->engine_access(work, copy.shared + from, bytes, AccessKind::read);
                   });
  }
}

// Until its thread has waited the source must stay what it was when the copy was issued: what the engine
// finds is a matter of luck otherwise.
void BulkCopies::check_source(const Copy& copy) const {
  const auto differs = std::mismatch(copy.data.begin(), copy.data.end(), copy.shared);
  if (differs.first == copy.data.end()) return;
  throw Error(
      "tma_store at " + where(copy.site) + ": its source, " + shared_.describe(differs.second) +
      ", changed before tma_store_wait_read. All writes come before the barrier in front of the store, "
      "and the next ones after the wait");
}

void BulkCopies::write_target(const Copy& copy) {
  const EngineWork work = begin_work(copy, EngineKind::store_write);
  const auto start = static_cast<std::uint32_t>(shared_.offset(copy.shared));
  const std::uint32_t rows = box_rows(copy.map);
  for (std::uint32_t i = 0; i < rows; ++i) {
    const BoxRow row = box_row(copy.map, copy.at.data(), i);
    if (row.inside == 0) continue;
    check_global(copy, row);
    if (races_ != nullptr) races_->engine_access(work, row.global, row.inside, AccessKind::write);
    for_each_piece(copy.map, start, row.offset + row.skip, row.offset + row.skip + row.inside,
                   [&](std::uint32_t from, std::uint32_t at, std::uint32_t bytes) {
                     copy_piece(row.global + (at - row.offset - row.skip), copy.data.data() + from, bytes);
                   });
  }
}

}  // namespace simt::emulator
