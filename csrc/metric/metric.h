// SPDX-License-Identifier: Apache-2.0
// What a metric is. Keys are smaller-is-better; a key is the reported distance, but for similarities, whose key is negated.
#pragma once
#include <concepts>
#include <type_traits>

#include "core/kinds.h"
#include "core/numeric.h"

namespace annk::ANNK_ISA {

// What a vector contributes to a key besides the accumulator, and how: nothing, the inverse of its norm, or its number
// of set bits. Under inverse_norm a float32 query is multiplied by its own inverse norm before the scan (so a product
// of huge vectors does not overflow), and only the row's is left for key().
enum class Term { none, inverse_norm, popcount };

// A number for formulas that are written over V, a float or a register of floats.
template <class V>
ANNK_HD V constant(float x) {
  if constexpr (std::is_same_v<V, float>)
    return x;
  else
    return V::broadcast(x);
}

// For formulas of some metrics alone: another one that comes here is a compile error, not the last one's numbers.
template <class M, Metric... kMetrics>
inline constexpr bool is_one_of = ((M::kMetric == kMetrics) || ...);

// What kinds.h says of a metric, as constants of its type.
template <Metric metric>
struct MetricOf {
  static constexpr Metric kMetric = metric;
  static constexpr bool kBits = is_bit_metric(metric), kFromDot = from_dot(metric);
  static constexpr bool kFromSquares = from_squares(metric), kFromProduct = from_product(metric);
  ANNK_HD static float report(float key) { return is_similarity(metric) ? 0.0f - key : key; }  // 0 - 0 is +0, -(0) is not
};

// A metric of number vectors:
//   Step::step(acc, q, x)    one dimension, of floats or SIMD registers of floats; metrics that share it share their loops
//   Step::kKeepsNan          the accumulator is a sum: NaN or infinity in x leaves it NaN or infinite, and it may be made in
//                            chains of chain_dims, each added to the sum of those before it
//   kTerm                    what the row contributes
//   key(acc, x_term)         from the finished accumulator (starts at 0) and the row's term
//   report(key)              the distance that the caller sees
template <class M>
concept NumberMetric = !M::kBits && requires(float x) {
  { M::Step::step(x, x, x) } -> std::same_as<float>;
  { M::Step::kKeepsNan } -> std::convertible_to<bool>;
  { M::kTerm } -> std::convertible_to<Term>;
  { M::key(x, x) } -> std::same_as<float>;
  { M::report(x) } -> std::same_as<float>;
};
// One that has an exact form for 8-bit integers, from int32 dot products.
template <class M>
concept DotMetric = NumberMetric<M> && M::kFromDot && requires(int32_t dot, int32_t squared, float term) {
  { M::key_from_dot(dot, squared, squared, term, term) } -> std::same_as<float>;
};
// A metric of bit vectors:
//   combine(q, x)                         one word; the accumulator counts the set bits of all words
//   key(count, q_popcount, x_popcount)
//   report(key)
template <class M>
concept BitMetric = M::kBits && requires(uint64_t word, int32_t count, float x) {
  { M::combine(word, word) } -> std::same_as<uint64_t>;
  { M::kTerm } -> std::convertible_to<Term>;
  { M::key(count, count, count) } -> std::same_as<float>;
  { M::report(x) } -> std::same_as<float>;
};

// A single chain of d roundings loses digits as d grows, and so do many short ones: the longer the rows, the longer the
// chains, which are powers of two. Of normal rows' own products the error is 1.1 x 2^-24 at 384 dimensions, 1.2 at 1,536
// and 1.9 at 20,000, that of one chain 5.3, 9.7 and 42 (faiss .8, 2.0 and 1.7 in batches).
ANNK_HD constexpr int64_t chain_dims(int64_t dims) {
  return dims <= 1024 ? 64 : dims <= 4096 ? 128 : dims <= 8192 ? 256 : 512;
}

}  // namespace annk::ANNK_ISA
