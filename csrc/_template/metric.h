// SPDX-License-Identifier: Apache-2.0
// A metric to copy: to csrc/metric/<name>.h. Then a line in core/kinds.h (ANNK_METRICS), an include in metric/all.h, and a
// row in python/annkern/reference/metrics.py. tests/cpp/template_check.cpp compiles this file and checks it.
#pragma once
#include "metric/metric.h"

namespace annk::ANNK_ISA {

// sum |q - x|^3. 8-bit integers take the float32 chain, which is exact for them while sums stay below 2^24.
struct CubedDifference {
  // Metrics that share a step share one compiled scan; a metric with a step of its own names itself.
  using Step = CubedDifference;
  static constexpr Metric kMetric = Metric::cityblock;  // its own enumerator, from core/kinds.h
  static constexpr bool kBits = false, kFromDot = false;
  static constexpr Term kTerm = Term::none;

  // One dimension of the chain. V is float on a GPU and in tails, a register of floats on a CPU: write it with + - *,
  // multiply_add, absolute and larger, which are there for both, and it is vectorised.
  template <class V>
  ANNK_HD static V step(V acc, V q, V x) {
    const V size = absolute(q - x);
    return multiply_add(size * size, size, acc);
  }
  // From the finished chain and the row's term. Smaller is nearer.
  ANNK_HD static float key(float acc, float) { return acc; }
  // What the caller sees.
  ANNK_HD static float report(float key) { return key; }
};

}  // namespace annk::ANNK_ISA
