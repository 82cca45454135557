// SPDX-License-Identifier: Apache-2.0
// A program of named cases: `program CASE...` runs them, `program` lists them. A case that throws prints the report.
#pragma once
#include <config.h>
#include <cuda_runtime.h>

#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

struct Case {
  const char* name;
  void (*run)();
};

inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

struct Register {
  Register(const char* name, void (*run)()) { cases().push_back({name, run}); }
};

// CASE(name) { ... }
#define CASE(name)                                     \
  static void case_##name();                           \
  static Register register_##name(#name, case_##name); \
  static void case_##name()

#define EXPECT(condition)                                                                                         \
  do {                                                                                                            \
    if (!(condition))                                                                                             \
      throw std::runtime_error(std::string("WRONG-RESULT: ") + #condition + " line " + std::to_string(__LINE__)); \
  } while (false)

inline int run_cases(int count, char** names) {
  int failures = 0;
  for (const Case& c : cases()) {
    bool wanted = false;
    for (int i = 1; i < count; ++i) wanted |= std::strcmp(names[i], "all") == 0 || std::strcmp(names[i], c.name) == 0;
    if (count == 1) std::puts(c.name);
    if (!wanted) continue;
    try {
      c.run();
      std::printf("%s: nothing to report\n", c.name);
    } catch (const std::exception& error) {
      std::printf("%s: %s\n", c.name, error.what());
      ++failures;
    }
    std::fflush(stdout);
  }
  return failures != 0;
}
