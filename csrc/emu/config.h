// SPDX-License-Identifier: Apache-2.0
// What a host program can set and read.
#pragma once
#include <cstdint>
#include <stdexcept>

namespace emu {

// Thrown by a launch on the host thread that made it: the report of the first thing that went wrong.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Policy : int { by_seed = -1, random = 0, depth_first = 1, first_in_first_out = 2 };

// Each field is read from the environment at every launch, unless configure() has fixed it.
struct Config {
  uint64_t seed = 0;                // EMU_SEED: order of blocks and threads, and the poison; 0 is one plain order
  int threads = 1;                  // EMU_THREADS: host threads, 0 = one a core; a run repeats exactly with 1 only
  int preempt = 8;                  // EMU_PREEMPT: switch threads at one in so many atomics; 0 = only when one spins
  Policy policy = Policy::by_seed;  // EMU_POLICY
  long budget = 50'000'000;         // EMU_BUDGET: synchronising operations of one thread before it counts as livelocked
  int multiprocessors = 4;          // EMU_MULTIPROCESSORS: as cudaDeviceGetAttribute reports it
  int capability = 80;              // EMU_CAPABILITY: compute capability, major * 10 + minor
};
void configure(const Config&);
void configure_from_environment();
Config config();

}  // namespace emu
