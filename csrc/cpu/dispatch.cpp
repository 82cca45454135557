// SPDX-License-Identifier: Apache-2.0
// Chooses the instruction set once, at the first call, and forwards every operation to it.
#include <cstdlib>
#include <string>

#include "core/check.h"
#include "core/threads.h"
#include "cpu/levels.h"
#include "ops/backend.h"
#include "ops/ops.h"

// ANNK_ISA_LEVELS(X): X(level) for each level in this build, the plainest first; given by the build.
#define ANNK_OP(op, Args) void op(const Args&);
#define ANNK_ROW(level)   \
  namespace annk::level { \
  ANNK_OPS(ANNK_OP)       \
  }
ANNK_ISA_LEVELS(ANNK_ROW)
#undef ANNK_ROW
#undef ANNK_OP

namespace annk {
namespace {

struct Level {
  const char* name;
#define ANNK_OP(op, Args) void (*op)(const Args&) = nullptr;
  ANNK_OPS(ANNK_OP)
#undef ANNK_OP
};

template <class Fill>
constexpr Level level_of(const char* name, Fill fill) {
  Level level{name};
  fill(level);
  return level;
}

#define ANNK_OP(op, Args) to.op = from::op;
constexpr Level kLevels[] = {
#define ANNK_ROW(level)            \
  level_of(#level, [](Level& to) { \
    namespace from = annk::level;  \
    ANNK_OPS(ANNK_OP)              \
  }),
    ANNK_ISA_LEVELS(ANNK_ROW)
#undef ANNK_ROW
};
#undef ANNK_OP

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
  return *best;
}

const Level& level() {
  static const Level& chosen = choose();
  return chosen;
}

}  // namespace

#define ANNK_OP(op, Args) \
  void op(const Args& args) { level().op(args); }
ANNK_OPS(ANNK_OP)
#undef ANNK_OP

#define ANNK_OP(op, Args) \
  int64_t op##_workspace(const Args&) { return 0; }
ANNK_SIZED_OPS(ANNK_OP)
#undef ANNK_OP

void require_loadable() {
  check(!level_names(true).empty(), "annkern: this processor runs none of the instruction sets in this build (",
        level_names(false), "); build it here, with ANNKERN_ISA_LEVELS=NATIVE or with all of them");
}

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
#ifdef ANNK_WITHOUT_CUDA
  info.note = ANNK_WITHOUT_CUDA;
#endif
  return info;
}

}  // namespace annk
