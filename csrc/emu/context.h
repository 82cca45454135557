// SPDX-License-Identifier: Apache-2.0
// Switching stacks: what makes a fiber. Fibers never move between host threads.
#pragma once
#include <cstddef>

namespace emu {

struct Context {
  void* stack_pointer = nullptr;
  const void* stack = nullptr;  // lowest address
  size_t bytes = 0;
  void* fake_stack = nullptr;  // AddressSanitizer's own
};

// A context that enters `entry` (which must not return) on the given stack when it is first switched to.
Context make_context(char* stack, size_t bytes, void (*entry)());
// The running host thread as a context to come back to.
Context host_context();
// Leaves `from` for `to`; returns when somebody switches to `from`. A context that ends is never switched to again.
void switch_context(Context& from, const Context& to, bool from_ends = false);
// To be called first thing by `entry`.
void context_entered();

// 64 KiB hold any kernel here; AddressSanitizer's redzones want more.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr size_t kStackBytes = 256 << 10;
#else
inline constexpr size_t kStackBytes = 64 << 10;
#endif

// Below each stack. Wider than a page of any system, and than the frames that might step over it.
inline constexpr size_t kGuardBytes = 64 << 10;

}  // namespace emu
