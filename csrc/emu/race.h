// SPDX-License-Identifier: Apache-2.0
// The race detector: which of two accesses happens before the other. Works where kernels are compiled with
// -fsanitize=thread, whose hooks it defines itself (libtsan is not linked); otherwise it costs nothing.
//
// Within a warp each lane keeps a vector clock of the lanes; a warp keeps the epoch of every warp that a barrier has ordered
// before it. __syncwarp and barriers order memory; shuffles and votes do not. Between blocks, and between threads of a block
// without a barrier, order comes from a fence (or a release) before an atomic that another thread reads before its own
// fence (or by an acquire).
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "thread.h"

namespace emu {
struct Fiber;
struct NamedBarrier;
struct Warp;
struct Worker;
}  // namespace emu

namespace emu::race {

// Everything that one thread had done, or had ordered before itself, when it released.
struct Released {
  uint64_t block;
  unsigned warp, lane;
  bool device;  // by a fence of device scope: valid in other blocks too
  uint32_t lanes[32], warps[32];
};
using Seen = std::shared_ptr<const std::vector<Released>>;  // null: nothing

struct ThreadState {
  Seen acquired;      // ordered before this thread from now on
  Seen read;          // by relaxed atomics; the next fence acquires it
  Seen published;     // by the last fence; the next relaxed atomic writes release it
  long accesses = 0;  // since the thread last entered the emulator
};
struct WarpState {
  uint32_t epoch = 1;
  uint32_t warps[32] = {};      // by warp: its last epoch that is ordered before this warp
  uint32_t lanes[32][32] = {};  // by lane: its clock, and of the others what is ordered before it
};
struct BarrierState {
  uint32_t warps[32] = {};
  Seen acquired;
};

bool enabled();
void begin_launch();
void begin_block(Worker&);
void forget_launch();  // race.cpp's part of these two
void forget_block();
void access(Worker&, Fiber&, const volatile void* address, size_t bytes, Access, const Location&);
void synchronise(Fiber&, const volatile void* address, Access, Order);  // what an atomic orders
void fence(Worker&, Fiber&, Scope);
void sync_warp(Worker&, Warp&, unsigned mask);
void block_barrier(Worker&);
void arrive(Worker&, unsigned warp, NamedBarrier&);
void named_barrier(Worker&, NamedBarrier&);

// Is what thread `thread` of block `block` did at this epoch and clock ordered before the fiber?
bool ordered(const Worker&, const Fiber&, uint64_t block, unsigned thread, uint32_t epoch, uint32_t clock);

}  // namespace emu::race
