// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "metric/metric.h"

namespace annk::ANNK_ISA {

// Bits that differ. Exact in float32 up to 2^24 bits; reported as int32.
struct Hamming : MetricOf<Metric::hamming> {
  static constexpr Term kTerm = Term::none;
  template <class W>
  ANNK_HD static W combine(W q, W x) {
    return q ^ x;
  }
  ANNK_HD static float key(int32_t count, int32_t, int32_t) { return static_cast<float>(count); }
};

// 1 - |q and x| / |q or x|; 0 between two empty sets.
struct Jaccard : MetricOf<Metric::jaccard> {
  static constexpr Term kTerm = Term::popcount;
  template <class W>
  ANNK_HD static W combine(W q, W x) {
    return q & x;
  }
  ANNK_HD static float key(int32_t count, int32_t q_popcount, int32_t x_popcount) {
    const int32_t either = q_popcount + x_popcount - count;
    return either == 0 ? 0.0f : 1.0f - static_cast<float>(count) / static_cast<float>(either);
  }
};

}  // namespace annk::ANNK_ISA
