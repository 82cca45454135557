// SPDX-License-Identifier: Apache-2.0
// __syncthreads and the named barriers, by counting arrivals.
#include <bit>
#include <cstring>

#include "worker.h"

namespace emu {

static bool same_line(const Location& a, const Location& b) { return a.line == b.line && std::strcmp(a.file, b.file) == 0; }

int block_barrier(bool vote, Location here) {
  Worker& w = *worker;
  Fiber& self = *w.running;
  BlockBarrier& barrier = w.barrier;
  spend(self, here);
  if (w.done != 0) {
    fail("BARRIER: __syncthreads at %s, but %u threads have exited;%s", place(here).c_str(), w.done, positions(w).c_str());
  }
  if (barrier.arrived == 0) {
    barrier.first = here;
    barrier.votes = 0;
  } else if (!same_line(barrier.first, here)) {
    fail("BARRIER: divergent __syncthreads: %u threads wait at %s, this one at %s", barrier.arrived,
         place(barrier.first).c_str(), place(here).c_str());
  }
  barrier.votes += vote;
  if (++barrier.arrived < w.threads) {
    barrier.waiting.push_back(&self);
    wait(self, State::at_barrier);
    return self.votes;
  }
  barrier.arrived = 0;
  const int votes = static_cast<int>(barrier.votes);
  race::block_barrier(w);
  for (Fiber* fiber : barrier.waiting) {
    fiber->votes = votes;
    wake(*fiber);
  }
  barrier.waiting.clear();
  if (w.policy == Policy::random) yield(w);
  return votes;
}

// The whole warp stands at one barrier instruction.
void arrive(Worker& w, unsigned warp, Op op) {
  const Fiber& self = *w.running;
  const Lane& lane = w.warps[warp].lanes[self.thread.lane];
  NamedBarrier& barrier = w.named[lane.argument];
  if (barrier.arrived == 0) {
    barrier.first = self.where;
    barrier.expected = lane.width;
  } else if (barrier.expected != lane.width) {
    fail("BARRIER: barrier %d expects %d threads at %s and %d at %s", lane.argument, barrier.expected,
         place(barrier.first).c_str(), lane.width, place(self.where).c_str());
  }
  if (barrier.warps >> warp & 1u) {
    fail("BARRIER: warp %u arrives at barrier %d twice before it completes, at %s", warp, lane.argument,
         place(self.where).c_str());
  }
  barrier.warps |= 1u << warp;
  if (op == Op::bar_sync) barrier.waiting_warps |= 1u << warp;
  race::arrive(w, warp, barrier);
  barrier.arrived += 32;
  if (barrier.arrived < barrier.expected) return;
  race::named_barrier(w, barrier);
  barrier.arrived = 0;
  barrier.warps = barrier.waiting_warps = 0;
  ++barrier.generation;
  for (Fiber* fiber : barrier.waiting) wake(*fiber);
  barrier.waiting.clear();
}

void named_barrier(int id, int threads, Op op, Location here) {
  Worker& w = *worker;
  Fiber& self = *w.running;
  if (id < 1 || id >= kNamedBarriers) fail("BARRIER: id %d at %s, 1 to 15 are free for use", id, place(here).c_str());
  if (threads <= 0 || threads % 32 != 0 || static_cast<unsigned>(threads) > (w.threads + 31) / 32 * 32) {
    fail("BARRIER: %d threads at %s: not whole warps of this block", threads, place(here).c_str());
  }
  const Warp& warp = w.warps[self.thread.warp];
  NamedBarrier& barrier = w.named[id];
  const uint64_t generation = barrier.generation;  // cannot pass before this thread's warp has arrived
  Lane& lane = my_lane();
  lane.argument = id;
  lane.width = threads;
  collective(warp.exists & ~warp.exited, op, here);
  if (op == Op::bar_sync && barrier.generation == generation) {
    barrier.waiting.push_back(&self);
    wait(self, State::at_barrier);
  }
}

}  // namespace emu
