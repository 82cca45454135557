// SPDX-License-Identifier: Apache-2.0
// Keys of LVQ rows from integer products. With v the query (minus the mean, under L2; times its inverse norm, under cosine),
//   a_j = rint(v_j 127 / max |v|), scale = max |v| / 127
//   <v, x'> ~ low (scale sum(a)) + step (scale <a, codes>)
// The sum is that of what v was rounded to: with that of v, what rounding costs would grow with the distance of codes from
// low, in place of their distance from the mean.
//   inner_product   <v, mean> + <v, x'>          cosine   1 - (<v, mean> + <v, x'>) inverse norm, within [0, 2]
// and where rows lie far from zero, v is what these two leave of the query across the mean (store/lvq.h).
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
  static constexpr int kRun = Code::kRun, kParts = 1, kQueryTerms = 5, kRowTerms = 4;
  static constexpr int kBlock = 512 / kBits, kBlockBytes = static_cast<int>(kTurboBytes);
  static constexpr int kTableRows = 0;
  static_assert(kTurboBytes % (kLanes * Code::kGroup) == 0, "a register never crosses a block");

  explicit LvqRows(const Dataset& base) : view_(base), offset_(view_.offset()) {}
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
    terms[3] = 0.0f;
    if constexpr (M::kFromProduct)
      if (offset_ > 0.0f) terms[3] = along<M>(row);
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
    terms[3] = F32::zero();
    if constexpr (M::kFromProduct)
      if (offset_ > 0.0f) {
        float alongs[kLanes];
        for (int i = 0; i < kLanes; ++i) alongs[i] = along<M>(row + i);
        terms[3] = F32::load(alongs);
      }
  }

  // Fills codes with the query's elements in the order of positions; v is scratch.
  template <class M>
  CodeQueryTerms<LvqRows> quantize_query(const Matrix& queries, int64_t q, typename Code::Query* codes, float* v) const {
    const int64_t dims = view_.dims;
    LvqQueryTerms<float> terms{0.0f, 0.0f, 0.0f, 1.0f, 0.0f};
    if (M::kFromProduct && offset_ > 0.0f)
      split_query<M>(queries, q, v, terms);
    else
      code_query<M>(queries, q, v);
    if constexpr (M::kFromProduct) {
      if (M::kMetric == Metric::cosine || !(offset_ > 0.0f))
        terms.shift = static_cast<float>(product16(v, view_.mean, dims));
    } else {
      for (int64_t j = 0; j < dims; ++j) v[j] = v[j] - view_.mean[j];
      terms.shift = static_cast<float>(product16(v, v, dims));
    }
    const float most = largest(v, dims);
    terms.scale = most / 127.0f;
    for (int64_t j = dims; j < positions(); ++j) v[j] = 0.0f;
    const int32_t sum = query_codes<kBits>(v, positions(), most > 0.0f ? 127.0f / most : 0.0f, codes);
    terms.sum = terms.scale * static_cast<float>(sum);
    return {{terms.scale, terms.sum, terms.shift, terms.start, terms.along}, {Code::kOffset * sum}};
  }

  // A row as a query, under L2 alone: there its mean would be taken off again, and its norm is known.
  template <class M>
  bool pack_row(int64_t row, CodeQueryTerms<LvqRows>& query, typename Code::Query* codes) const {
    if constexpr (M::kMetric != Metric::sqeuclidean) return false;
    const float low = view_.low(row) * view_.unit, step = view_.step(row) * view_.unit;
    const float most = larger(absolute(low), absolute(low + step * static_cast<float>((1 << kBits) - 1)));
    const float steps = most > 0.0f ? 127.0f / most : 0.0f;
    const int32_t sum = row_codes<kBits>(view_.code_row(row), view_.code_bytes, low * steps, step * steps, codes);
    const int32_t behind =
        static_cast<int32_t>(positions() - view_.dims) * static_cast<int32_t>(__builtin_rintf(low * steps));
    query.terms[0] = most / 127.0f;
    query.terms[1] = query.terms[0] * static_cast<float>(sum - behind);
    query.terms[2] = view_.norms[row].squared;
    query.zero_point[0] = Code::kOffset * sum;
    return true;
  }

  template <class M>
  ANNK_HD void fetch_terms(int64_t row) const {
    __builtin_prefetch(view_.scales + row * view_.scales_stride);
    if constexpr (kNorms<M>) __builtin_prefetch(view_.norms + row);
  }

  template <class M, class V>
  static ANNK_HD V key(V dot, const V* query, const V* row) {
    const LvqQueryTerms<V> query_terms{query[0], query[1], query[2], query[3], query[4]};
    const LvqRowTerms<V> terms{row[0], row[1], row[2], row[3]};
    return lvq_key<M>(dot, query_terms, terms, constant<V>(0.0f), constant<V>(2.0f));
  }

 private:
  template <class M>
  static constexpr bool kNorms = M::kMetric != Metric::inner_product;  // whether keys take a row's norm

  template <class M>
  ANNK_HD float along(int64_t row) const {
    return lvq_along(M::kMetric == Metric::cosine, view_.norms[row].squared, view_.norms[row].inverse, offset_);
  }
  // v: what of the query lies across the mean.
  template <class M>
  void split_query(const Matrix& queries, int64_t q, float* v, LvqQueryTerms<float>& terms) const {
    const int64_t dims = view_.dims;
    widen_query(queries, q, Term::none, v);
    const double scale = M::kMetric == Metric::cosine ? wide_inverse_norm(product16(v, v, dims)) : 1.0;
    const double product = product16(v, view_.mean, dims);
    const MeanSplit split(scale, product, offset_);
    for (int64_t j = 0; j < dims; ++j) v[j] = split.across(v[j], view_.mean[j]);
    terms.shift = static_cast<float>(product);
    terms.start = static_cast<float>(1.0 - split.along);
    terms.along = static_cast<float>(split.along);
  }

  LvqView view_;
  float offset_;
};

}  // namespace annk::ANNK_ISA
