// SPDX-License-Identifier: Apache-2.0
// Which instruction sets this processor and its operating system run: asked here by dispatch.cpp, and by the build for
// ANNKERN_ISA_LEVELS=NATIVE (cmake/native_level.cpp).
#pragma once
#include <string_view>

namespace annk {

// The flags that cmake/Cpu.cmake gives each level; false for a name that it does not know.
inline bool can_run(std::string_view level) {
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
  return level == "avx512vnni" && v4 && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi") &&
         __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("avx512bitalg");
#elif defined(__aarch64__)
  return level == "neon";
#else
  return level == "baseline";
#endif
}

}  // namespace annk
