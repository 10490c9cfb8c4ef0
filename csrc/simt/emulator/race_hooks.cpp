// What g++ -fsanitize=thread makes code call at every read and write: this file instead of g++'s own runtime.
//
// Only the kernels and the program that launches them are compiled that way, never the emulator, and the
// emulator is linked before them: of a template that both hold, the linker keeps the first copy, and the
// emulator must not report what it does itself.

#include "simt/emulator/block.h"

#if defined(SIMT_EMULATOR_RACE)

namespace simt::emulator {
namespace {

void on_access(const void* memory, std::size_t bytes, AccessKind kind, const void* code) {
  const Block* block = Block::current();
  if (block == nullptr || block->scheduler.current() < 0) return;
  RaceChecker& races = RaceChecker::instance();
  if (!block->scheduler.on_stack(memory)) {
    races.access(block->scheduler.current(), memory, bytes, kind, code);
  } else if (const Site* wgmma = block->warpgroups.holder(memory)) {
    races.accumulator_access(block->scheduler.current(), kind, code, *wgmma);
  }  // else a local variable
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

// std::atomic of the program (a kernel's atomics are in device_functions.cpp): done, and not followed.
#define SIMT_FETCH(bits, operation)                                                                    \
  uint##bits##_t __tsan_atomic##bits##_fetch_##operation(uint##bits##_t* memory, uint##bits##_t value, \
                                                         int) {                                        \
    return __atomic_fetch_##operation(memory, value, __ATOMIC_SEQ_CST);                                \
  }
#define SIMT_ATOMIC_HOOKS(bits)                                                                              \
  uint##bits##_t __tsan_atomic##bits##_load(const uint##bits##_t* memory, int) {                             \
    return __atomic_load_n(memory, __ATOMIC_SEQ_CST);                                                        \
  }                                                                                                          \
  void __tsan_atomic##bits##_store(uint##bits##_t* memory, uint##bits##_t value, int) {                      \
    __atomic_store_n(memory, value, __ATOMIC_SEQ_CST);                                                       \
  }                                                                                                          \
  uint##bits##_t __tsan_atomic##bits##_exchange(uint##bits##_t* memory, uint##bits##_t value, int) {         \
    return __atomic_exchange_n(memory, value, __ATOMIC_SEQ_CST);                                             \
  }                                                                                                          \
  int __tsan_atomic##bits##_compare_exchange_strong(uint##bits##_t* memory, uint##bits##_t* expected,        \
                                                    uint##bits##_t value, int, int) {                        \
    return __atomic_compare_exchange_n(memory, expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);  \
  }                                                                                                          \
  int __tsan_atomic##bits##_compare_exchange_weak(uint##bits##_t* memory, uint##bits##_t* expected,          \
                                                  uint##bits##_t value, int, int) {                          \
    return __atomic_compare_exchange_n(memory, expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);  \
  }                                                                                                          \
  uint##bits##_t __tsan_atomic##bits##_compare_exchange_val(uint##bits##_t* memory, uint##bits##_t expected, \
                                                            uint##bits##_t value, int, int) {                \
    __atomic_compare_exchange_n(memory, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);        \
    return expected;                                                                                         \
  }                                                                                                          \
  SIMT_FETCH(bits, add) SIMT_FETCH(bits, sub) SIMT_FETCH(bits, and) SIMT_FETCH(bits, or) SIMT_FETCH(bits, xor)

extern "C" {
SIMT_HOOKS(1)
SIMT_HOOKS(2)
SIMT_HOOKS(4)
SIMT_HOOKS(8)
SIMT_HOOKS(16)
void __tsan_read_range(void* memory, unsigned long bytes) { SIMT_ON(read, bytes); }
void __tsan_write_range(void* memory, unsigned long bytes) { SIMT_ON(write, bytes); }
SIMT_ATOMIC_HOOKS(8)
SIMT_ATOMIC_HOOKS(16)
SIMT_ATOMIC_HOOKS(32)
SIMT_ATOMIC_HOOKS(64)
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
}

#endif
