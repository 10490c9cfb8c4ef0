// What g++ -fsanitize=thread makes code call at every read and write: this file instead of g++'s own runtime.
//
// Only the kernels and the program that launches them are compiled that way, never the emulator.

#include "simt/emulator/block.h"

#if defined(SIMT_EMULATOR_RACE)

namespace simt::emulator {
namespace {

// The checker calls library templates of which the linker may have kept the program's instrumented copies.
thread_local bool inside_checker = false;

void on_access(const void* memory, std::size_t bytes, AccessKind kind, const void* code) {
  const Block* block = Block::current();
  if (block == nullptr || block->scheduler.current() < 0 || inside_checker) return;
  inside_checker = true;
  RaceChecker::instance().access(block->scheduler.current(), memory, bytes, kind, code);
  inside_checker = false;
}

}  // namespace
}  // namespace simt::emulator

#define SIMT_ON(kind, bytes) \
  simt::emulator::on_access(memory, bytes, simt::emulator::AccessKind::kind, __builtin_return_address(0))
#define SIMT_HOOKS(bytes)                                                     \
  void __tsan_read##bytes(void* memory) { SIMT_ON(read, bytes); }             \
  void __tsan_write##bytes(void* memory) { SIMT_ON(write, bytes); }           \
  void __tsan_unaligned_read##bytes(void* memory) { SIMT_ON(read, bytes); }   \
  void __tsan_unaligned_write##bytes(void* memory) { SIMT_ON(write, bytes); } \
  void __tsan_volatile_read##bytes(void* memory) { SIMT_ON(read, bytes); }    \
  void __tsan_volatile_write##bytes(void* memory) { SIMT_ON(write, bytes); }

extern "C" {
SIMT_HOOKS(1)
SIMT_HOOKS(2)
SIMT_HOOKS(4)
SIMT_HOOKS(8)
SIMT_HOOKS(16)
void __tsan_read_range(void* memory, unsigned long bytes) { SIMT_ON(read, bytes); }
void __tsan_write_range(void* memory, unsigned long bytes) { SIMT_ON(write, bytes); }
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
}

#endif
