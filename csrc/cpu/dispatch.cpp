// SPDX-License-Identifier: Apache-2.0
// Chooses the instruction set once, at the first call, and forwards every operation to it.
#include <cstdlib>
#include <string>

#include "core/check.h"
#include "core/threads.h"
#include "ops/backend.h"
#include "ops/first_nonfinite.h"
#include "ops/knn.h"
#include "ops/pairwise.h"
#include "ops/radius.h"
#include "ops/select_k.h"

// ANNK_ISA_LEVELS(X): X(level) for each level in this build, the plainest first; given by the build.
#define ANNK_ROW(level)                            \
  namespace annk::level {                          \
  void pairwise(const PairwiseArgs&);              \
  void knn(const KnnArgs&);                        \
  void radius_count(const RadiusArgs&);            \
  void radius_fill(const RadiusArgs&);             \
  void select_k(const SelectKArgs&);               \
  void first_nonfinite(const FirstNonfiniteArgs&); \
  }
ANNK_ISA_LEVELS(ANNK_ROW)
#undef ANNK_ROW

namespace annk {
namespace {

struct Level {
  const char* name;
  void (*pairwise)(const PairwiseArgs&);
  void (*knn)(const KnnArgs&);
  void (*radius_count)(const RadiusArgs&);
  void (*radius_fill)(const RadiusArgs&);
  void (*select_k)(const SelectKArgs&);
  void (*first_nonfinite)(const FirstNonfiniteArgs&);
};

constexpr Level kLevels[] = {
#define ANNK_ROW(level) \
  {#level, level::pairwise, level::knn, level::radius_count, level::radius_fill, level::select_k, level::first_nonfinite},
    ANNK_ISA_LEVELS(ANNK_ROW)
#undef ANNK_ROW
};

// The flags that the build gives each level (CMakeLists.txt), asked of the processor and the operating system.
bool can_run(const std::string& level) {
#if defined(__x86_64__)
  const bool v2 = __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
  const bool v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                  __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("f16c") && __builtin_cpu_supports("lzcnt");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  if (level == "baseline") return v2;
  if (level == "avx2") return v3;
  if (level == "avx512") return v4;
  return v4 && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi") &&
         __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512bitalg");
#else
  return level == kLevels[0].name;
#endif
}

std::string level_names(bool runnable_only) {
  std::string names;
  for (const Level& level : kLevels)
    if (!runnable_only || can_run(level.name)) names += (names.empty() ? "" : ", ") + std::string(level.name);
  return names;
}

const Level& choose() {
  const Level* best = nullptr;
  const char* forced = std::getenv("ANNKERN_ISA");
  for (const Level& level : kLevels) {
    if (!can_run(level.name)) continue;
    if (forced != nullptr && forced == std::string(level.name)) return level;
    best = &level;
  }
  check(forced == nullptr || *forced == '\0', "ANNKERN_ISA: expected one of ", level_names(true), ", got '",
        forced == nullptr ? "" : forced, "'");
  check(best != nullptr, "annkern: this processor runs none of the levels in this build (", level_names(false), ")");
  return *best;
}

const Level& level() {
  static const Level& chosen = choose();
  return chosen;
}

}  // namespace

void pairwise(const PairwiseArgs& args) { level().pairwise(args); }
void knn(const KnnArgs& args) { level().knn(args); }
void radius_count(const RadiusArgs& args) { level().radius_count(args); }
void radius_fill(const RadiusArgs& args) { level().radius_fill(args); }
void select_k(const SelectKArgs& args) { level().select_k(args); }
void first_nonfinite(const FirstNonfiniteArgs& args) { level().first_nonfinite(args); }

int64_t pairwise_workspace(const PairwiseArgs&) { return 0; }
int64_t knn_workspace(const KnnArgs&) { return 0; }
int64_t radius_workspace(const RadiusArgs&) { return 0; }
int64_t select_k_workspace(const SelectKArgs&) { return 0; }

BackendInfo backend_info() {
  BackendInfo info;
  info.name = "cpu";
  info.isa = level().name;
  for (const Level& level : kLevels) {
    info.built.push_back(level.name);
    if (can_run(level.name)) info.runnable.push_back(level.name);
  }
  info.threads = default_threads();
  info.available = true;
  return info;
}

}  // namespace annk
