// Warp operations, and the reports of one used wrongly.

#include "simt/emulator/warps.h"

#include <bit>

#include "simt/emulator/matrices.h"
#include "simt/emulator/race.h"
#include "simt/emulator/text.h"

namespace simt::emulator {
namespace {

const char* name_of(WarpOperation operation) {
  switch (operation) {
    case WarpOperation::sync:
      return "__syncwarp";
    case WarpOperation::shuffle:
      return "__shfl_sync";
    case WarpOperation::shuffle_up:
      return "__shfl_up_sync";
    case WarpOperation::shuffle_down:
      return "__shfl_down_sync";
    case WarpOperation::shuffle_xor:
      return "__shfl_xor_sync";
    case WarpOperation::ldmatrix:
      return "ldmatrix_x4";
    case WarpOperation::stmatrix:
      return "stmatrix_x4";
    case WarpOperation::mma:
      return "mma_m16n8k16";
    case WarpOperation::ballot:
      break;
  }
  return "warp vote";
}

std::vector<int> lanes_of(unsigned mask) {
  std::vector<int> lanes;
  for (int lane = 0; lane < 32; ++lane) {
    if (mask >> lane & 1) lanes.push_back(lane);
  }
  return lanes;
}

// The lane whose value `lane` receives (CUDA programming guide, warp shuffle functions): lanes work in groups
// of `width`, and a lane that would read from outside its group keeps its own value.
unsigned source_lane(WarpOperation operation, unsigned lane, int argument, int width_) {
  const auto width = static_cast<unsigned>(width_);
  const auto distance = static_cast<unsigned>(argument);
  const unsigned group = lane / width * width;
  switch (operation) {
    case WarpOperation::shuffle:
      return group + distance % width;
    case WarpOperation::shuffle_up:
      return lane - group >= distance ? lane - distance : lane;
    case WarpOperation::shuffle_down:
      return lane - group + distance < width ? lane + distance : lane;
    // Across groups only downwards: hardware bounds the source from above alone.
    case WarpOperation::shuffle_xor:
      return (lane ^ distance) < group + width ? lane ^ distance : lane;
    default:
      return lane;
  }
}

}  // namespace

std::string Warps::Meeting::describe() const {
  return std::string(name_of(operation)) + " of warp " + std::to_string(warp) + ": mask " +
         hexadecimal(mask) + ", lanes " + ranges(lanes_of(arrived)) + " arrived";
}

void Warps::begin_block(RaceChecker* races) {
  races_ = races;
  for (Warp& warp : warps_) {
    warp.ended = 0;
    for (const auto& meeting : warp.meetings) meeting->arrived = 0;
  }
}

void Warps::check(const Warp& warp, unsigned lane, unsigned mask, WarpOperation operation, int width,
                  Site site) const {
  const auto place = [&] { return std::string(name_of(operation)) + " at " + where(site); };
  if (!(mask >> lane & 1)) {
    throw Error(place() + ": lane " + std::to_string(lane) + " calls it and is not in the mask " +
                hexadecimal(mask));
  }
  if (width < 1 || width > 32 || !std::has_single_bit(static_cast<unsigned>(width))) {
    throw Error(place() + ": the width is " + std::to_string(width) + ", it must be 1, 2, 4, 8, 16 or 32");
  }
  if (operation >= WarpOperation::ldmatrix && mask != ~0u) {
    throw Error(place() + ": the block's last warp has fewer than 32 threads, and matrices need all");
  }
  if (mask & warp.ended) {
    throw Error(place() + ": the mask " + hexadecimal(mask) + " names lanes " +
                ranges(lanes_of(mask & warp.ended)) +
                ", which have ended; a shuffle from them is undefined. Let all lanes of the mask come here");
  }
}

Warps::Meeting& Warps::join(Warp& warp, int index, unsigned lane, unsigned mask, WarpOperation operation,
                            int width, Site site) {
  Meeting* free = nullptr;
  for (const auto& meeting : warp.meetings) {
    if (meeting->arrived == 0) {
      free = meeting.get();
      continue;
    }
    if (meeting->mask == mask && meeting->operation == operation && meeting->width == width) return *meeting;
    // Lanes may come to different meetings and still meet later. Not if each side waits for the other.
    const bool waits_for_us = meeting->mask >> lane & 1;
    if (!waits_for_us || !(meeting->arrived & mask)) continue;
    const auto text = [](WarpOperation op, unsigned m, int w, const Site& s) {
      return std::string(name_of(op)) + " (mask " + hexadecimal(m) + ", width " + std::to_string(w) +
             ") at " + where(s);
    };
    throw Error("warp " + std::to_string(index) + ": lanes " + ranges(lanes_of(meeting->arrived)) +
                " are in " + text(meeting->operation, meeting->mask, meeting->width, meeting->site) +
                ", lane " + std::to_string(lane) + " came to " + text(operation, mask, width, site) +
                ". All lanes of a mask must call the same operation with the same mask");
  }
  if (free == nullptr) {
    warp.meetings.push_back(std::make_unique<Meeting>());
    free = warp.meetings.back().get();
  }
  free->operation = operation;
  free->mask = mask;
  free->width = width;
  free->warp = index;
  free->site = site;
  return *free;
}

std::uint64_t Warps::operate(WarpOperation operation, unsigned mask, std::uint64_t value, int argument,
                             int width, Site site) {
  const int index = scheduler_.current() / static_cast<int>(kLanes);
  const unsigned lane = static_cast<unsigned>(scheduler_.current()) % kLanes;
  Warp& warp = warps_[static_cast<std::size_t>(index)];
  // The last warp of a block may be short: lanes that never were are left out, as full masks are usual.
  const int lanes = scheduler_.threads() - index * static_cast<int>(kLanes);
  if (lanes < static_cast<int>(kLanes)) mask &= (1u << lanes) - 1;
  check(warp, lane, mask, operation, width, site);
  Meeting& meeting = join(warp, index, lane, mask, operation, width, site);
  meeting.arrived |= 1u << lane;
  meeting.values[lane] = value;
  meeting.arguments[lane] = argument;
  if (meeting.arrived == mask) {
    complete(meeting);
  } else {
    scheduler_.wait(meeting, site);
  }
  return scheduler_.current_thread().result;
}

// The running thread is the last to arrive: it hands out the results and queues up behind the others.
void Warps::complete(Meeting& meeting) {
  const int self = scheduler_.current();
  const int first = meeting.warp * static_cast<int>(kLanes);
  const std::uint64_t votes = meeting.operation == WarpOperation::ballot ? count_votes(meeting) : 0;
  const bool matrix = meeting.operation >= WarpOperation::ldmatrix;
  if (matrix) run_matrix_operation(meeting.operation, meeting.values, shared_, meeting.site);
  if (matrix && races_ != nullptr) report_rows(meeting);
  const bool shuffle =
      !matrix && meeting.operation != WarpOperation::sync && meeting.operation != WarpOperation::ballot;
  for (unsigned rest = meeting.mask; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    scheduler_.thread(first + lane).result = shuffle ? shuffled(meeting, static_cast<unsigned>(lane)) : votes;
  }
  for (unsigned rest = meeting.mask; rest != 0; rest &= rest - 1) {
    const int thread = first + std::countr_zero(rest);
    if (thread != self) scheduler_.wake(thread);
  }
  // Of these only __syncwarp orders memory (CUDA programming guide).
  if (races_ != nullptr && meeting.operation == WarpOperation::sync) {
    std::vector<int> threads = lanes_of(meeting.mask);
    for (int& thread : threads) thread += first;
    races_->threads_meet(threads);
  }
  meeting.arrived = 0;
  scheduler_.yield();
}

void Warps::report_rows(const Meeting& meeting) {
  if (meeting.operation == WarpOperation::mma) return;
  const AccessKind kind = meeting.operation == WarpOperation::ldmatrix ? AccessKind::read : AccessKind::write;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    const auto* args = reinterpret_cast<const MatrixRow*>(meeting.values[lane]);
    const int thread = meeting.warp * static_cast<int>(kLanes) + static_cast<int>(lane);
    races_->access(thread, args->row, 16, kind, meeting.site);
  }
}

std::uint64_t Warps::count_votes(const Meeting& meeting) {
  std::uint64_t votes = 0;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if ((meeting.mask >> lane & 1) && meeting.values[lane] != 0) votes |= 1u << lane;
  }
  return votes;
}

std::uint64_t Warps::shuffled(const Meeting& meeting, unsigned lane) {
  const unsigned source = source_lane(meeting.operation, lane, meeting.arguments[lane], meeting.width);
  if (meeting.mask >> source & 1) return meeting.values[source];
  throw Error(std::string(name_of(meeting.operation)) + " at " + where(meeting.site) + ": lane " +
              std::to_string(lane) + " reads lane " + std::to_string(source) + ", which is not in the mask " +
              hexadecimal(meeting.mask) + " and holds nothing");
}

void Warps::ended() {
  const int index = scheduler_.current() / static_cast<int>(kLanes);
  const unsigned lane = static_cast<unsigned>(scheduler_.current()) % kLanes;
  Warp& warp = warps_[static_cast<std::size_t>(index)];
  warp.ended |= 1u << lane;
  for (const auto& meeting : warp.meetings) {
    if (meeting->arrived == 0 || !(meeting->mask >> lane & 1)) continue;
    throw Error(std::string(name_of(meeting->operation)) + " at " + where(meeting->site) + ": lanes " +
                ranges(lanes_of(meeting->arrived)) + " wait, and lane " + std::to_string(lane) +
                ", which the mask " + hexadecimal(meeting->mask) +
                " names, has ended. Let all lanes of the mask come here");
  }
}

}  // namespace simt::emulator
