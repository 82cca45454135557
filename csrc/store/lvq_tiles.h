// SPDX-License-Identifier: Apache-2.0
// Keys of LVQ rows from integer products. With v the query (minus the mean, under L2; times its inverse norm, under cosine),
//   a_j = rint(v_j 127 / max |v|), scale = max |v| / 127
//   <v, x'> ~ low sum(v) + step (scale <a, codes>)
//   inner_product   <v, mean> + <v, x'>          cosine   1 - (<v, mean> + <v, x'>) inverse norm
//   sqeuclidean     max(0, (|v|^2 + |x'|^2) - 2 <v, x'>)
#pragma once
#include <type_traits>

#include "store/code_tiles.h"
#include "store/lvq.h"

namespace annk::ANNK_ISA {

template <int kBits>
class LvqRows {
 public:
  using Code = std::conditional_t<kBits == 8, Codes8, Codes4>;
  static constexpr int kParts = 1, kQueryTerms = 3, kRowTerms = 3;
  static_assert(kTurboBytes % (kLanes * Code::kGroup) == 0, "a register never crosses a block");

  explicit LvqRows(const Base& base) : view_(base) {}
  int64_t positions() const { return view_.code_bytes * 8 / kBits; }
  int64_t query_floats() const { return view_.dims; }
  ANNK_HD int64_t code_bytes() const { return view_.code_bytes; }
  ANNK_HD const uint8_t* codes(int64_t row) const { return view_.code_row(row); }
  static ANNK_HD I32 load(const uint8_t* row, int64_t p) {
    if constexpr (kBits == 8) return Code::load(row + p);
    if constexpr (kBits == 4) return Code::load(row + p / 128 * kTurboBytes + p % kTurboBytes, p / kTurboBytes % 2 != 0);
  }

  template <class M>
  ANNK_HD void row_terms(int64_t row, float* terms) const {
    const LvqNorms& norms = view_.norms[row];
    terms[0] = view_.low(row) * view_.unit;
    terms[1] = view_.step(row) * view_.unit;
    terms[2] = M::kMetric == Metric::cosine ? norms.inverse : norms.squared;
  }

  // Fills codes with the query's elements in the order of positions; v is scratch.
  template <class M>
  CodeQueryTerms<LvqRows> pack_query(const Matrix& queries, int64_t q, typename Code::Query* codes, float* v) const {
    const int64_t dims = view_.dims;
    code_query<M>(queries, q, v);
    LvqQueryTerms<float> own{};
    constexpr bool kDot = M::kMetric == Metric::inner_product || M::kMetric == Metric::cosine;
    if constexpr (kDot) {
      own.shift = static_cast<float>(product16(v, view_.mean, dims));
    } else {
      for (int64_t j = 0; j < dims; ++j) v[j] = v[j] - view_.mean[j];
      own.shift = static_cast<float>(product16(v, v, dims));
    }
    own.sum = static_cast<float>(sum16(dims, [&](int64_t j) { return static_cast<double>(v[j]); }));
    float most = 0.0f;
    for (int64_t j = 0; j < dims; ++j) most = larger(absolute(v[j]), most);
    own.scale = most / 127.0f;
    const float steps = most > 0.0f ? 127.0f / most : 0.0f;
    int32_t sum = 0;
    for (int64_t p = 0; p < positions(); ++p) {
      const int64_t j = turbo_dim<kBits>(p);
      const float a = j < dims ? __builtin_rintf(v[j] * steps) : 0.0f;
      const int code = static_cast<int>(a > 127.0f ? 127.0f : a < -127.0f ? -127.0f : a);
      codes[p] = static_cast<typename Code::Query>(code);
      sum += code;
    }
    return {{own.scale, own.sum, own.shift}, {Code::kOffset * sum}};
  }

  template <class M, class V>
  static ANNK_HD V key(V dot, const V* query, const V* row) {
    const LvqQueryTerms<V> own{query[0], query[1], query[2]};
    const LvqRowTerms<V> terms{row[0], row[1], row[2]};
    return lvq_key<M>(dot, own, terms, constant<V>(0.0f), constant<V>(1.0f), constant<V>(2.0f));
  }

 private:
  LvqView view_;
};

}  // namespace annk::ANNK_ISA
