// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "metric/metric.h"

namespace annk::ANNK_ISA {

// Similarity <q, x>; larger first.
struct InnerProduct : MetricOf<Metric::inner_product> {
  using Step = InnerProduct;
  static constexpr bool kKeepsNan = true;
  static constexpr Term kTerm = Term::none;
  template <class V>
  ANNK_HD static V step(V acc, V q, V x) {
    return multiply_add(q, x, acc);
  }
  ANNK_HD static float key(float acc, float) { return -acc; }
  ANNK_HD static float key_from_dot(int32_t dot, int32_t, int32_t, float, float) { return -static_cast<float>(dot); }
};

// 1 - <q, x> / (|q| |x|), within [0, 2]; 1 where either has no inverse norm.
struct Cosine : MetricOf<Metric::cosine> {
  using Step = InnerProduct;
  static constexpr Term kTerm = Term::inverse_norm;
  ANNK_HD static float key(float acc, float x_term) { return x_term == 0.0f ? 1.0f : clipped(1.0f - acc * x_term); }
  ANNK_HD static float key_from_dot(int32_t dot, int32_t, int32_t, float q_term, float x_term) {
    return clipped(1.0f - (static_cast<float>(dot) * q_term) * x_term);
  }
  ANNK_HD static float clipped(float key) { return smaller(2.0f, larger(0.0f, key)); }  // NaN is kept
};

}  // namespace annk::ANNK_ISA
