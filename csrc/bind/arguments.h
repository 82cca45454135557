// SPDX-License-Identifier: Apache-2.0
// What the arguments of several operations are made of: numbers and names from Python become views and kinds.
#pragma once
#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "bind/gil.h"
#include "core/check.h"
#include "core/view.h"

namespace annk {

template <class T>
T* pointer(uintptr_t address) {
  return reinterpret_cast<T*>(address);
}

template <class Kind, size_t N>
Kind kind_from_name(const char* what, const char* const (&names)[N], const std::string& name) {
  for (size_t i = 0; i < N; ++i)
    if (name == names[i]) return static_cast<Kind>(i);
  check(false, what, ": unknown, got '", name, "'");
  return {};
}

// Other names that callers may use.
struct MetricAlias {
  const char* alias;
  Metric metric;
};
inline constexpr MetricAlias kMetricAliases[] = {{"l2", Metric::sqeuclidean},      {"ip", Metric::inner_product},
                                                 {"dot", Metric::inner_product},   {"cos", Metric::cosine},
                                                 {"angular", Metric::cosine},      {"l1", Metric::cityblock},
                                                 {"manhattan", Metric::cityblock}, {"linf", Metric::chebyshev}};

inline Metric metric_from_name(const std::string& name) { return kind_from_name<Metric>("metric", kMetricNames, name); }

// Ctrl-C is seen where a kernel asks, between blocks: the only moment at which the interpreter is entered.
inline bool interrupted() {
  const WithGil held;
  return PyErr_CheckSignals() != 0;
}

inline Exec exec(int threads, uintptr_t stream, uintptr_t workspace, int64_t workspace_bytes) {
  return {threads, pointer<void>(stream), pointer<void>(workspace), workspace_bytes, interrupted};
}

inline Matrix matrix(uintptr_t data, int64_t rows, int64_t dims, int64_t stride, const std::string& dtype) {
  return {pointer<const void>(data), rows, dims, stride, kind_from_name<DType>("dtype", kDTypeNames, dtype)};
}

inline Dataset store(const std::string& kind, int64_t rows, int64_t dims, const std::vector<uintptr_t>& arrays,
                     const std::vector<int64_t>& numbers) {
  check(arrays.size() <= Dataset::kMostArrays && numbers.size() <= Dataset::kMostNumbers,
        "store: too many arrays or numbers");
  Dataset base(Matrix{nullptr, rows, dims, 0, DType::f32});
  base.kind = kind_from_name<StoreKind>("store", kStoreNames, kind);
  for (size_t i = 0; i < arrays.size(); ++i) base.arrays[i] = pointer<void>(arrays[i]);
  for (size_t i = 0; i < numbers.size(); ++i) base.numbers[i] = numbers[i];
  return base;
}

inline Filter filter(uintptr_t data, int64_t query_stride, bool packed) {
  return {pointer<const void>(data), query_stride, packed ? Filter::Kind::bits : Filter::Kind::bytes};
}

}  // namespace annk
