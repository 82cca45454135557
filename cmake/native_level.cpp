// SPDX-License-Identifier: Apache-2.0
// Run by cmake/Cpu.cmake: prints those of the levels named by its arguments that this machine runs, each with a semicolon.
#include <cstdio>

#include "cpu/levels.h"

int main(int count, char** names) {
  for (int i = 1; i < count; ++i)
    if (annk::can_run(names[i])) std::printf("%s;", names[i]);
}
