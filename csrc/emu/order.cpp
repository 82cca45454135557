// SPDX-License-Identifier: Apache-2.0
// What synchronises: clocks of lanes, epochs of warps, fences with atomics. See race.h.
#include <algorithm>
#include <bit>
#include <unordered_map>

#include "worker.h"

namespace emu::race {

// By address of an atomic: what a thread that reads it may acquire. Only one host thread runs while the detector is on.
using Releases = std::unordered_map<const volatile void*, Seen>;
static auto &global_releases = immortal<Releases>(), &shared_releases = immortal<Releases>();

static void join(Seen& into, const Seen& more) {
  if (!more || into == more) return;
  if (!into) {
    into = more;
    return;
  }
  auto all = std::make_shared<std::vector<Released>>(*into);
  for (const Released& r : *more) {
    const auto same = [&](const Released& s) {
      return s.block == r.block && s.warp == r.warp && s.lane == r.lane && s.device == r.device;
    };
    const auto found = std::ranges::find_if(*all, same);
    if (found == all->end()) {
      all->push_back(r);
      continue;
    }
    for (int i = 0; i < 32; ++i) {
      found->lanes[i] = std::max(found->lanes[i], r.lanes[i]);
      found->warps[i] = std::max(found->warps[i], r.warps[i]);
    }
  }
  into = std::move(all);
}

// Of what an atomic carries, the part that a fence of this scope in this block acquires.
static Seen visible(const Seen& seen, uint64_t block, Scope scope) {
  if (!seen) return seen;
  auto part = std::make_shared<std::vector<Released>>();
  for (const Released& r : *seen)
    if (r.block == block || (r.device && scope == Scope::device)) part->push_back(r);
  return part;
}

static Seen release_now(Worker& w, Fiber& self, Scope scope) {
  WarpState& warp = w.warps[self.thread.warp].race;
  uint32_t* lanes = warp.lanes[self.thread.lane];
  Released mine{w.block, self.thread.warp, self.thread.lane, false, {}, {}};
  std::copy_n(lanes, 32, mine.lanes);
  std::copy_n(warp.warps, 32, mine.warps);
  ++lanes[self.thread.lane];  // what comes after is not released
  auto all = std::make_shared<std::vector<Released>>();
  if (self.race.acquired) *all = *self.race.acquired;
  all->push_back(mine);
  if (scope == Scope::device)
    for (Released& r : *all) r.device = true;
  return all;
}

void fence(Worker& w, Fiber& self, Scope scope) {
  if (!enabled()) return;
  ThreadState& state = self.race;
  join(state.acquired, visible(state.read, w.block, scope));
  const Seen now = release_now(w, self, scope);
  if (scope == Scope::device) state.published = nullptr;  // covered by what follows
  join(state.published, now);
}

void synchronise(Fiber& self, const volatile void* address, Access access, Order order) {
  if (!enabled()) return;
  Worker& w = *worker;
  ThreadState& state = self.race;
  Seen& carried = in_arena(w, const_cast<const void*>(address)) ? shared_releases[address] : global_releases[address];
  if (access != Access::atomic_write) {
    if (order == Order::acquire)
      join(state.acquired, visible(carried, w.block, Scope::device));
    else
      join(state.read, carried);
  }
  if (access == Access::atomic_read) return;
  if (access == Access::atomic_write) carried = nullptr;
  join(carried, order == Order::release ? release_now(w, self, Scope::device) : state.published);
}

void begin_launch() {
  global_releases.clear();
  forget_launch();
}

void begin_block(Worker& w) {
  if (!enabled()) return;
  shared_releases.clear();
  forget_block();
  for (unsigned i = 0; i < w.threads; ++i) w.fibers[i].race = {};
  for (Warp& warp : w.warps) {
    warp.race = {};
    for (int lane = 0; lane < 32; ++lane) warp.race.lanes[lane][lane] = 1;
  }
}

static void join_lanes(Worker& w, unsigned index, unsigned mask, Seen acquired) {
  WarpState& warp = w.warps[index].race;
  Fiber* fibers = &w.fibers[index * 32];
  uint32_t joined[32] = {};
  for (unsigned left = mask; left != 0; left &= left - 1) {
    const int lane = std::countr_zero(left);
    for (int i = 0; i < 32; ++i) joined[i] = std::max(joined[i], warp.lanes[lane][i]);
    join(acquired, fibers[lane].race.acquired);
  }
  for (unsigned left = mask; left != 0; left &= left - 1) {
    const int lane = std::countr_zero(left);
    std::copy_n(joined, 32, warp.lanes[lane]);
    ++warp.lanes[lane][lane];
    fibers[lane].race.acquired = acquired;
  }
}

void sync_warp(Worker& w, Warp& warp, unsigned mask) {
  if (enabled()) join_lanes(w, static_cast<unsigned>(&warp - w.warps.data()), mask, nullptr);
}

// A warp brings to a barrier what it knows and its own epoch; what it does after belongs to the next one.
void arrive(Worker& w, unsigned index, NamedBarrier& barrier) {
  if (!enabled()) return;
  WarpState& warp = w.warps[index].race;
  for (int i = 0; i < 32; ++i) barrier.race.warps[i] = std::max(barrier.race.warps[i], warp.warps[i]);
  barrier.race.warps[index] = warp.epoch++;
  for (unsigned i = index * 32; i < std::min(index * 32 + 32, w.threads); ++i) {
    join(barrier.race.acquired, w.fibers[i].race.acquired);
    ++warp.lanes[i % 32][i % 32];
  }
}

static void pass(Worker& w, unsigned index, const BarrierState& barrier) {
  WarpState& warp = w.warps[index].race;
  for (int i = 0; i < 32; ++i) warp.warps[i] = std::max(warp.warps[i], barrier.warps[i]);
  join_lanes(w, index, w.warps[index].exists, barrier.acquired);
}

void named_barrier(Worker& w, NamedBarrier& barrier) {
  if (!enabled()) return;
  for (unsigned warps = barrier.waiting_warps; warps != 0; warps &= warps - 1)
    pass(w, static_cast<unsigned>(std::countr_zero(warps)), barrier.race);
  barrier.race = {};
}

void block_barrier(Worker& w) {
  if (!enabled()) return;
  NamedBarrier all;
  for (unsigned i = 0; i < w.warps.size(); ++i) arrive(w, i, all);
  for (unsigned i = 0; i < w.warps.size(); ++i) pass(w, i, all.race);
}

bool ordered(const Worker& w, const Fiber& self, uint64_t block, unsigned thread, uint32_t epoch, uint32_t clock) {
  const unsigned warp = thread / 32, lane = thread % 32;
  if (block == w.block) {
    if (thread == self.thread.linear) return true;
    const WarpState& mine = w.warps[self.thread.warp].race;
    if (warp == self.thread.warp && clock <= mine.lanes[self.thread.lane][lane]) return true;
    if (warp != self.thread.warp && epoch <= mine.warps[warp]) return true;
  }
  if (!self.race.acquired) return false;
  return std::ranges::any_of(*self.race.acquired, [&](const Released& r) {
    return r.block == block && (r.warp == warp ? clock <= r.lanes[lane] : epoch <= r.warps[warp]);
  });
}

}  // namespace emu::race
