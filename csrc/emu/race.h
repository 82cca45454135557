// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "thread.h"
namespace emu {
struct Worker;
struct Warp;
struct NamedBarrier;
}  // namespace emu
namespace emu::race {
struct ThreadState {};
struct WarpState {};
struct BarrierState {};
inline bool enabled() { return false; }
inline void begin_launch() {}
inline void access(Worker&, const void*, size_t, Access, const void*) {}
inline void read_for_lane(Worker&, const void*, size_t, int) {}
inline void block_barrier(Worker&) {}
inline void arrive(Worker&, unsigned, NamedBarrier&) {}
inline void named_barrier(Worker&, NamedBarrier&) {}
inline void sync_warp(Worker&, Warp&, unsigned) {}
}  // namespace emu::race
