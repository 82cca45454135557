// SPDX-License-Identifier: Apache-2.0
// Every metric as a plain loop over doubles; of bits, over zeros and ones.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/kinds.h"

namespace plain {

using annk::Metric;

// The reported distance, and how far a float32 chain of d steps may lie from it.
struct Distance {
  double value, bound;
};
inline Distance distance(Metric metric, const double* q, const double* x, int64_t d) {
  double sum = 0, size = 0, most = 0, q2 = 0, x2 = 0, dot = 0, both = 0, either = 0;
  for (int64_t j = 0; j < d; ++j) {
    const double difference = std::abs(q[j] - x[j]);
    sum += difference * difference;
    both += difference;
    most = std::max(most, difference);
    dot += q[j] * x[j];
    size += std::abs(q[j] * x[j]);
    q2 += q[j] * q[j];
    x2 += x[j] * x[j];
    either += q[j] + x[j] > 0;
  }
  const double chain = static_cast<double>(d + 4) * 0x1p-24, norms = std::sqrt(q2 * x2);
  switch (metric) {
    case Metric::sqeuclidean:
      return {sum, 2 * chain * sum};
    case Metric::euclidean:
      return {std::sqrt(sum), 2 * chain * std::sqrt(sum)};
    case Metric::inner_product:
      return {dot, chain * size};
    case Metric::cosine:
      return norms > 0 ? Distance{1 - dot / norms, 4 * chain * (1 + size / norms)} : Distance{1, 0};
    case Metric::cityblock:
      return {both, 2 * chain * both};
    case Metric::chebyshev:
      return {most, 0x1p-22 * most};
    case Metric::hamming:
      return {both, 0};
    case Metric::jaccard:
      return {either > 0 ? 1 - dot / either : 0, 0x1p-22};
  }
  __builtin_trap();
}

}  // namespace plain
