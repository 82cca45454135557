// SPDX-License-Identifier: Apache-2.0
#include "context.h"

#include <pthread.h>

#include <cstdint>
#include <cstring>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

// void emu_switch_stacks(void** save, void* to): pushes the registers that a call preserves, swaps the stack pointer, pops.
extern "C" void emu_switch_stacks(void** save, void* to);

#if defined(__x86_64__)
__asm__(R"(
.pushsection .text
.globl emu_switch_stacks
.hidden emu_switch_stacks
.type emu_switch_stacks,@function
emu_switch_stacks:
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
.size emu_switch_stacks,.-emu_switch_stacks
.popsection
)");
#elif defined(__aarch64__)
__asm__(R"(
.pushsection .text
.globl emu_switch_stacks
.hidden emu_switch_stacks
.type emu_switch_stacks,%function
emu_switch_stacks:
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
.size emu_switch_stacks,.-emu_switch_stacks
.popsection
)");
#else
#error "the emulator switches stacks on x86-64 and aarch64 only"
#endif

namespace emu {

#if defined(__SANITIZE_ADDRESS__)
// Set by the context that is left, read by the one that is entered, on one host thread.
static thread_local const Context* entering = nullptr;
#endif

Context make_context(char* stack, size_t bytes, void (*entry)()) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(stack, bytes);  // frames of a fiber that was abandoned here
#endif
  auto** top = reinterpret_cast<void**>((reinterpret_cast<uintptr_t>(stack) + bytes - 64) & ~uintptr_t{15});
#if defined(__x86_64__)
  *--top = nullptr;  // the return address of `entry`: the stack is then aligned as after a call
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
#else
  top -= 20;
  std::memset(top, 0, 160);
  top[11] = reinterpret_cast<void*>(entry);
#endif
  return {top, stack, bytes, nullptr};
}

Context host_context() {
  Context self;
#if defined(__SANITIZE_ADDRESS__)
  pthread_attr_t attributes;
  void* stack = nullptr;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &stack, &self.bytes);
  pthread_attr_destroy(&attributes);
  self.stack = stack;
#endif
  return self;
}

void switch_context(Context& from, const Context& to, [[maybe_unused]] bool from_ends) {
#if defined(__SANITIZE_ADDRESS__)
  entering = &to;
  __sanitizer_start_switch_fiber(from_ends ? nullptr : &from.fake_stack, to.stack, to.bytes);
#endif
  emu_switch_stacks(&from.stack_pointer, to.stack_pointer);
  context_entered();
}

void context_entered() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(entering->fake_stack, nullptr, nullptr);
#endif
}

}  // namespace emu
