// SPDX-License-Identifier: Apache-2.0
// Keys of LVQ rows from integer products. With v the query (minus the mean, under L2; times its inverse norm, under cosine),
//   a_j = rint(v_j 127 / max |v|), scale = max |v| / 127
//   <v, x'> ~ low sum(v) + step (scale <a, codes>)
//   inner_product   <v, mean> + <v, x'>          cosine   1 - (<v, mean> + <v, x'>) inverse norm
//   sqeuclidean     max(0, (|v|^2 + |x'|^2) - 2 <v, x'>)
#pragma once
#include <type_traits>

#include "cpu/distance/code_tiles.h"
#include "cpu/distance/lvq_query.h"

namespace annk::ANNK_ISA {

template <int kBits>
class LvqRows {
 public:
  using Code = std::conditional_t<kBits == 8, Codes8, Codes4>;
  static constexpr int kRun = Code::kRun, kParts = 1, kQueryTerms = 3, kRowTerms = 3;
  static constexpr int kBlock = 512 / kBits, kBlockBytes = static_cast<int>(kTurboBytes);
  static constexpr int kTableRows = 0;
  static_assert(kTurboBytes % (kLanes * Code::kGroup) == 0, "a register never crosses a block");

  explicit LvqRows(const Dataset& base) : view_(base) {}
  int64_t positions() const { return view_.code_bytes * 8 / kBits; }
  int64_t query_floats() const { return positions(); }
  ANNK_HD int64_t code_bytes() const { return view_.code_bytes; }
  ANNK_HD const uint8_t* codes(int64_t row) const { return view_.code_row(row); }
  static ANNK_HD I32 load(const uint8_t* block, int i) {
    if constexpr (kBits == 8) return Code::load(block + i);
    if constexpr (kBits == 4) return Code::load(block + i % kBlockBytes, i >= kBlockBytes);
  }

  template <class M>
  ANNK_HD void row_terms(int64_t row, float* terms) const {
    const LvqScales scales = view_.scales[row * view_.scales_stride];
    terms[0] = widen_one(scales.low) * view_.unit;
    terms[1] = widen_one(scales.step) * view_.unit;
    terms[2] = !kNorms<M> ? 0.0f : M::kMetric == Metric::cosine ? view_.norms[row].inverse : view_.norms[row].squared;
  }
  template <class M>
  ANNK_HD void lane_terms(int64_t row, F32* terms) const {
    const F32 unit = F32::broadcast(view_.unit);
    F32 step = F32::broadcast(widen_one(view_.scales->step)), low = F32::broadcast(widen_one(view_.scales->low));
    if (view_.scales_stride != 0) {
      const Half* const scales = &view_.scales[row].step;
      split_pairs(load_widened(scales), load_widened(scales + kLanes), step, low);
    }
    terms[0] = low * unit;
    terms[1] = step * unit;
    terms[2] = F32::zero();
    if constexpr (kNorms<M>) {
      const float* const norms = &view_.norms[row].squared;
      F32 squared, inverse;
      split_pairs(F32::load(norms), F32::load(norms + kLanes), squared, inverse);
      terms[2] = M::kMetric == Metric::cosine ? inverse : squared;
    }
  }

  // Fills codes with the query's elements in the order of positions; v is scratch.
  template <class M>
  CodeQueryTerms<LvqRows> quantize_query(const Matrix& queries, int64_t q, typename Code::Query* codes, float* v) const {
    const int64_t dims = view_.dims;
    code_query<M>(queries, q, v);
    LvqQueryTerms<float> own{};
    if constexpr (M::kFromProduct) {
      own.shift = static_cast<float>(product16(v, view_.mean, dims));
    } else {
      for (int64_t j = 0; j < dims; ++j) v[j] = v[j] - view_.mean[j];
      own.shift = static_cast<float>(product16(v, v, dims));
    }
    own.sum = static_cast<float>(sum16(dims, [&](int64_t j) { return static_cast<double>(v[j]); }));
    const float most = largest(v, dims);
    own.scale = most / 127.0f;
    for (int64_t j = dims; j < positions(); ++j) v[j] = 0.0f;
    const int32_t sum = query_codes<kBits>(v, positions(), most > 0.0f ? 127.0f / most : 0.0f, codes);
    return {{own.scale, own.sum, own.shift}, {Code::kOffset * sum}};
  }

  // A row as a query, under L2 alone: there its mean would be taken off again, and its norm is known.
  template <class M>
  bool pack_row(int64_t row, CodeQueryTerms<LvqRows>& query, typename Code::Query* codes) const {
    if constexpr (M::kMetric != Metric::sqeuclidean) return false;
    const float low = view_.low(row) * view_.unit, step = view_.step(row) * view_.unit;
    const float most = larger(absolute(low), absolute(low + step * static_cast<float>((1 << kBits) - 1)));
    const float steps = most > 0.0f ? 127.0f / most : 0.0f;
    const CodeSums sums = row_codes<kBits>(view_.code_row(row), view_.code_bytes, low * steps, step * steps, codes);
    query.terms[0] = most / 127.0f;
    query.terms[1] = low * static_cast<float>(view_.dims) + step * static_cast<float>(sums.row);
    query.terms[2] = view_.norms[row].squared;
    query.zero_point[0] = Code::kOffset * sums.query;
    return true;
  }

  template <class M>
  ANNK_HD void fetch_terms(int64_t row) const {
    __builtin_prefetch(view_.scales + row * view_.scales_stride);
    if constexpr (kNorms<M>) __builtin_prefetch(view_.norms + row);
  }

  template <class M, class V>
  static ANNK_HD V key(V dot, const V* query, const V* row) {
    const LvqQueryTerms<V> own{query[0], query[1], query[2]};
    const LvqRowTerms<V> terms{row[0], row[1], row[2]};
    return lvq_key<M>(dot, own, terms, constant<V>(0.0f), constant<V>(1.0f), constant<V>(2.0f));
  }

 private:
  template <class M>
  static constexpr bool kNorms = M::kMetric != Metric::inner_product;  // whether keys take a row's norm

  LvqView view_;
};

}  // namespace annk::ANNK_ISA
