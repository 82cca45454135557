// SPDX-License-Identifier: Apache-2.0
// Which arithmetic a metric takes on a GPU, read from its type (metric/metric.h): a metric needs no line here, and none is
// served by another one's kernel.
#pragma once
#include <type_traits>

#include "core/check.h"
#include "metric/all.h"

namespace annk::cuda {

using namespace ANNK_ISA;

enum class Family : int32_t {
  dot,      // float32 sums of products
  l2,       // float32 sums of squared differences
  step,     // float32 sums of another step, which the metric names
  integer,  // int32 dot products of bytes
  bits,     // counts of set bits
  store     // codes of a compressed store
};

// The family of a metric over rows that widen to float32, or over bits.
template <class M>
consteval Family family_of() {
  if constexpr (M::kBits) {
    return Family::bits;
  } else if constexpr (std::is_same_v<typename M::Step, InnerProduct>) {
    return Family::dot;
  } else if constexpr (std::is_same_v<typename M::Step, SqEuclidean>) {
    return Family::l2;
  } else {
    return Family::step;
  }
}

template <class... Metrics>
struct MetricList {};
template <bool kListed, class M>
using ListedIf = std::conditional_t<kListed, MetricList<M>, MetricList<>>;
template <class... A, class... B>
MetricList<A..., B...> operator+(MetricList<A...>, MetricList<B...>);

template <class M, class Step>
inline constexpr bool kTakesStep = false;
template <class M, class Step>
  requires std::is_same_v<typename M::Step, Step>
inline constexpr bool kTakesStep<M, Step> = true;

#define ANNK_ROW(name, type, ...) +ListedIf<kTakesStep<type, Step>, type>()
template <class Step>
using MetricsOfStep = decltype(MetricList<>() ANNK_METRICS(ANNK_ROW));
#undef ANNK_ROW
#define ANNK_ROW(name, type, ...) +ListedIf<family_of<type>() == kFamily, type>()
template <Family kFamily>
using MetricsOfFamily = decltype(MetricList<>() ANNK_METRICS(ANNK_ROW));
#undef ANNK_ROW
#define ANNK_ROW(name, type, ...) +ListedIf<type::kFromDot, type>()
using MetricsFromDot = decltype(MetricList<>() ANNK_METRICS(ANNK_ROW));
#undef ANNK_ROW

// body(M{}) for the one of the list that `metric` names. It is one of them: the host asks (require_listed), since a trap
// here makes ptxas spill up to 680 bytes in scans.
template <class First, class... Rest, class Body>
ANNK_HD void visit_list(MetricList<First, Rest...>, Metric metric, Body&& body) {
  if constexpr (sizeof...(Rest) == 0) {
    body(First{});
  } else if (metric == First::kMetric) {
    body(First{});
  } else {
    visit_list(MetricList<Rest...>{}, metric, static_cast<Body&&>(body));
  }
}

template <class... Metrics>
constexpr bool is_listed(MetricList<Metrics...>, Metric metric) {
  return ((metric == Metrics::kMetric) || ...);
}
template <class... Metrics>
void require_listed(MetricList<Metrics...> list, Metric metric) {
  check(is_listed(list, metric), "metric: a kernel was given ", kMetricNames[static_cast<int>(metric)],
        ", which it is not made for");
}

// Whether `metric` is one of the list that takes this term of a row.
template <class... Metrics>
constexpr bool has_term(MetricList<Metrics...>, Metric metric, Term term) {
  return ((metric == Metrics::kMetric && Metrics::kTerm == term) || ...);
}

}  // namespace annk::cuda
