// SPDX-License-Identifier: Apache-2.0
// Keys of RaBitQ rows from integer products (store/rabitq.h says which).
#pragma once
#include "cpu/distance/code_tiles.h"
#include "cpu/simd/bit_sums.h"
#include "store/rabitq.h"

namespace annk::ANNK_ISA {

template <int kBits>
class RabitqRows {
 public:
  using Code = std::conditional_t < kBits <= 4, Codes4, std::conditional_t<kBits<8, Codes7, Codes8>>;
  using CodeQuery = Code::Query;
  static constexpr int kParts = rabitq_query_top(kBits) > 127 ? 2 : 1, kQueryTerms = 6, kRowTerms = 4;
  static constexpr int kRun = Code::kRun * (15 * 127 / (((1 << kBits) - 1) * rabitq_query_top(kBits)));
  static constexpr int kBlock = static_cast<int>(kRabitqGroup), kBlockBytes = 8 * kBits;

  explicit RabitqRows(const Dataset& base) : view_(base), offset_(view_.offset()) {}
  int64_t positions() const { return view_.padded; }
  int64_t query_floats() const { return 2 * view_.padded; }
  ANNK_HD int64_t code_bytes() const { return view_.row_bytes; }
  ANNK_HD const uint8_t* codes(int64_t row) const { return view_.row(row); }

  // Positions are dimensions. A register holds a group, or a part of one.
  static ANNK_HD I32 load(const uint8_t* group, int i) {
    if constexpr (kBits == 8) return Code::load(group + i);
    I32 codes = I32::zero();
    if constexpr ((kBits & 4) != 0) codes = shift_codes<kBits & 3>(load_group4(group, i));
    if constexpr ((kBits & 2) != 0) codes = codes | shift_codes<kBits & 1>(load_group2(group + (kBits & 4) * 8, i));
    if constexpr ((kBits & 1) != 0) codes = codes | load_group1(group + (kBits & 6) * 8, i);
    return codes;
  }

  // Bits are looked up by 16 bytes of a row, terms behind them included.
  static constexpr int kTableRows = kBits == 1 ? kBitSumRows : 0;
  bool tables() const { return view_.own_terms || view_.code_bytes % 16 == 0; }
  int64_t table_bytes() const { return bit_table_bytes(positions() / 32); }
  void make_tables(const CodeQuery* codes, int8_t* tables) const { make_bit_tables(codes, positions() / 32, tables); }
  template <class Places>
  ANNK_HD void table_sums(Places rows, const int8_t* tables, int32_t* sums) const {
    bit_sums(rows, positions() / 32, tables, sums);
  }

  template <class M>
  ANNK_HD void row_terms(int64_t row, float* terms) const {
    const RabitqTerms terms_of_row = view_.terms(row);
    terms[0] = terms_of_row.step;
    terms[1] = terms_of_row.along;
    terms[2] = M::kMetric == Metric::cosine ? terms_of_row.inverse : terms_of_row.squared;
    terms[3] = splits<M>() ? rabitq_tilt(view_.binary, M::kMetric == Metric::cosine, terms_of_row, offset_) : 0.0f;
  }
  template <class M>
  ANNK_HD void lane_terms(int64_t row, F32* terms) const {
    const void* const first = view_.own_terms ? view_.row(row) + view_.code_bytes : static_cast<const void*>(view_.shared);
    const AdjacentRows<float> of_rows{static_cast<const float*>(first), view_.own_terms ? view_.row_bytes / 4 : 0};
    F32 terms_of_row[4];
    load_quads(of_rows, 0, terms_of_row);
    terms[0] = terms_of_row[0], terms[1] = terms_of_row[1];
    terms[2] = M::kMetric == Metric::cosine ? terms_of_row[3] : terms_of_row[2];
    terms[3] = F32::zero();
    if (splits<M>()) {
      float tilts[kLanes];
      for (int i = 0; i < kLanes; ++i)
        tilts[i] = rabitq_tilt(view_.binary, M::kMetric == Metric::cosine, view_.terms(row + i), offset_);
      terms[3] = F32::load(tilts);
    }
  }

  template <class M>
  CodeQueryTerms<RabitqRows> quantize_query(const Matrix& queries, int64_t q, CodeQuery* codes, float* w) const {
    const int64_t dims = view_.dims, padded = view_.padded;
    RabitqQueryTerms<float> query_terms{0.0f, 0.0f, 0.0f, 0.0f, 1.0f, 0.0f};
    if (splits<M>()) {
      widen_query(queries, q, Term::none, w);
      query_terms.shift = static_cast<float>(product16(w, view_.mean, dims));
      const double scale = M::kMetric == Metric::cosine ? wide_inverse_norm(product16(w, w, dims)) : 1.0;
      const MeanSplit split(scale, product16(w, view_.mean, dims), offset_);
      for (int64_t j = 0; j < dims; ++j) w[j] = split.across(w[j], view_.mean[j]);
      query_terms.start = static_cast<float>(1.0 - split.along);
      query_terms.share = static_cast<float>(split.along);
    } else {
      code_query<M>(queries, q, w);
    }
    if (M::kMetric == Metric::cosine || (M::kFromProduct && !splits<M>()))
      query_terms.shift = static_cast<float>(product16(w, view_.mean, dims));
    if constexpr (!M::kFromProduct)
      for (int64_t j = 0; j < dims; ++j) w[j] = w[j] - view_.mean[j];
    query_terms.along = static_cast<float>(product16(w, view_.axis, dims));
    for (int64_t j = 0; j < dims; ++j) w[j] = w[j] - query_terms.along * view_.axis[j];
    if constexpr (!M::kFromProduct) query_terms.shift = static_cast<float>(product16(w, w, dims));

    const PowerOfTwo unit(largest(w, dims));
    for (int64_t j = 0; j < dims; ++j) w[j] = w[j] * unit.inverse;
    for (int64_t j = dims; j < padded; ++j) w[j] = 0.0f;
    view_.rotation.apply(w, w + padded);
    constexpr float kTop = rabitq_query_top(kBits);
    const float most = largest(w, padded), steps = most > 0.0f ? kTop / most : 0.0f;
    query_terms.scale = most / kTop * unit.power;
    int64_t sums[kParts] = {};
    for (int64_t j = 0; j < padded; ++j) {
      const float a = __builtin_rintf(w[j] * steps);
      int code = static_cast<int>(a > kTop ? kTop : a < -kTop ? -kTop : a);
      if constexpr (kParts == 2) {
        const int high = (code + 64) >> 7;
        codes[padded + j] = static_cast<CodeQuery>(code - high * 128);
        sums[1] += code - high * 128;
        code = high;
      }
      codes[j] = static_cast<CodeQuery>(code);
      sums[0] += code;
    }
    CodeQueryTerms<RabitqRows> packed{};
    for (int part = 0; part < kParts; ++part) {
      const int64_t twice = ((1 << kBits) - 1) * sums[part];
      packed.zero_point[part] = static_cast<int32_t>(-((twice + 1) >> 1) + (kBits == 8 ? Code::kOffset * sums[part] : 0));
      query_terms.half += static_cast<float>(twice & 1) * (part == 0 && kParts == 2 ? 64.0f : 0.5f);
    }
    packed.terms[0] = query_terms.scale, packed.terms[1] = query_terms.half, packed.terms[2] = query_terms.along,
    packed.terms[3] = query_terms.shift;
    packed.terms[4] = query_terms.start, packed.terms[5] = query_terms.share;
    return packed;
  }

  template <class M, class V>
  static ANNK_HD V key(V dot, const V* query, const V* row) {
    const RabitqQueryTerms<V> query_terms{query[0], query[1], query[2], query[3], query[4], query[5]};
    return rabitq_key<M>(dot, query_terms, RabitqRowTerms<V>{row[0], row[1], row[2], row[3]}, constant<V>(0.0f),
                         constant<V>(2.0f));
  }

 private:
  template <class M>
  ANNK_HD bool splits() const {
    return offset_ > 0.0f && (M::kMetric == Metric::cosine || (M::kMetric == Metric::inner_product && view_.binary));
  }
  static float largest(const float* x, int64_t count) {
    float most = 0.0f;
    for (int64_t j = 0; j < count; ++j) most = larger(absolute(x[j]), most);
    return most;
  }

  RabitqView view_;
  float offset_;
};

}  // namespace annk::ANNK_ISA
