// A fiber: a stack of its own on which a GPU thread runs until it has to wait for another one.
//
// Switching saves and loads the registers that the calling convention asks a function to keep. On x86-64 and
// aarch64 that is a dozen instructions; elsewhere, or with SIMT_FIBER_UCONTEXT, the C library's ucontext does
// it, with two system calls for each switch.
#pragma once

#include <cstddef>

#if !defined(SIMT_FIBER_UCONTEXT) && !defined(__x86_64__) && !defined(__aarch64__)
#define SIMT_FIBER_UCONTEXT
#endif
#if defined(SIMT_FIBER_UCONTEXT)
#include <ucontext.h>
#endif

namespace simt::emulator {

class Fiber {
 public:
  using Entry = void (*)();  // never returns

  // The calling OS thread on its own stack: something to switch from and back to.
  Fiber();
  // A new stack, on which `entry` begins at the first switch.
  Fiber(std::size_t stack_bytes, Entry entry);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Forgets what ran here: the next switch begins at `entry` again. What was on the stack is not destroyed.
  void restart();

  // Goes on at `to`; returns when something switches back to `from`, the fiber that calls this.
  static void switch_to(Fiber& from, Fiber& to);

  bool owns(const void* address) const {
    const auto* byte = static_cast<const char*>(address);
    return byte >= stack_ && byte < stack_ + bytes_;
  }

  // First thing in `entry`, for AddressSanitizer.
  static void entered();

 private:
  void* stack_pointer_ = nullptr;
  char* stack_ = nullptr;
  std::size_t bytes_ = 0;
  Entry entry_ = nullptr;
  void* fake_stack_ = nullptr;  // AddressSanitizer's
#if defined(SIMT_FIBER_UCONTEXT)
  ucontext_t context_{};
#endif
};

}  // namespace simt::emulator
