// SPDX-License-Identifier: Apache-2.0
// Every metric, and the one place where a run-time metric becomes a type.
#pragma once
#include "metric/bits.h"
#include "metric/dot.h"
#include "metric/l2.h"
#include "metric/lp.h"

namespace annk::ANNK_ISA {

template <class M>
concept AnyMetric = DotMetric<M> || (NumberMetric<M> && !M::kFromDot) || BitMetric<M>;
#define ANNK_ROW(name, type, how) \
  static_assert(AnyMetric<type> && type::kMetric == Metric::name, "metric/metric.h says what " #name " lacks");
ANNK_METRICS(ANNK_ROW)
#undef ANNK_ROW

// visit(metric, [](auto type) { using M = decltype(type); ... });
template <class F>
ANNK_HD auto visit(Metric metric, F&& f) {
  switch (metric) {
#define ANNK_ROW(name, type, how) \
  case Metric::name:              \
    return f(type{});
    ANNK_METRICS(ANNK_ROW)
#undef ANNK_ROW
  }
#if defined(__CUDA_ARCH__)
  __trap();
#else
  __builtin_trap();  // the bindings refuse other numbers
#endif
}

// What the caller sees for a key, and for a neighbor that is missing.
ANNK_HD float report(Metric metric, float key) { return is_similarity(metric) ? 0.0f - key : key; }
ANNK_HD float missing_distance(Metric metric) { return is_similarity(metric) ? -INFINITY : INFINITY; }
inline constexpr int32_t kMissingInt = 0x7fffffff;

}  // namespace annk::ANNK_ISA
