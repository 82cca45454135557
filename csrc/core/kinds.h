// SPDX-License-Identifier: Apache-2.0
// The lists of metrics, element types and stores: the one registry that C++, CUDA and the bindings read.
#pragma once
#include "core/platform.h"

namespace annk {

// X(name, C++ type in metric/). The Python registry, annkern/reference/metrics.py, must list the same names
// (tests/test_registry.py compares them).
#define ANNK_METRICS(X)          \
  X(sqeuclidean, SqEuclidean)    \
  X(euclidean, Euclidean)        \
  X(inner_product, InnerProduct) \
  X(cosine, Cosine)              \
  X(cityblock, Cityblock)        \
  X(chebyshev, Chebyshev)        \
  X(hamming, Hamming)            \
  X(jaccard, Jaccard)

// X(name, bits per element). `bits` is packed: dimension j of a row is bit j % 8 of byte j / 8.
#define ANNK_DTYPES(X) X(f32, 32) X(f16, 16) X(bf16, 16) X(i8, 8) X(u8, 8) X(bits, 1)

// X(name, its file in store/): how vectors lie in memory. `array` is a plain matrix of one of the types above.
#define ANNK_STORES(X) X(array, view) X(lvq, lvq) X(rabitq, rabitq) X(pq, pq)

#define ANNK_ROW(name, more) name,
enum class Metric : int32_t { ANNK_METRICS(ANNK_ROW) };
enum class DType : int32_t { ANNK_DTYPES(ANNK_ROW) };
enum class StoreKind : int32_t { ANNK_STORES(ANNK_ROW) };
#undef ANNK_ROW

#define ANNK_ROW(name, more) #name,
inline constexpr const char* kMetricNames[] = {ANNK_METRICS(ANNK_ROW)};
inline constexpr const char* kDTypeNames[] = {ANNK_DTYPES(ANNK_ROW)};
inline constexpr const char* kStoreNames[] = {ANNK_STORES(ANNK_ROW)};
#undef ANNK_ROW

#define ANNK_ROW(name, bits) bits,
inline constexpr int kDTypeBits[] = {ANNK_DTYPES(ANNK_ROW)};
#undef ANNK_ROW

constexpr bool is_bit_metric(Metric m) { return m == Metric::hamming || m == Metric::jaccard; }
// Distances of this metric are int32 arrays; all others are float32.
constexpr bool is_int_metric(Metric m) { return m == Metric::hamming; }
// Larger is nearer; everywhere else smaller is.
constexpr bool is_similarity(Metric m) { return m == Metric::inner_product; }

}  // namespace annk
