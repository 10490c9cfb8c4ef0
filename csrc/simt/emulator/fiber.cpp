// Fibers: stacks with a guard page, and the switch between them.

#include "simt/emulator/fiber.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "simt/emulator/sanitizer.h"
#include "simt/emulator/vocabulary.h"

#if !defined(SIMT_FIBER_UCONTEXT)
// simt_fiber_switch(void** save, void* to): pushes the registers a callee keeps, stores the stack pointer in
// *save, loads `to` and pops what an earlier switch pushed there.
extern "C" void simt_fiber_switch(void** save, void* to);
#endif

#if defined(SIMT_FIBER_UCONTEXT)
#elif defined(__x86_64__)
asm(R"(
.text
.p2align 4
.globl simt_fiber_switch
.hidden simt_fiber_switch
.type simt_fiber_switch, @function
simt_fiber_switch:
  endbr64
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size simt_fiber_switch, .-simt_fiber_switch
)");
#else
asm(R"(
.text
.p2align 4
.globl simt_fiber_switch
.hidden simt_fiber_switch
.type simt_fiber_switch, %function
simt_fiber_switch:
  hint #34
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size simt_fiber_switch, .-simt_fiber_switch
)");
#endif

namespace simt::emulator {
namespace {

std::size_t page_bytes() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

// What simt_fiber_switch finds on a stack that has not run yet.
[[maybe_unused]] void* first_frame(char* stack_end, Fiber::Entry entry) {
  auto* top = reinterpret_cast<void**>(stack_end);
#if defined(__aarch64__)
  constexpr int kSlots = 20;  // x19 to x30, d8 to d15
  constexpr int kReturn = 11;
  top -= kSlots;
  for (int i = 0; i < kSlots; ++i) top[i] = nullptr;
  top[kReturn] = reinterpret_cast<void*>(entry);
#else
  *--top = nullptr;  // the return address of `entry`, which never returns; also aligns the stack
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
#endif
  return top;
}

}  // namespace

Fiber::Fiber() {
  if constexpr (kAddressSanitizer) {
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) return;
    void* stack = nullptr;
    pthread_attr_getstack(&attributes, &stack, &bytes_);
    pthread_attr_destroy(&attributes);
    stack_ = static_cast<char*>(stack);
  }
}

Fiber::Fiber(std::size_t stack_bytes, Entry entry) : bytes_(stack_bytes), entry_(entry) {
  const std::size_t guard = page_bytes();
  void* memory = mmap(nullptr, bytes_ + guard, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    throw Error("emulator: no memory for a thread's stack of " + std::to_string(bytes_) +
                " bytes; use fewer CPU threads (ALEXNET_THREADS=1)");
  }
  mprotect(memory, guard, PROT_NONE);  // stacks grow down: an overflow faults here
  stack_ = static_cast<char*>(memory) + guard;
  restart();
}

Fiber::~Fiber() {
  if (entry_ == nullptr) return;
  allow(stack_, bytes_);
  munmap(stack_ - page_bytes(), bytes_ + page_bytes());
}

void Fiber::restart() {
  allow(stack_, bytes_);
#if defined(SIMT_FIBER_UCONTEXT)
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack_;
  context_.uc_stack.ss_size = bytes_;
  context_.uc_link = nullptr;
  makecontext(&context_, entry_, 0);
#else
  stack_pointer_ = first_frame(stack_ + bytes_, entry_);
#endif
}

void Fiber::switch_to(Fiber& from, Fiber& to) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&from.fake_stack_, to.stack_, to.bytes_);
#endif
#if defined(SIMT_FIBER_UCONTEXT)
  swapcontext(&from.context_, &to.context_);
#else
  simt_fiber_switch(&from.stack_pointer_, to.stack_pointer_);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(from.fake_stack_, nullptr, nullptr);
#endif
}

void Fiber::entered() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
}

}  // namespace simt::emulator
