// SPDX-License-Identifier: Apache-2.0
// The state of one host thread that runs blocks, one block at a time. Internal to the emulator.
#pragma once
#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "config.h"
#include "context.h"
#include "launch.h"
#include "race.h"
#include "thread.h"

namespace emu {

enum class State : uint8_t { ready, at_barrier, in_collective, done };

struct PendingCopy {
  void* shared;
  const void* global;
  int bytes, source_bytes, group;
  Location where;
};

struct Fiber {
  Thread thread;
  Context context;
  State state = State::ready;
  Location where;     // the last place where it entered the emulator
  unsigned mask = 0;  // of the collective that it waits in
  Op op = Op::syncwarp;
  int votes = 0;
  long budget = 0;
  int atomics_in_a_row = 0;
  int copy_group = 0;
  std::vector<PendingCopy> copies;
  race::ThreadState race;
};

struct Warp {
  Lane lanes[32];
  unsigned exists = 0, exited = 0;
  unsigned waiting = 0;    // lanes in a collective
  bool one_group = false;  // all of them in the same one, which this lane knows
  const Fiber* member = nullptr;
  race::WarpState race;
};

struct BlockBarrier {
  unsigned arrived = 0, votes = 0;
  Location first;
  std::vector<Fiber*> waiting;
};

struct NamedBarrier {
  int expected = 0, arrived = 0;
  uint64_t generation = 0;
  uint32_t warps = 0, waiting_warps = 0;  // bit per warp that has arrived; that will wait
  Location first;
  std::vector<Fiber*> waiting;
  race::BarrierState race;
};

struct SharedArray {
  const void* key;
  char* data;
  size_t bytes;
  const char* name;
};

struct Random {
  uint64_t state = 1;
  uint64_t next() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
  }
  uint64_t below(uint64_t n) { return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * n) >> 64); }
};

inline constexpr int kNamedBarriers = 16;
inline constexpr size_t kStaticSharedLimit = 48 << 10;
// CUDA promises 16 bytes of alignment for dynamic shared memory, so no more is given.
inline constexpr size_t kDynamicOffset = 16;
inline constexpr size_t kArenaBytes = 272 << 10;  // the largest block's 227 KiB, and redzones

struct Worker {
  Config config;
  const Call* call = nullptr;
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  std::vector<Fiber*> ready;
  unsigned threads = 0, done = 0;
  uint64_t block = 0;  // linear index
  Fiber* running = nullptr;
  Context host;
  Random random;
  Policy policy = Policy::random;
  BlockBarrier barrier;
  NamedBarrier named[kNamedBarriers];

  char* stacks = nullptr;  // each below a guard page
  unsigned stack_count = 0;

  char* arena = nullptr;  // shared memory: the dynamic part, then the arrays
  size_t arena_used = 0, dynamic_bytes = 0, static_bytes = 0;
  std::vector<SharedArray> arrays;
};

// What threads share is never destroyed: where a program ends, daemon threads may still be inside a launch.
template <class T>
T& immortal() {
  return *new T;
}

extern thread_local Worker* worker;  // null on a host thread outside a launch

// scheduler.cpp
void run_block(Worker&, uint64_t linear, dim3 grid, dim3 block, size_t dynamic_bytes);
void wait(Fiber&, State);  // runs others until somebody wakes it
void wake(Fiber&);
void yield(Worker&);           // lets another ready thread run, if there is one
void spend(Fiber&, Location);  // one step of its budget

int stack_owner(const Worker&, const void* address);  // the thread whose stack this is on, or -1

// shared.cpp
void prepare_shared(Worker&, size_t dynamic_bytes);
bool in_arena(const Worker&, const void* address);
bool in_shared(const Worker&, const void* address, size_t bytes);  // all of it within one array
std::string name_of_shared(const Worker&, const void* address);

// runtime_api.cpp
size_t dynamic_shared_limit(const void* kernel);
size_t shared_limit(const void* kernel, const Config&);

// warp.cpp, mma.cpp
const char* name_of(Op);
void combine_mma(Lane*, Op);
void combine_ldmatrix(Lane*, Op);
void arrive(Worker&, unsigned warp, Op);  // barrier.cpp

// crash.cpp
struct CrashGuard {  // faults of kernels become reports while it lives
  CrashGuard();
  ~CrashGuard();
};
struct SignalStack {  // a stack for their handler, on this host thread
  SignalStack();
  ~SignalStack();
  static constexpr size_t kBytes = 64 << 10;
  std::unique_ptr<char[]> memory;
  stack_t before = {};
};

// report.cpp
std::string place(const Location&);
std::string positions(const Worker&);  // where each thread stands
std::string who(const Worker&);        // kernel, block, thread, seed
void report(const std::string& text);  // keeps the first of a launch
bool failed();
void begin_reports();
std::string first_report();

}  // namespace emu
