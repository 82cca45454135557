// SPDX-License-Identifier: Apache-2.0
#include "mutant.h"

#include <cstdio>
#include <cstdlib>
#include <vector>

namespace mutant {

const int chosen = std::getenv("EMU_MUTANT") ? std::atoi(std::getenv("EMU_MUTANT")) : -1;

namespace {
struct Trace {
  std::vector<bool> seen;
  ~Trace() {
    for (size_t i = 0; i < seen.size(); ++i)
      if (seen[i]) std::printf("reached %zu\n", i);
  }
} trace;
}  // namespace

void reached(int number) {
  if (trace.seen.size() <= static_cast<size_t>(number)) trace.seen.resize(static_cast<size_t>(number) + 1);
  trace.seen[static_cast<size_t>(number)] = true;
}

}  // namespace mutant
