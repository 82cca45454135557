// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "metric/metric.h"

namespace annk::ANNK_ISA {

// sum |q - x|. 8-bit integers take the float32 chain, which is exact for them up to d = 65,793 (2^24 / 255).
struct Cityblock : MetricOf<Metric::cityblock> {
  using Step = Cityblock;
  static constexpr bool kKeepsNan = true;
  static constexpr Term kTerm = Term::none;
  template <class V>
  ANNK_HD static V step(V acc, V q, V x) {
    return acc + absolute(q - x);
  }
  ANNK_HD static float key(float acc, float) { return acc; }
};

// max |q - x|
struct Chebyshev : MetricOf<Metric::chebyshev> {
  using Step = Chebyshev;
  static constexpr bool kKeepsNan = false;
  static constexpr Term kTerm = Term::none;
  template <class V>
  ANNK_HD static V step(V acc, V q, V x) {
    return larger(acc, absolute(q - x));
  }
  ANNK_HD static float key(float acc, float) { return acc; }
};

}  // namespace annk::ANNK_ISA
