// SPDX-License-Identifier: Apache-2.0
// Every metric of numbers, on floats and on registers of floats, is what tests/cpp/plain_metric.h says; those of bits on
// words.
#include <cstdio>
#include <random>
#include <vector>

#include "cpu/simd/vec.h"
#include "metric/all.h"
#include "plain_metric.h"

namespace isa = annk::ANNK_ISA;
using annk::Metric;

namespace {

int failed = 0;
std::mt19937 rng(1);
constexpr int64_t kDims = 37;

void expect(Metric metric, const char* what, double got, plain::Distance want) {
  if (std::abs(got - want.value) <= want.bound) return;
  ++failed;
  printf("%s on %s: %g, not %g\n", annk::kMetricNames[static_cast<int>(metric)], what, got, want.value);
}

template <class M>
void check_numbers() {
  std::vector<double> q(kDims), x(kDims);
  for (double& value : q) value = rng() % 5 == 0 ? 0.0 : static_cast<float>(rng() % 2001) / 731.0f - 1.0f;
  for (double& value : x) value = rng() % 5 == 0 ? 0.0 : static_cast<float>(rng() % 2001) / 731.0f - 1.0f;
  float sum = 0, term = 0, scale = 1;
  if (M::kTerm == isa::Term::inverse_norm) {
    double q2 = 0, x2 = 0;
    for (int64_t j = 0; j < kDims; ++j) q2 += q[j] * q[j], x2 += x[j] * x[j];
    scale = isa::inverse_norm(q2), term = isa::inverse_norm(x2);
  }
  isa::F32 sums = isa::F32::zero();
  for (int64_t j = 0; j < kDims; ++j) {
    const float a = static_cast<float>(q[j]) * scale, b = static_cast<float>(x[j]);
    sum = M::Step::step(sum, a, b);
    sums = M::Step::step(sums, isa::F32::broadcast(a), isa::F32::broadcast(b));
  }
  const plain::Distance want = plain::distance(M::kMetric, q.data(), x.data(), kDims);
  float lanes[isa::kLanes];
  sums.store(lanes);
  expect(M::kMetric, "floats", M::report(M::key(sum, term)), want);
  expect(M::kMetric, "registers", M::report(M::key(lanes[isa::kLanes - 1], term)), want);
}

template <class M>
void check_bits() {
  uint64_t q = rng(), x = rng();
  std::vector<double> a(64), b(64);
  for (int j = 0; j < 64; ++j) a[j] = static_cast<double>(q >> j & 1), b[j] = static_cast<double>(x >> j & 1);
  const float key = M::key(std::popcount(M::combine(q, x)), std::popcount(q), std::popcount(x));
  expect(M::kMetric, "words", M::report(key), plain::distance(M::kMetric, a.data(), b.data(), 64));
}

}  // namespace

int main() {
  for (size_t i = 0; i < std::size(annk::kMetricNames); ++i)
    isa::visit(static_cast<Metric>(i), []<class M>(M) {
      for (int turn = 0; turn < 100; ++turn)
        if constexpr (M::kBits)
          check_bits<M>();
        else
          check_numbers<M>();
    });
  return failed != 0;
}
