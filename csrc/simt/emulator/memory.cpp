// Buffers and copies.

#include "simt/emulator/memory.h"

#include "simt/emulator/address_space.h"
#include "simt/emulator/race.h"
#include "simt/emulator/streams.h"
#include "simt/emulator/text.h"

namespace simt {
namespace emulator {
namespace {

constinit thread_local int current_device = kNoDevice;

// A copy touches whole buffers or parts of one, of any device, that were not freed.
void check_range(const void* memory, std::size_t bytes, const std::string& what) {
  Region region;
  if (bytes == 0 || !AddressSpace::instance().find(memory, region)) return;
  if (region.freed) throw Error(what + ": " + region.name + " was freed before");
  if (!region.inside(memory, bytes)) {
    throw Error(what + ": " + std::to_string(bytes) + " bytes reach outside " + region.name + " (" +
                std::to_string(region.bytes) + " bytes)");
  }
}

void copy_bytes(void* to, const void* from, std::size_t bytes, const Operation& operation) {
  check_range(from, bytes, operation.what);
  check_range(to, bytes, operation.what);
  if constexpr (kRaceBuild) {
    RaceChecker& races = RaceChecker::instance();
    const std::lock_guard lock(races.mutex());
    races.copy_access(operation, from, bytes, AccessKind::read);
    races.copy_access(operation, to, bytes, AccessKind::write);
    const std::string reports = races.take_reports();
    if (!reports.empty()) throw Error(reports);
  }
  if (bytes > 0) std::memmove(to, from, bytes);
}

}  // namespace

void copy(void* to, const void* from, std::size_t bytes, stream_t stream, std::string what) {
  submit(stream, std::move(what),
         [=](const Operation& operation) { copy_bytes(to, from, bytes, operation); });
}

void* allocate(std::size_t bytes, Site site) {
  return AddressSpace::instance().allocate(bytes, current_device, "the buffer of " + where(site));
}

void release(void* memory) { AddressSpace::instance().release(memory); }

void copy_in(void* to, const void* from, std::size_t bytes, Site site) {
  copy_bytes(to, from, bytes, host_operation("the copy from the host at " + where(site)));
}

void copy_out(void* to, const void* from, std::size_t bytes, Site site) {
  copy_bytes(to, from, bytes, host_operation("the copy to the host at " + where(site)));
}

}  // namespace emulator

void set_device(int device) {
  if (device < emulator::kNoDevice) throw Error("set_device: got " + std::to_string(device));
  emulator::current_device = device;
}

int device() { return emulator::current_device; }

void copy(void* to, const void* from, std::size_t bytes, StreamHere stream) {
  emulator::copy(to, from, bytes, stream.stream, "the copy at " + emulator::where(stream.site));
}

}  // namespace simt
