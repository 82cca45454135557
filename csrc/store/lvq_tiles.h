// SPDX-License-Identifier: Apache-2.0
// Keys of LVQ rows from integer products. With v the query (minus the mean, under L2; times its inverse norm, under cosine),
//   a_j = rint(v_j 127 / max |v|), scale = max |v| / 127
//   <v, x'> ~ low sum(v) + step (scale <a, codes>)
//   inner_product   <v, mean> + <v, x'>          cosine   1 - (<v, mean> + <v, x'>) inverse norm
//   sqeuclidean     max(0, (|v|^2 + |x'|^2) - 2 <v, x'>)
// <a, codes> is exact, so that the order of its terms does not show; the rest is float32 in the order written, never fused:
// the same bits on every level and backend.
#pragma once
#include "metric/all.h"
#include "store/float_tiles.h"
#include "store/lvq_query.h"
#include "store/simd/pack.h"
#include "store/simd/sums.h"
#include "store/simd/vec.h"
#include "store/tiles.h"

namespace annk::ANNK_ISA {

inline constexpr int kCodeStep = kLanes * kDotGroup;  // positions in one register
static_assert(kTurboBytes % kCodeStep == 0, "a register never crosses a block");

// The codes of kCodeStep bytes, or of their low or high halves.
template <int kBits, bool kHigh>
ANNK_HD I32 load_half(const uint8_t* p) {
  if constexpr (kBits == 8) return load_codes(p);
  return load_nibbles(p, kHigh);
}
template <int kBits>
ANNK_HD I32 load_positions(const uint8_t* row, int64_t p) {
  if constexpr (kBits == 8) return load_codes(row + p);
  return load_nibbles(row + p / 128 * kTurboBytes + p % kTurboBytes, p / kTurboBytes % 2 != 0);
}

// A query's terms, and a row's.
template <class V>
struct LvqQueryTerms {
  V scale, sum, shift;  // shift: <v, mean> or |v|^2
};
template <class V>
struct LvqRowTerms {
  V low, step, norm;  // norm: |x'|^2 or the inverse norm
};

// V is float or F32. The root of `euclidean` is left to the caller.
template <class M, class V>
ANNK_HD V lvq_key(V dot, const LvqQueryTerms<V>& query, const LvqRowTerms<V>& row, V zero, V one, V two) {
  const V product = row.low * query.sum + row.step * (query.scale * dot);
  if constexpr (M::kMetric == Metric::inner_product) return zero - (query.shift + product);
  if constexpr (M::kMetric == Metric::cosine) return one - (query.shift + product) * row.norm;
  return larger(zero, (query.shift + row.norm) - two * product);
}

template <class M, int kBits>
class LvqTiles final : public Tiles {
  static constexpr int64_t kInBlock = kTurboBlock<kBits>;

  struct PanelTerms {
    float scale[2 * kLanes], sum[2 * kLanes], shift[2 * kLanes];
    int32_t surplus[2 * kLanes];
  };
  struct TileTerms {
    float low[kTileRows], step[kTileRows], norm[kTileRows];
  };
  struct FewTerms {
    LvqQueryTerms<float> terms;
    int32_t surplus;
  };

 public:
  LvqTiles(const Base& base, const Matrix& queries) : view_(base), queries_(queries) {
    row_bytes = view_.code_bytes;
    tile_rows = kTileRows;
    lanes = 2 * kLanes;
    few_queries = 2;
    positions_ = view_.code_bytes * 8 / kBits;
    const size_t positions = static_cast<size_t>(positions_);
    panel_terms_ = round_up(positions * 2 * kLanes * sizeof(CodeQuery), 64);
    tile_terms_ = round_up(positions * kTileRows * sizeof(CodeQuery) + kPackSlack, 64);
    few_terms_ = round_up(positions * sizeof(CodeQuery), 64);
    panel_bytes = round_up(panel_terms_ + sizeof(PanelTerms), 64);
    tile_bytes = round_up(tile_terms_ + sizeof(TileTerms), 64);
    // Behind the terms: the float query, while it is packed. Panels borrow it from the few_bytes behind them.
    few_scratch_ = round_up(few_terms_ + sizeof(FewTerms), 64);
    few_bytes = few_scratch_ + round_up(positions * sizeof(float), 64);
  }

  void pack_panel(int64_t first, int count, void* panel) const override {
    __builtin_memset(panel, 0, panel_bytes);
    char* const bytes = static_cast<char*>(panel);
    CodeQuery* const out = static_cast<CodeQuery*>(panel);
    PanelTerms& terms = *reinterpret_cast<PanelTerms*>(bytes + panel_terms_);
    CodeQuery* const codes = reinterpret_cast<CodeQuery*>(bytes + panel_bytes);
    for (int q = 0; q < count; ++q) {
      const FewTerms own = pack_query(first + q, codes, reinterpret_cast<float*>(bytes + panel_bytes + few_scratch_));
      for (int64_t p = 0; p < positions_; ++p) out[(p / kDotGroup * 2 * kLanes + q) * kDotGroup + p % kDotGroup] = codes[p];
      terms.scale[q] = own.terms.scale;
      terms.sum[q] = own.terms.sum;
      terms.shift[q] = own.terms.shift;
      terms.surplus[q] = own.surplus;
    }
  }

  bool pack_tile(const RowList& rows, void* tile) const override {
    const uint8_t* row[kTileRows];
    TileTerms& terms = *reinterpret_cast<TileTerms*>(static_cast<char*>(tile) + tile_terms_);
    for (int r = 0; r < kTileRows; ++r) {
      const int64_t at = rows[r < rows.count ? r : rows.count - 1];
      row[r] = view_.code_row(at);
      const LvqRowTerms<float> own = row_terms(at);
      terms.low[r] = own.low;
      terms.step[r] = own.step;
      terms.norm[r] = own.norm;
    }
    if (rows.ids == nullptr)
      for (int64_t at = 0; at < kTileRows * view_.code_bytes; at += 64) fetch(row[0] + kTileRows * view_.code_bytes + at);
    auto load = [&](int r, int64_t u) { return as_f32(load_positions<kBits>(row[r], u * kDotGroup)); };
    pack_transposed(positions_ / kDotGroup, static_cast<float*>(tile), load, load);
    return true;
  }

  void keys(const void* tile, const void* panel, float* out) const override {
    const PanelTerms& query = *reinterpret_cast<const PanelTerms*>(static_cast<const char*>(panel) + panel_terms_);
    const TileTerms& row = *reinterpret_cast<const TileTerms*>(static_cast<const char*>(tile) + tile_terms_);
    alignas(64) int32_t dots[kTileRows * 2 * kLanes];
    code_tile(static_cast<const float*>(tile), static_cast<const CodeQuery*>(panel), query.surplus, dots);
    const F32 zero = F32::zero(), one = F32::broadcast(1.0f), two = F32::broadcast(2.0f);
    for (int half = 0; half < 2 * kLanes; half += kLanes) {
      const LvqQueryTerms<F32> own{F32::load(query.scale + half), F32::load(query.sum + half),
                                   F32::load(query.shift + half)};
      for (int r = 0; r < kTileRows; ++r) {
        const LvqRowTerms<F32> terms{F32::broadcast(row.low[r]), F32::broadcast(row.step[r]), F32::broadcast(row.norm[r])};
        const int at = r * 2 * kLanes + half;
        lvq_key<M>(to_f32(I32::load(dots + at)), own, terms, zero, one, two).store(out + at);
      }
    }
    if constexpr (M::kMetric == Metric::euclidean)
      for (int i = 0; i < kTileRows * 2 * kLanes; ++i) out[i] = sqrtf(out[i]);
  }

  void pack_few(int64_t first, int count, void* packed) const override {
    __builtin_memset(packed, 0, few_bytes * count);
    for (int q = 0; q < count; ++q) {
      char* const own = static_cast<char*>(packed) + q * few_bytes;
      const FewTerms terms =
          pack_query(first + q, reinterpret_cast<CodeQuery*>(own), reinterpret_cast<float*>(own + few_scratch_));
      *reinterpret_cast<FewTerms*>(own + few_terms_) = terms;
    }
  }

  // kLanes rows at a time: their integer products by fours, then their keys as one register.
  bool few_keys(const void* packed, int count, const RowList& rows, float* out, int64_t stride) const override {
    const bool chosen = rows.ids != nullptr;
    for (int i = 0; chosen && i < rows.count && i < kAhead; ++i) fetch_row(rows[i]);
    const F32 zero = F32::zero(), one = F32::broadcast(1.0f), two = F32::broadcast(2.0f);
    alignas(64) FewRows group{};
    for (int i = 0; i < rows.count; i += kLanes) {
      const int here = rows.count - i < kLanes ? rows.count - i : kLanes;
      take_rows(rows.part(i, here), group);
      const F32 unit = F32::broadcast(view_.unit);
      const LvqRowTerms<F32> terms{load_widened(group.low) * unit, load_widened(group.step) * unit, F32::load(group.norm)};
      for (int q = 0; q < count; ++q) {
        const char* const own = static_cast<const char*>(packed) + q * few_bytes;
        const FewTerms& query = *reinterpret_cast<const FewTerms*>(own + few_terms_);
        for (int r = 0; r < here; r += 4) {
          for (int ahead = i + r + kAhead; chosen && q == 0 && ahead < rows.count && ahead < i + r + kAhead + 4; ++ahead)
            fetch_row(rows[ahead]);
          four_dots(group.row + r, reinterpret_cast<const CodeQuery*>(own), query.surplus, group.dots + r);
        }
        const LvqQueryTerms<F32> wide{F32::broadcast(query.terms.scale), F32::broadcast(query.terms.sum),
                                      F32::broadcast(query.terms.shift)};
        const F32 keys = lvq_key<M>(to_f32(I32::load(group.dots)), wide, terms, zero, one, two);
        float* const to = out + q * stride + i;
        float last[kLanes];
        keys.store(here == kLanes ? to : last);
        if (here < kLanes) __builtin_memcpy(to, last, static_cast<size_t>(here) * sizeof(float));
        if constexpr (M::kMetric == Metric::euclidean)
          for (int r = 0; r < here; ++r) to[r] = sqrtf(to[r]);
      }
    }
    return true;
  }

  // Under L2 a row is its codes: there is no mean to take off again, and its norm is known.
  bool pack_row(int64_t row, void* packed) const override {
    if constexpr (M::kMetric != Metric::sqeuclidean) return false;
    char* const own = static_cast<char*>(packed);
    FewTerms& query = *reinterpret_cast<FewTerms*>(own + few_terms_);
    const float low = view_.low(row) * view_.unit, step = view_.step(row) * view_.unit;
    const float most = larger(absolute(low), absolute(low + step * static_cast<float>((1 << kBits) - 1)));
    const float steps = most > 0.0f ? 127.0f / most : 0.0f;
    const CodeSums sums = row_codes<kBits>(view_.code_row(row), view_.code_bytes, low * steps, step * steps,
                                           reinterpret_cast<CodeQuery*>(own));
    query.terms.scale = most / 127.0f;
    query.terms.sum = low * static_cast<float>(view_.dims) + step * static_cast<float>(sums.row);
    query.terms.shift = view_.norms[row].squared;
    query.surplus = kCodeOffset * (kBits == 8 ? sums.query : 0);
    return true;
  }

  void prefetch(const RowList& rows) const override {
    for (int i = 0; i < rows.count; ++i) fetch_row(rows[i]);
  }

 private:
  static constexpr int kAhead = 12;  // rows named by ids are fetched so far ahead

  // Rows whose keys are made together. Lanes behind the last row keep what they had.
  struct FewRows {
    float norm[kLanes];
    Half low[kLanes], step[kLanes];
    int32_t dots[kLanes];
    const uint8_t* row[kLanes + 4];
  };
  ANNK_HD void take_rows(const RowList& rows, FewRows& group) const {
    for (int r = 0; r < rows.count; ++r) {
      const int64_t row = rows[r];
      const LvqScales scales = view_.scales[row * view_.scales_stride];
      group.row[r] = view_.code_row(row);
      group.low[r] = scales.low;
      group.step[r] = scales.step;
      if constexpr (M::kMetric != Metric::inner_product)
        group.norm[r] = M::kMetric == Metric::cosine ? view_.norms[row].inverse : view_.norms[row].squared;
    }
    for (int r = rows.count; r < rows.count + 3; ++r) group.row[r] = group.row[rows.count - 1];
  }

  ANNK_HD void fetch_row(int64_t row) const {
    for (int64_t at = 0; at < view_.code_bytes; at += 64) __builtin_prefetch(view_.code_row(row) + at);
    __builtin_prefetch(view_.scales + row * view_.scales_stride);
    if constexpr (M::kMetric != Metric::inner_product) __builtin_prefetch(view_.norms + row);
  }

  ANNK_HD LvqRowTerms<float> row_terms(int64_t row) const {
    const LvqNorms& norms = view_.norms[row];
    return {view_.low(row) * view_.unit, view_.step(row) * view_.unit,
            M::kMetric == Metric::cosine ? norms.inverse : norms.squared};
  }

  // Fills codes with the query's elements in the order of positions; v is scratch.
  FewTerms pack_query(int64_t q, CodeQuery* codes, float* v) const {
    const int64_t dims = view_.dims;
    widen_query(queries_, q, Term::none, v);
    if constexpr (M::kMetric == Metric::cosine) {
      const float inverse =
          inverse_norm(sum16(dims, [&](int64_t j) { return static_cast<double>(v[j]) * static_cast<double>(v[j]); }));
      for (int64_t j = 0; j < dims; ++j) v[j] = v[j] * inverse;
    }
    FewTerms own{};
    constexpr bool kDot = M::kMetric == Metric::inner_product || M::kMetric == Metric::cosine;
    if constexpr (kDot) {
      own.terms.shift = static_cast<float>(
          sum16(dims, [&](int64_t j) { return static_cast<double>(v[j]) * static_cast<double>(view_.mean[j]); }));
    } else {
      for (int64_t j = 0; j < dims; ++j) v[j] = v[j] - view_.mean[j];
      own.terms.shift =
          static_cast<float>(sum16(dims, [&](int64_t j) { return static_cast<double>(v[j]) * static_cast<double>(v[j]); }));
    }
    own.terms.sum = static_cast<float>(sum16(dims, [&](int64_t j) { return static_cast<double>(v[j]); }));
    const float most = largest(v, dims);
    own.terms.scale = most / 127.0f;
    for (int64_t j = dims; j < positions_; ++j) v[j] = 0.0f;
    const int32_t sum = query_codes<kBits>(v, positions_, most > 0.0f ? 127.0f / most : 0.0f, codes);
    own.surplus = kCodeOffset * (kBits == 8 ? sum : 0);
    return own;
  }

  // tile: [groups][kTileRows] words; panel: [groups][2 * kLanes][kDotGroup].
  ANNK_HD void code_tile(const float* tile, const CodeQuery* panel, const int32_t* surplus, int32_t* out) const {
    I32 acc[kTileRows][2];
#pragma GCC unroll 14
    for (int r = 0; r < kTileRows; ++r) {
      acc[r][0] = I32::load(surplus);
      acc[r][1] = I32::load(surplus + kLanes);
    }
    for (int64_t g = 0; g < positions_ / kDotGroup; ++g, tile += kTileRows, panel += 2 * kCodeStep) {
      const I32 query0 = I32::load(panel), query1 = I32::load(panel + kCodeStep);
#pragma GCC unroll 14
      for (int r = 0; r < kTileRows; ++r) {
        const I32 row = I32::broadcast(tile + r);
        acc[r][0] = code_step(acc[r][0], query0, row);
        acc[r][1] = code_step(acc[r][1], query1, row);
      }
    }
#pragma GCC unroll 14
    for (int r = 0; r < kTileRows; ++r) {
      acc[r][0].store(out + r * 2 * kLanes);
      acc[r][1].store(out + r * 2 * kLanes + kLanes);
    }
  }

  ANNK_HD void four_dots(const uint8_t* const* row, const CodeQuery* query, int32_t surplus, int32_t* dots) const {
    I32 acc[4];
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) acc[r] = I32::zero();
    for (int64_t block = 0; block < view_.code_bytes; block += kTurboBytes, query += kInBlock)
#pragma GCC unroll 4
      for (int64_t at = 0; at < kTurboBytes; at += kCodeStep) {
        const I32 part = I32::load(query + at);
#pragma GCC unroll 4
        for (int r = 0; r < 4; ++r) acc[r] = code_step(acc[r], part, load_half<kBits, false>(row[r] + block + at));
        if constexpr (kBits == 4) {
          const I32 high = I32::load(query + kTurboBytes + at);
#pragma GCC unroll 4
          for (int r = 0; r < 4; ++r) acc[r] = code_step(acc[r], high, load_half<kBits, true>(row[r] + block + at));
        }
      }
    store_sums(acc, dots);
    for (int r = 0; r < 4; ++r) dots[r] += surplus;
  }

  LvqView view_;
  Matrix queries_;
  int64_t positions_ = 0;
  size_t panel_terms_ = 0, tile_terms_ = 0, few_terms_ = 0, few_scratch_ = 0;
};

}  // namespace annk::ANNK_ISA
