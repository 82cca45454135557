// SPDX-License-Identifier: Apache-2.0
// The arithmetic of a scan, by metric family and element type. A row is read 16 bytes at a time; expand() turns a part of
// them into four operands for 16 bytes of the prepared query. Dimensions are taken in ascending order, one chain a
// pair, so a pair's bits do not depend on the tile.
//   Element, Operand, Sum          what a row is made of, what is multiplied, what is added up
//   kBits, kQueryBits              of one dimension in a row and in the prepared query
//   kParts                         query words of 16 bytes for 16 bytes of a row
//   step, add_self_dot             one operand of the pair; of the row alone, for its term
//   kChains                        where it is there and true: sums are made of chains of chain_dims
//   row_word, order                the row's term as a word; sums into keys in order
// An arithmetic of a store's own codes has QueryTerm and RowTerm instead of words. They lie in memory: row_term reads the
// row's.
#pragma once
#include "cuda/device/key_id.cuh"
#include "cuda/device/ptx.cuh"
#include "cuda/distance/family.h"

namespace annk::cuda {

template <class Arith>
struct Terms {
  using Query = uint32_t;
  using Row = uint32_t;
  static constexpr bool kRead = false;
  static constexpr bool needed(Metric metric) { return Arith::needs_row_word(metric); }
};
template <class Arith>
  requires requires { typename Arith::RowTerm; }
struct Terms<Arith> {
  using Query = typename Arith::QueryTerm;
  using Row = typename Arith::RowTerm;
  static constexpr bool kRead = true;
  static constexpr bool needed(Metric) { return true; }
};

template <class Arith>
inline constexpr bool kInChains = requires { requires Arith::kChains; };

// What the ended chains of several sums come to, and of a row with itself. kLocal: in local memory, of which the compiler
// knows too little to keep it in registers: it is read and written once a chain, and a wide tile's sums fill the registers.
template <bool kChains, int kQ, int kR, bool kLocal>
class ChainSums {
 public:
  __device__ __forceinline__ void clear() {
    float* const to = ended();
#pragma unroll
    for (int i = 0; i < kCount; ++i) to[i] = 0;
  }
  // Adds the sums to those of ended chains, and clears them.
  template <class Sum>
  __device__ __forceinline__ void end_chain(Sum (&sums)[kQ][kR], Sum& self_dot) {
    if constexpr (kChains) {
      float* const to = ended();
#pragma unroll
      for (int q = 0; q < kQ; ++q)
#pragma unroll
        for (int r = 0; r < kR; ++r) {
          to[q * kR + r] += sums[q][r];
          sums[q][r] = 0;
        }
      to[kQ * kR] += self_dot;
      self_dot = 0;
    }
  }
  template <class Sum>
  __device__ __forceinline__ void add_to(Sum (&sums)[kQ][kR], Sum& self_dot) {
    if constexpr (kChains) {
      const float* const from = ended();
#pragma unroll
      for (int q = 0; q < kQ; ++q)
#pragma unroll
        for (int r = 0; r < kR; ++r) sums[q][r] = from[q * kR + r] + sums[q][r];
      self_dot = from[kQ * kR] + self_dot;
    }
  }

 private:
  static constexpr int kCount = kChains ? kQ * kR + 1 : 1;
  __device__ __forceinline__ float* ended() { return kLocal ? ptx::opaque(memory_) : memory_; }
  float memory_[kCount];
};

__device__ __forceinline__ uint32_t word_of(const uint4& words, int i) {
  return i == 0 ? words.x : i == 1 ? words.y : i == 2 ? words.z : words.w;
}

// Four operands of a prepared query.
__device__ __forceinline__ void read4(const unsigned char* from, float (&to)[4]) {
  const float4 four = *reinterpret_cast<const float4*>(from);
  to[0] = four.x;
  to[1] = four.y;
  to[2] = four.z;
  to[3] = four.w;
}
__device__ __forceinline__ void read4(const unsigned char* from, uint32_t (&to)[4]) {
  const uint4 four = *reinterpret_cast<const uint4*>(from);
  to[0] = four.x;
  to[1] = four.y;
  to[2] = four.z;
  to[3] = four.w;
}

// What the caller sees for a key in order.
template <class Arith>
__device__ __forceinline__ uint32_t reported_bits(Metric metric, uint32_t key_bits) {
  const float key = key_of_bits(key_bits);
  if constexpr (Arith::kBits == 1)
    if (is_int_metric(metric)) return static_cast<uint32_t>(static_cast<int32_t>(key));
  return bits_of_float(report(metric, key));
}

// Four elements, the part-th group of the 16 bytes, widened exactly.
__device__ __forceinline__ void widen4(float, const uint4& raw, int, float (&to)[4]) {
  to[0] = float_of_bits(raw.x);
  to[1] = float_of_bits(raw.y);
  to[2] = float_of_bits(raw.z);
  to[3] = float_of_bits(raw.w);
}
__device__ __forceinline__ void widen4(Half, const uint4& raw, int part, float (&to)[4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) to[i] = ptx::widen_half(word_of(raw, 2 * part + i / 2) >> (16 * (i % 2)) & 0xffffu);
}
__device__ __forceinline__ void widen4(Bfloat16, const uint4& raw, int part, float (&to)[4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const uint32_t word = word_of(raw, 2 * part + i / 2);
    to[i] = float_of_bits(i % 2 == 0 ? word << 16 : word & 0xffff0000u);
  }
}
// A byte b under the exponent of 2^23 is 2^23 + b: two full-rate instructions where a conversion runs at a quarter.
__device__ __forceinline__ void widen4(uint8_t, const uint4& raw, int part, float (&to)[4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) to[i] = float_of_bits(__byte_perm(word_of(raw, part), 0x4b000000u, 0x7440u + i)) - 8388608.0f;
}
__device__ __forceinline__ void widen4(int8_t, const uint4& raw, int part, float (&to)[4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i)
    to[i] = float_of_bits(__byte_perm(word_of(raw, part) ^ 0x80808080u, 0x4b000000u, 0x7440u + i)) - 8388736.0f;
}

// Float32 sums of a metric's steps, of rows of T widened, against a float32 query.
template <class Step, class T>
struct FloatArith {
  using Element = T;
  using Operand = float;
  using Sum = float;
  using Metrics = MetricsOfStep<Step>;
  static constexpr int kBits = 8 * sizeof(T), kQueryBits = 32, kParts = 4 / sizeof(T);
  static constexpr bool kWidens = true, kChains = Step::kKeepsNan;

  __device__ static __forceinline__ void expand(const uint4& raw, int part, float (&to)[4]) { widen4(T{}, raw, part, to); }
  __device__ static __forceinline__ float step(float sum, float q, float x) {
    // The larger of two numbers forgets a NaN, of which check_finite=False promises that it ranks last.
    if constexpr (Step::kMetric == Metric::chebyshev) return ptx::larger_or_nan(sum, absolute(q - x));
    return Step::step(sum, q, x);
  }
  __device__ static __forceinline__ float add_self_dot(float sum, float x) { return multiply_add(x, x, sum); }

  static constexpr bool needs_row_word(Metric metric) { return has_term(Metrics{}, metric, Term::inverse_norm); }
  __device__ static __forceinline__ uint32_t row_word(Metric, float sum, const unsigned char* row, int64_t dims) {
    double wide = sum;
    if (row != nullptr && needs_wide_sum(sum)) {
      wide = 0.0;
      for (int64_t j = 0; j < dims; ++j) {
        const double x = widen(reinterpret_cast<const T*>(row)[j]);
        wide += x * x;
      }
    }
    return bits_of_float(inverse_norm(wide));
  }
  template <class Key>
  __device__ static __forceinline__ uint32_t key_bits(Key, float sum, uint32_t, uint32_t row_word) {
    return sortable_bits(Key::key(sum, float_of_bits(row_word)));
  }
};

__device__ __forceinline__ int32_t dot4(int8_t, uint32_t a, uint32_t b, int32_t sum) {
  return __dp4a(static_cast<int>(a), static_cast<int>(b), sum);
}
__device__ __forceinline__ int32_t dot4(uint8_t, uint32_t a, uint32_t b, int32_t sum) {
  return static_cast<int32_t>(__dp4a(a, b, static_cast<unsigned>(sum)));
}

// Exact int32 dot products of 8-bit rows and queries of one type; every metric that has a form from them.
template <class T>
struct IntArith {
  using Element = T;
  using Operand = uint32_t;
  using Sum = int32_t;
  using Metrics = MetricsFromDot;
  static constexpr int kBits = 8, kQueryBits = 8, kParts = 1;
  static constexpr bool kWidens = false;

  __device__ static __forceinline__ void expand(const uint4& raw, int, uint32_t (&to)[4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) to[i] = word_of(raw, i);
  }
  __device__ static __forceinline__ int32_t step(int32_t sum, uint32_t q, uint32_t x) { return dot4(T{}, q, x, sum); }
  __device__ static __forceinline__ int32_t add_self_dot(int32_t sum, uint32_t x) { return dot4(T{}, x, x, sum); }

  static constexpr bool by_norm(Metric metric) { return has_term(Metrics{}, metric, Term::inverse_norm); }
  static constexpr bool needs_row_word(Metric metric) { return from_squares(metric) || by_norm(metric); }
  __device__ static __forceinline__ uint32_t row_word(Metric metric, int32_t sum, const unsigned char*, int64_t) {
    return by_norm(metric) ? bits_of_float(inverse_norm(sum)) : static_cast<uint32_t>(sum);
  }
  // A word holds the term that the metric uses, the squared norm or the inverse one; the other reading of it is ignored.
  template <class Key>
  __device__ static __forceinline__ uint32_t key_bits(Key, int32_t sum, uint32_t query_word, uint32_t row_word) {
    return sortable_bits(Key::key_from_dot(sum, static_cast<int32_t>(query_word), static_cast<int32_t>(row_word),
                                           float_of_bits(query_word), float_of_bits(row_word)));
  }
};

// Counts of set bits of M::combine(q, x).
template <class M>
struct BitArith {
  using Element = uint8_t;
  using Operand = uint32_t;
  using Sum = int32_t;
  using Metrics = MetricList<M>;
  static constexpr int kBits = 1, kQueryBits = 1, kParts = 1;
  static constexpr bool kWidens = false;

  __device__ static __forceinline__ void expand(const uint4& raw, int, uint32_t (&to)[4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) to[i] = word_of(raw, i);
  }
  __device__ static __forceinline__ int32_t step(int32_t sum, uint32_t q, uint32_t x) {
    return sum + __popc(M::combine(q, x));
  }
  __device__ static __forceinline__ int32_t add_self_dot(int32_t sum, uint32_t x) { return sum + __popc(x); }

  // Asked at run time: where it is constant, ptxas takes 20 registers more for a beam search.
  static constexpr bool needs_row_word(Metric metric) {
    return has_term(MetricsOfFamily<Family::bits>{}, metric, Term::popcount);
  }
  __device__ static __forceinline__ uint32_t row_word(Metric, int32_t sum, const unsigned char*, int64_t) {
    return static_cast<uint32_t>(sum);
  }
  template <class Key>
  __device__ static __forceinline__ uint32_t key_bits(Key, int32_t sum, uint32_t query_word, uint32_t row_word) {
    return sortable_bits(Key::key(sum, static_cast<int32_t>(query_word), static_cast<int32_t>(row_word)));
  }
};

}  // namespace annk::cuda
