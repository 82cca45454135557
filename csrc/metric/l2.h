// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "metric/metric.h"

namespace annk::ANNK_ISA {

// sum (q - x)^2. Summed as differences, not as |q|^2 + |x|^2 - 2 <q, x>, which loses every digit between near vectors
// far from the origin.
struct SqEuclidean : MetricOf<Metric::sqeuclidean> {
  using Step = SqEuclidean;
  static constexpr bool kKeepsNan = true;
  static constexpr Term kTerm = Term::none;
  template <class V>
  ANNK_HD static V step(V acc, V q, V x) {
    const V difference = q - x;
    return multiply_add(difference, difference, acc);
  }
  ANNK_HD static float key(float acc, float) { return acc; }
  ANNK_HD static float key_from_dot(int32_t dot, int32_t q_squared, int32_t x_squared, float, float) {
    // Unsigned: the sum of both squares may pass 2^31 before twice the dot product is taken off.
    const uint32_t sum = static_cast<uint32_t>(q_squared) + static_cast<uint32_t>(x_squared);
    return static_cast<float>(sum - 2u * static_cast<uint32_t>(dot));
  }
};

// The root is part of the key, not of the report: two sums that round to one root are a tie, and ties go by id.
struct Euclidean : MetricOf<Metric::euclidean> {
  using Step = SqEuclidean;
  static constexpr Term kTerm = Term::none;
  ANNK_HD static float key(float acc, float) { return sqrtf(acc); }
  ANNK_HD static float key_from_dot(int32_t dot, int32_t q_squared, int32_t x_squared, float, float) {
    return sqrtf(SqEuclidean::key_from_dot(dot, q_squared, x_squared, 0.0f, 0.0f));
  }
};

}  // namespace annk::ANNK_ISA
