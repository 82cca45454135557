// SPDX-License-Identifier: Apache-2.0
// The lists of metrics, element types and stores: the one registry that C++, CUDA and the bindings read.
#pragma once
#include <iterator>

#include "core/platform.h"

namespace annk {

// X(name, C++ type in metric/, how it is reported). The list that a metric stands in says what its keys are made from, and
// so which kernels may serve it: traits below are read from these lists, never from a list of names elsewhere. The Python
// registry, annkern/reference/metrics.py, must list the same names (tests/test_registry.py compares them). An enumerator
// keeps its number when a metric comes to the last list.
#define ANNK_SQUARES_METRICS(X) /* from |q - x|^2 */ \
  X(sqeuclidean, SqEuclidean, distance)              \
  X(euclidean, Euclidean, distance)
#define ANNK_PRODUCT_METRICS(X) /* from <q, x> and norms */ \
  X(inner_product, InnerProduct, similarity)                \
  X(cosine, Cosine, distance)
#define ANNK_BIT_METRICS(X) /* from counts of set bits */ \
  X(hamming, Hamming, count)                              \
  X(jaccard, Jaccard, distance)
#define ANNK_STEP_METRICS(X) /* from a chain of steps of their own, one a dimension */ \
  X(cityblock, Cityblock, distance)                                                    \
  X(chebyshev, Chebyshev, distance)
#define ANNK_METRICS(X) ANNK_SQUARES_METRICS(X) ANNK_PRODUCT_METRICS(X) ANNK_BIT_METRICS(X) ANNK_STEP_METRICS(X)

// X(name, bits per element). `bits` is packed: dimension j of a row is bit j % 8 of byte j / 8.
#define ANNK_DTYPES(X) X(f32, 32) X(f16, 16) X(bf16, 16) X(i8, 8) X(u8, 8) X(bits, 1)

// X(name, prefix of its C++ types, keys on the CPU, keys on a GPU): how vectors lie in memory (store/<name>.h). Keys come
// from kernels of its `own`, or from `decoded` rows.
#define ANNK_CODED_STORES(X) X(lvq, Lvq, own, own) X(rabitq, Rabitq, own, own) X(pq, Pq, own, own)
// `array` is a plain matrix of one of the types above.
#define ANNK_STORES(X) X(array) ANNK_CODED_STORES(X)

#define ANNK_ROW(name, ...) name,
enum class Metric : int32_t { ANNK_METRICS(ANNK_ROW) };
enum class DType : int32_t { ANNK_DTYPES(ANNK_ROW) };
enum class StoreKind : int32_t { ANNK_STORES(ANNK_ROW) };
#undef ANNK_ROW

#define ANNK_ROW(name, ...) #name,
inline constexpr const char* kMetricNames[] = {ANNK_METRICS(ANNK_ROW)};
inline constexpr const char* kDTypeNames[] = {ANNK_DTYPES(ANNK_ROW)};
inline constexpr const char* kStoreNames[] = {ANNK_STORES(ANNK_ROW)};
#undef ANNK_ROW

#define ANNK_ROW(name, bits) bits,
inline constexpr int kDTypeBits[] = {ANNK_DTYPES(ANNK_ROW)};
#undef ANNK_ROW

// A set of metrics is a mask: a test of one is a shift and an `and`, on a GPU as well.
enum class Reported { distance, count, similarity };
#define ANNK_ROW(name, ...) | 1u << static_cast<int>(Metric::name)
inline constexpr uint32_t kSquaresMetrics = 0u ANNK_SQUARES_METRICS(ANNK_ROW);
inline constexpr uint32_t kProductMetrics = 0u ANNK_PRODUCT_METRICS(ANNK_ROW);
inline constexpr uint32_t kBitMetrics = 0u ANNK_BIT_METRICS(ANNK_ROW);
#undef ANNK_ROW
#define ANNK_ROW(name, type, how) | (Reported::how == kReported ? 1u << static_cast<int>(Metric::name) : 0u)
template <Reported kReported>
inline constexpr uint32_t kMetricsReportedAs = 0u ANNK_METRICS(ANNK_ROW);
#undef ANNK_ROW
static_assert(std::size(kMetricNames) <= 32);

constexpr bool is_in(uint32_t metrics, Metric m) { return (metrics >> static_cast<int>(m) & 1u) != 0; }

// Its key is a function of |q - x|^2, or of <q, x> and norms: what stores of codes compute from integer products.
constexpr bool from_squares(Metric m) { return is_in(kSquaresMetrics, m); }
constexpr bool from_product(Metric m) { return is_in(kProductMetrics, m); }
constexpr bool from_dot(Metric m) { return is_in(kSquaresMetrics | kProductMetrics, m); }
// Takes packed bits, and nothing else.
constexpr bool is_bit_metric(Metric m) { return is_in(kBitMetrics, m); }
// Distances of this metric are int32 arrays; all others are float32.
constexpr bool is_int_metric(Metric m) { return is_in(kMetricsReportedAs<Reported::count>, m); }
// Larger is nearer; everywhere else smaller is.
constexpr bool is_similarity(Metric m) { return is_in(kMetricsReportedAs<Reported::similarity>, m); }

// Sums of products of more 8-bit numbers could pass 2^31, and counts of more bits could not be held by float32: the Python
// layer refuses them.
inline constexpr int64_t kMostDims8Bit = 32768, kMostBits = int64_t{1} << 24;

}  // namespace annk
