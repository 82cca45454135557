// SPDX-License-Identifier: Apache-2.0
// A metric to copy: this file to csrc/metric/<name>.h, and its definition, metric.py, into annkern/reference/metrics.py.
// What else takes a line of it stands in CONTRIBUTING.md, and tests/test_template.py does all of it in a copy of the tree.
#pragma once
#include "metric/metric.h"

namespace annk::ANNK_ISA {

// sum |q - x| / (|q| + |x|), 0 where both are zero. 8-bit integers take the float32 chain. Where |q| + |x| overflows
// the distance has no meaning.
struct Canberra : MetricOf<Metric::canberra> {
  // Metrics that share a step share one compiled scan; a metric with a step of its own names itself.
  using Step = Canberra;
  static constexpr bool kKeepsNan = true;
  static constexpr Term kTerm = Term::none;

  // One dimension of the chain. V is float on a GPU and in tails, a register of floats on a CPU: write it with + - * /,
  // multiply_add, absolute and larger, which are there for both, and it is vectorised.
  template <class V>
  ANNK_HD static V step(V acc, V q, V x) {
    const V least = constant<V>(0x1p-149f);  // changes no sum but that of zeros
    return acc + absolute(q - x) / larger(absolute(q) + absolute(x), least);
  }
  // From the finished chain and the row's term. Smaller is nearer.
  ANNK_HD static float key(float acc, float) { return acc; }
};

}  // namespace annk::ANNK_ISA
