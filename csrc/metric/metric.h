// SPDX-License-Identifier: Apache-2.0
// What a metric is. Keys are smaller-is-better; a key is the reported distance, but for similarities, whose key is negated.
#pragma once
#include "core/kinds.h"
#include "core/numeric.h"

namespace annk::ANNK_ISA {

// What a vector contributes to a key besides the accumulator, and how: nothing, the inverse of its norm, or its number
// of set bits. Under inverse_norm a float32 query is multiplied by its own inverse norm before the scan (so a product
// of huge vectors does not overflow), and only the row's is left for key().
enum class Term { none, inverse_norm, popcount };

// A metric of number vectors:
//   Step::step(acc, q, x)    one dimension, of floats or SIMD registers of floats; metrics that share it share their loops
//   Step::kKeepsNan          NaN or infinity in x leaves the accumulator NaN or infinite
//   key(acc, x_term)         from the finished accumulator (starts at 0) and the row's term
//   kFromDot                 the metric has an exact form for 8-bit integers, from int32 dot products:
//   key_from_dot(dot, q_squared, x_squared, q_term, x_term)
//   report(key)              the distance that the caller sees
// A metric of bit vectors:
//   combine(q, x)            one word; the accumulator counts the set bits of all words
//   key(count, q_popcount, x_popcount)
//   report(key)

}  // namespace annk::ANNK_ISA
