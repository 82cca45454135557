// SPDX-License-Identifier: Apache-2.0
// Runs the threads of one block as fibers, in an order that the seed decides.
#include <sys/mman.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <thread>

#include "worker.h"

namespace emu {

thread_local Thread* current = nullptr;
thread_local Worker* worker = nullptr;

// Spinning threads must let the thread that they wait for run.
static constexpr int kAtomicsInARow = 64;

static Fiber* pick(Worker& w) {
  auto& ready = w.ready;
  if (ready.empty()) return nullptr;
  size_t at = ready.size() - 1;
  if (w.policy == Policy::random) at = w.random.below(ready.size());
  if (w.policy == Policy::first_in_first_out) at = 0;
  Fiber* next = ready[at];
  if (w.policy == Policy::random) {
    ready[at] = ready.back();
    ready.pop_back();
  } else {
    ready.erase(ready.begin() + static_cast<std::ptrdiff_t>(at));
  }
  return next;
}

static void run(Worker& w, Fiber& next, bool ends = false) {
  Fiber& from = *w.running;
  if (&from == &next) return;
  w.running = &next;
  current = &next.thread;
  next.atomics_in_a_row = 0;
  switch_context(from.context, next.context, ends);
}

[[noreturn]] static void leave_block(Worker& w) {
  Fiber& from = *w.running;
  w.running = nullptr;
  switch_context(from.context, w.host, true);
  __builtin_unreachable();
}

void wait(Fiber& fiber, State state) {
  Worker& w = *worker;
  fiber.state = state;
  Fiber* next = pick(w);
  if (!next) fail("DEADLOCK: no thread can run;%s", positions(w).c_str());
  run(w, *next);
}

void wake(Fiber& fiber) {
  fiber.state = State::ready;
  worker->ready.push_back(&fiber);
}

void yield(Worker& w) {
  Fiber* next = pick(w);
  if (!next) return;
  // Last in the order of this policy, so that two spinning threads do not hand on to each other for ever.
  const bool front = w.policy == Policy::depth_first;
  w.ready.insert(front ? w.ready.begin() : w.ready.end(), w.running);
  run(w, *next);
}

void spend(Fiber& fiber, Location where) {
  fiber.where = where;
  fiber.race.accesses = 0;
  if (--fiber.budget < 0) {
    fail("LIVELOCK suspected: the step budget is used up at %s;%s", place(where).c_str(), positions(*worker).c_str());
  }
}

void atomic_access(const volatile void* address, size_t bytes, Access access, Order order, Location here) {
  if (!worker) return;
  Worker& w = *worker;
  Fiber& self = *w.running;
  spend(self, here);
  if (reinterpret_cast<uintptr_t>(address) % bytes != 0) {
    fail("ALIGN: %zu-byte atomic on an address that is not a multiple of it, at %s", bytes, place(self.where).c_str());
  }
  const bool spins = ++self.atomics_in_a_row >= kAtomicsInARow;
  const bool preempted = w.config.preempt > 0 && w.random.below(static_cast<uint64_t>(w.config.preempt)) == 0;
  if (spins && w.ready.empty()) std::this_thread::yield();  // the thread waited for may be in another worker's block
  if (spins || (preempted && w.config.seed != 0)) yield(w);
  race::access(w, self, address, bytes, access, here);
  race::synchronise(self, address, access, order);
}

void fence(Scope scope) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  if (worker) race::fence(*worker, *worker->running, scope);
}

static void check_exit(Worker& w, const Fiber& self) {
  if (!self.copies.empty())
    fail("CP_ASYNC: the thread exits with copies on their way, issued at %s", place(self.copies.back().where).c_str());
  const Warp& warp = w.warps[self.thread.warp];
  for (unsigned waiting = warp.waiting; waiting != 0; waiting &= waiting - 1) {
    const Fiber& other = w.fibers[self.thread.warp * 32 + static_cast<unsigned>(__builtin_ctz(waiting))];
    if (other.mask >> self.thread.lane & 1u) {
      fail("MASK: the thread exits while lane %u waits for it in %s with mask 0x%08x at %s", other.thread.lane,
           name_of(other.op), other.mask, place(other.where).c_str());
    }
  }
  if (w.barrier.arrived != 0) {
    fail("BARRIER: the thread exits while %u threads wait in __syncthreads at %s", w.barrier.arrived,
         place(w.barrier.first).c_str());
  }
}

static void fiber_main() {
  context_entered();
  Worker& w = *worker;
  w.call->invoke(w.call->arguments);
  Fiber& self = *w.running;
  check_exit(w, self);
  self.state = State::done;
  w.warps[self.thread.warp].exited |= 1u << self.thread.lane;
  if (++w.done == w.threads) leave_block(w);
  Fiber* next = pick(w);
  if (!next) fail("DEADLOCK: no thread can run;%s", positions(w).c_str());
  run(w, *next, true);
  __builtin_unreachable();
}

static void prepare_stacks(Worker& w) {
  if (w.stack_count >= w.threads) return;
  const size_t each = kStackBytes + kGuardBytes;
  if (w.stacks) munmap(w.stacks, w.stack_count * each);
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  w.stacks = static_cast<char*>(mmap(nullptr, w.threads * each, PROT_READ | PROT_WRITE, flags, -1, 0));
  w.stack_count = w.threads;
  for (unsigned i = 0; i < w.threads; ++i) mprotect(w.stacks + i * each, kGuardBytes, PROT_NONE);
}

int stack_owner(const Worker& w, const void* address) {
  const auto* p = static_cast<const char*>(address);
  const size_t each = kStackBytes + kGuardBytes;
  if (p < w.stacks || p >= w.stacks + w.stack_count * each) return -1;
  return static_cast<int>(static_cast<size_t>(p - w.stacks) / each);
}

static void prepare_fibers(Worker& w, uint3 block, dim3 grid, dim3 size) {
  const size_t each = kStackBytes + kGuardBytes;
  for (unsigned i = 0; i < w.threads; ++i) {
    Fiber& f = w.fibers[i];
    const uint3 index{i % size.x, i / size.x % size.y, i / (size.x * size.y)};
    f.thread = {index,
                block,
                size,
                grid,
                i,
                i % 32,
                i / 32,
                w.warps[i / 32].lanes,
                reinterpret_cast<unsigned char*>(w.arena) + kDynamicOffset};
    f.context = make_context(w.stacks + i * each + kGuardBytes, kStackBytes, fiber_main);
    f.state = State::ready;
    f.where = {};
    f.budget = w.config.budget;
    f.copies.clear();
    f.copy_group = 0;
  }
}

// Seed 0 runs thread after thread; others mostly at random, now and then warp after warp, the warps in random order.
static void prepare_order(Worker& w) {
  const uint64_t draw = w.random.next() % 8;
  w.policy = w.config.policy;
  if (w.policy == Policy::by_seed) {
    w.policy = w.config.seed == 0 || draw == 6 ? Policy::depth_first
               : draw == 7                     ? Policy::first_in_first_out
                                               : Policy::random;
  }
  std::vector<unsigned> warps(w.warps.size());
  for (unsigned i = 0; i < warps.size(); ++i) warps[i] = i;
  if (w.config.seed != 0) {
    for (size_t i = warps.size(); i > 1; --i) std::swap(warps[i - 1], warps[w.random.below(i)]);
  }
  w.ready.clear();
  for (unsigned warp : warps)
    for (unsigned i = warp * 32; i < std::min(warp * 32 + 32, w.threads); ++i) w.ready.push_back(&w.fibers[i]);
  if (w.policy == Policy::depth_first) std::reverse(w.ready.begin(), w.ready.end());
}

void run_block(Worker& w, uint64_t linear, dim3 grid, dim3 size, size_t dynamic_bytes) {
  w.threads = size.x * size.y * size.z;
  w.done = 0;
  w.block = linear;
  w.random.state = ((w.config.seed + 1) * 0x9E3779B97F4A7C15u) ^ ((linear + 1) * 0xD1B54A32D192ED03u);
  for (int i = 0; i < 4; ++i) w.random.next();
  if (w.fibers.size() < w.threads) w.fibers.resize(w.threads);
  w.warps.resize((w.threads + 31) / 32);
  for (unsigned i = 0; i < w.warps.size(); ++i) {
    const unsigned left = w.threads - i * 32;
    w.warps[i].exists = left >= 32 ? ~0u : (1u << left) - 1;
    w.warps[i].exited = w.warps[i].waiting = 0;
  }
  w.barrier = {};
  for (NamedBarrier& barrier : w.named) barrier = {};
  prepare_stacks(w);
  prepare_shared(w, dynamic_bytes);
  const auto x = static_cast<unsigned>(linear % grid.x), y = static_cast<unsigned>(linear / grid.x % grid.y);
  prepare_fibers(w, {x, y, static_cast<unsigned>(linear / grid.x / grid.y)}, grid, size);
  prepare_order(w);
  race::begin_block(w);

  worker = &w;
  w.running = pick(w);
  current = &w.running->thread;
  switch_context(w.host, w.running->context);
  worker = nullptr;
  current = nullptr;
}

void fail(const char* format, ...) {
  char text[4096];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  Worker& w = *worker;
  report(text + (" | " + who(w)));
  leave_block(w);
}

}  // namespace emu
