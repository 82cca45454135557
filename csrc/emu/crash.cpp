// SPDX-License-Identifier: Apache-2.0
// A kernel that faults ends its launch with a report, like any other mistake; under AddressSanitizer, whose reports end the
// process, the thread is named below them.
#include <csignal>
#include <cstdio>

#include "worker.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>

// Fibers that are abandoned after a report leak, and the leak checker's own report would hide it.
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }

namespace emu {

static void name_thread() {
  if (worker && worker->running)
    std::fprintf(stderr, "SANITIZER: this process ends with a report | %s\n", who(*worker).c_str());
}
// libubsan ends the process by itself, without that callback.
extern "C" __attribute__((visibility("default"))) void __ubsan_on_report() { name_thread(); }

CrashGuard::CrashGuard() { __sanitizer_set_death_callback(name_thread); }
CrashGuard::~CrashGuard() = default;
SignalStack::SignalStack() = default;
SignalStack::~SignalStack() = default;

}  // namespace emu

#else

namespace emu {

static constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
static struct sigaction previous[std::size(kSignals)];

static const void* faulting_pc(const void* context) {
  const auto& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return reinterpret_cast<const void*>(machine.gregs[REG_RIP] + 1);  // place() looks at the byte before
#else
  return reinterpret_cast<const void*>(machine.pc + 1);
#endif
}

static void on_fault(int signal, siginfo_t* info, void* context) {
  if (!worker || !worker->running) {  // not ours: the previous action meets it when the instruction runs again
    for (size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &previous[i], nullptr);
    return;
  }
  const int owner = stack_owner(*worker, info->si_addr);
  fail("CRASH: signal %d at address %p%s, at %s", signal, info->si_addr, owner >= 0 ? " (stack overflow)" : "",
       place({nullptr, 0, faulting_pc(context)}).c_str());
}

CrashGuard::CrashGuard() {
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;  // the handler is left by a switch of stacks, not by return
  for (size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &action, &previous[i]);
}
CrashGuard::~CrashGuard() {
  for (size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &previous[i], nullptr);
}

// A fiber that has overflowed its stack cannot handle the signal on it.
SignalStack::SignalStack() : memory(std::make_unique_for_overwrite<char[]>(kBytes)) {
  const stack_t alternate{memory.get(), 0, kBytes};
  sigaltstack(&alternate, &before);
}
SignalStack::~SignalStack() { sigaltstack(&before, nullptr); }

}  // namespace emu
#endif
