// SPDX-License-Identifier: Apache-2.0
// Keys of rows of small unsigned codes from integer products with a query of int8_t: what the stores of codes share.
// <query, codes> is exact, so that the order of its terms does not show; the rest is float32 in the order written, never
// fused: the same bits on every level and backend.
//
// Rows, one class a store, says how its codes lie and what its terms are:
//   Code                       Codes8 or Codes4 (simd/vec.h): how products are made
//   kRun                       Code::kRun, or more where codes or numbers of a query are smaller
//   kParts                     1, or 2 where a query is 128 times its first part plus its second, for 15 bits of it
//   kRowTerms, kQueryTerms     floats beside the codes of a row, and of a query
//   Rows(base)
//   positions()                codes of a row in the order in which they are read, padding included
//   codes(row)                 their address; code_bytes() from there on are read
//   kBlock, kBlockBytes        positions of a block of codes, and its bytes
//   load(block, i)             kLanes * Code::kGroup positions from i on, a multiple of that, as Code::step wants them
//   row_terms<M>(row, terms)
//   lane_terms<M>(row, terms)  the same of kLanes adjacent rows
//   query_floats()             of scratch
//   quantize_query<M>(queries, q, codes, scratch) -> CodeQueryTerms; codes: kParts times positions()
//   pack_row<M>(row, terms, codes)  optional: a row as a query, where there is a shorter way than decoding; false: none
//   kTableRows                 so many rows at once have a shorter way, by tables made of a query's codes, where tables():
//                              make_tables(codes, table) fills table_bytes(), table_sums(rows, table, sums). 0: none
//   fetch_terms<M>(row)        optional: asks for what row_terms reads
//   key<M, V>(dot, query, row) V is float or F32; terms are arrays of V. Of sqeuclidean for euclidean, too (root_tiles.h).
#pragma once
#include <algorithm>

#include "cpu/distance/distance_computer.h"
#include "cpu/distance/float_tiles.h"
#include "cpu/simd/pack.h"
#include "cpu/simd/vec.h"
#include "metric/all.h"

namespace annk::ANNK_ISA {

// zero-point correction: where the sums of products start.
template <class Rows>
struct CodeQueryTerms {
  float terms[Rows::kQueryTerms];
  int32_t zero_point[Rows::kParts];
};

// One query as float32, times its inverse norm where the metric asks for it.
template <class M>
void code_query(const Matrix& queries, int64_t q, float* v) {
  widen_query(queries, q, Term::none, v);
  if constexpr (M::kMetric == Metric::cosine) {
    const float inverse = inverse_norm(product16(v, v, queries.dims));
    for (int64_t j = 0; j < queries.dims; ++j) v[j] = v[j] * inverse;
  }
}

// What is not optional above, for a compiler to check.
template <class Rows, class M>
concept CodeRows = DotMetric<M> && std::constructible_from<Rows, const Dataset&> &&
                   requires(const Rows rows, int64_t row, const Matrix& queries, typename Rows::Code::Query* codes,
                            float* terms, F32* lanes, F32 dot) {
                     Rows::kRun, Rows::kParts, Rows::kRowTerms, Rows::kQueryTerms, Rows::kTableRows;
                     Rows::kBlock, Rows::kBlockBytes;
                     { rows.positions() } -> std::same_as<int64_t>;
                     { rows.query_floats() } -> std::same_as<int64_t>;
                     { rows.code_bytes() } -> std::same_as<int64_t>;
                     { rows.codes(row) } -> std::same_as<const uint8_t*>;
                     { Rows::load(rows.codes(row), 0) } -> std::same_as<I32>;
                     rows.template row_terms<M>(row, terms);
                     rows.template lane_terms<M>(row, lanes);
                     { rows.template quantize_query<M>(queries, row, codes, terms) } -> std::same_as<CodeQueryTerms<Rows>>;
                     { Rows::template key<M>(dot, lanes, lanes) } -> std::same_as<F32>;
                   };

template <class M, CodeRows<M> Rows>
class CodeTiles final : public DistanceComputer {
  using Code = typename Rows::Code;
  using CodeQuery = typename Code::Query;
  static constexpr int kGroup = Code::kGroup, kStep = kLanes * kGroup;  // positions in a lane, in a register
  static constexpr int kParts = Rows::kParts, kPanel = 2 * kLanes, kQueries = kPanel / kParts;
  struct PanelTerms {
    float terms[Rows::kQueryTerms][kQueries];
    int32_t zero_point[kPanel];
  };
  struct TileTerms {
    float terms[Rows::kRowTerms][kTileRows];
  };
  using QueryTerms = CodeQueryTerms<Rows>;

 public:
  CodeTiles(const Dataset& base, const Matrix& queries) : rows_(base), queries_(queries) {
    row_bytes = rows_.code_bytes();
    tile_rows = kTileRows;
    lanes = kQueries;
    row_major_up_to = 2;
    gathers_panels = true;
    positions_ = rows_.positions();
    ahead_rows_ = kAheadBytes / std::max<int64_t>(rows_.code_bytes(), 1);
    const size_t positions = static_cast<size_t>(positions_), codes = positions * sizeof(CodeQuery);
    panel_terms_ = round_up(codes * kPanel, 64);
    tile_terms_ = round_up(codes * kTileRows + kPackSlack, 64);
    query_terms_ = round_up(codes * kParts, 64);
    panel_bytes = round_up(panel_terms_ + sizeof(PanelTerms), 64);
    tile_bytes = round_up(tile_terms_ + sizeof(TileTerms), 64);
    // Behind the terms: the float query, while it is packed. Panels borrow it from the query_bytes behind them.
    query_table_ = round_up(query_terms_ + sizeof(QueryTerms), 64);
    query_scratch_ = query_table_;
    if constexpr (Rows::kTableRows != 0) query_scratch_ += round_up(static_cast<size_t>(rows_.table_bytes()), 64);
    query_bytes = query_scratch_ + round_up(static_cast<size_t>(rows_.query_floats()) * sizeof(float), 64);
  }

  void pack_panel(int64_t first, int count, void* panel) const override {
    __builtin_memset(panel, 0, panel_bytes);
    char* const bytes = static_cast<char*>(panel);
    CodeQuery* const out = static_cast<CodeQuery*>(panel);
    PanelTerms& terms = *reinterpret_cast<PanelTerms*>(bytes + panel_terms_);
    CodeQuery* const codes = reinterpret_cast<CodeQuery*>(bytes + panel_bytes);
    for (int q = 0; q < count; ++q) {
      const QueryTerms query_terms = quantize_query(first + q, bytes + panel_bytes);
      for (int part = 0; part < kParts; ++part) {
        const int lane = part * kQueries + q;
        for (int64_t p = 0; p < positions_; ++p)
          out[(p / kGroup * kPanel + lane) * kGroup + p % kGroup] = codes[part * positions_ + p];
        terms.zero_point[lane] = query_terms.zero_point[part];
      }
      for (int t = 0; t < Rows::kQueryTerms; ++t) terms.terms[t][q] = query_terms.terms[t];
    }
  }

  // Lanes without a query take the last one.
  void gather_panel(const PackedQueries* queries, int count, void* panel) const override {
    char* const bytes = static_cast<char*>(panel);
    CodeQuery* const out = static_cast<CodeQuery*>(panel);
    PanelTerms& terms = *reinterpret_cast<PanelTerms*>(bytes + panel_terms_);
    for (int q = 0; q < kQueries; ++q) {
      const char* const own = static_cast<const char*>(queries[q < count ? q : count - 1].data());
      const QueryTerms& query = *reinterpret_cast<const QueryTerms*>(own + query_terms_);
      for (int t = 0; t < Rows::kQueryTerms; ++t) terms.terms[t][q] = query.terms[t];
      for (int part = 0; part < kParts; ++part) {
        const CodeQuery* const codes = reinterpret_cast<const CodeQuery*>(own) + part * positions_;
        const int lane = part * kQueries + q;
        for (int64_t p = 0; p < positions_; p += kGroup)
          __builtin_memcpy(out + p * kPanel + lane * kGroup, codes + p, kGroup * sizeof(CodeQuery));
        terms.zero_point[lane] = query.zero_point[part];
      }
    }
  }

  bool pack_tile(const RowList& rows, void* tile) const override {
    const uint8_t* row[kTileRows];
    TileTerms& terms = *reinterpret_cast<TileTerms*>(static_cast<char*>(tile) + tile_terms_);
    for (int r = 0; r < kTileRows; ++r) {
      const int64_t at = rows[r < rows.count ? r : rows.count - 1];
      row[r] = rows_.codes(at);
      float terms_of_row[Rows::kRowTerms];
      rows_.template row_terms<M>(at, terms_of_row);
      for (int t = 0; t < Rows::kRowTerms; ++t) terms.terms[t][r] = terms_of_row[t];
    }
    if (rows.ids == nullptr) {
      const uint8_t* const next = rows_.codes(rows.first + kTileRows);
      for (int64_t at = 0; at < rows_.codes(rows.first + 2 * kTileRows) - next; at += 64) fetch(next + at);
    }
    auto load = [&](int r, int64_t u) {
      const int64_t p = u * kGroup;
      return as_f32(Rows::load(row[r] + p / Rows::kBlock * Rows::kBlockBytes, static_cast<int>(p % Rows::kBlock)));
    };
    pack_transposed(positions_ / kGroup, static_cast<float*>(tile), load, load);
    return true;
  }

  void keys(const void* tile, const void* panel, float* out) const override {
    const PanelTerms& query = *reinterpret_cast<const PanelTerms*>(static_cast<const char*>(panel) + panel_terms_);
    const TileTerms& row = *reinterpret_cast<const TileTerms*>(static_cast<const char*>(tile) + tile_terms_);
    alignas(64) int32_t dots[kTileRows * kPanel];
    code_tile(static_cast<const float*>(tile), static_cast<const CodeQuery*>(panel), query.zero_point, dots);
    for (int from = 0; from < kQueries; from += kLanes) {
      F32 query_terms[Rows::kQueryTerms];
      for (int t = 0; t < Rows::kQueryTerms; ++t) query_terms[t] = F32::load(query.terms[t] + from);
      for (int r = 0; r < kTileRows; ++r) {
        F32 terms[Rows::kRowTerms];
        for (int t = 0; t < Rows::kRowTerms; ++t) terms[t] = F32::broadcast(row.terms[t][r]);
        Rows::template key<M>(joined(dots + r * kPanel + from, kQueries), query_terms, terms)
            .store(out + r * kQueries + from);
      }
    }
  }

  void write_query(int64_t first, int count, void* packed) const override {
    __builtin_memset(packed, 0, query_bytes * count);
    for (int q = 0; q < count; ++q) {
      char* const query_at = static_cast<char*>(packed) + q * query_bytes;
      *reinterpret_cast<QueryTerms*>(query_at + query_terms_) = quantize_query(first + q, query_at);
      if constexpr (Rows::kTableRows != 0)
        rows_.make_tables(reinterpret_cast<const CodeQuery*>(query_at), reinterpret_cast<int8_t*>(query_at + query_table_));
    }
  }

  bool score_rows(PackedQueries queries, int count, const RowList& rows, float* out, int64_t stride) const override {
    const void* const packed = queries.data();
    const bool asks = !rows.asked_for;
    for (int i = 0; asks && i < rows.count && i < kAhead; ++i) fetch_row(rows[i]);
    for (int from = 0; from < rows.count; from += kTogether) {
      const RowList part = rows.part(from, rows.count - from < kTogether ? rows.count - from : kTogether);
      alignas(64) float terms[Rows::kRowTerms][kTogether];
      for (int q = 0; q < count; ++q) {
        const char* const query_at = static_cast<const char*>(packed) + q * query_bytes;
        const QueryTerms& query = *reinterpret_cast<const QueryTerms*>(query_at + query_terms_);
        alignas(64) int32_t dots[kParts * kTogether];
        int r = 0;
        if constexpr (Rows::kTableRows != 0)
          for (; r + Rows::kTableRows <= part.count && rows_.tables(); r += Rows::kTableRows) {
            for (int i = 0; asks && q == 0 && i < Rows::kTableRows; i += 4) fetch_four(rows, from + r + i);
            table_sums(part.part(r, Rows::kTableRows), reinterpret_cast<const int8_t*>(query_at + query_table_), dots + r);
          }
        for (; r < part.count; r += 4) {
          const uint8_t* row[4];
          for (int i = 0; i < 4; ++i) row[i] = rows_.codes(part[r + i < part.count ? r + i : part.count - 1]);
          if (asks && q == 0) fetch_four(rows, from + r);
          for (int of = 0; of < kParts; ++of)
            four_dots(row, reinterpret_cast<const CodeQuery*>(query_at) + of * positions_, dots + of * kTogether + r);
        }
        if (q == 0) part_terms(part, terms);
        part_keys(dots, query, terms, part.count, out + q * stride + from);
      }
    }
    return true;
  }

  bool write_row(int64_t row, void* packed) const override {
    char* const query_at = static_cast<char*>(packed);
    QueryTerms& query = *reinterpret_cast<QueryTerms*>(query_at + query_terms_);
    if constexpr (requires(CodeQuery* codes) { rows_.template pack_row<M>(row, query, codes); })
      return rows_.template pack_row<M>(row, query, reinterpret_cast<CodeQuery*>(query_at));
    return false;
  }

  void prefetch(const RowList& rows) const override {
    for (int i = 0; i < rows.count; ++i) fetch_row(rows[i]);
  }

 private:
  static constexpr int kAhead = 12;  // listed rows are fetched so far ahead of their use
  // Adjacent ones so far (Zen 5, lvq4 from memory: 28 GB/s 2.3 KB ahead, 33 GB/s 6 KB, 35 GB/s 12 KB).
  static constexpr int64_t kAheadBytes = 12 << 10;
  // Rows whose sums are made before any of their keys: what is stored by fours is not loaded by kLanes at once, which would
  // wait for all of the stores (Zen 5, rabitq1, with terms of kLanes rows at once: 3.3 ns a row, where it took 4.7).
  static constexpr int kTogether = 64;

  ANNK_HD void fetch_row(int64_t row) const {
    const uint8_t* const codes = rows_.codes(row);
    for (int64_t at = 0; at < rows_.code_bytes(); at += 64) __builtin_prefetch(codes + at);
    fetch_terms(row);
  }
  ANNK_HD void fetch_terms(int64_t row) const {
    if constexpr (requires { rows_.template fetch_terms<M>(row); }) rows_.template fetch_terms<M>(row);
  }
  // What comes so far behind rows at .. at + 3. Adjacent rows go on behind the list, and their terms share lines.
  ANNK_HD void fetch_four(const RowList& rows, int at) const {
    if (rows.ids != nullptr) {
      for (int i = at + kAhead; i < rows.count && i < at + kAhead + 4; ++i) fetch_row(rows[i]);
      return;
    }
    const uint8_t* const codes = rows_.codes(rows.first + at) + kAheadBytes;
    for (int64_t byte = 0; byte < 4 * rows_.code_bytes(); byte += 64) __builtin_prefetch(codes + byte);
    fetch_terms(rows.first + at + ahead_rows_);
  }

  ANNK_HD void table_sums(const RowList& rows, const int8_t* tables, int32_t* dots) const {
    if (rows.ids == nullptr)
      return rows_.table_sums(AdjacentRows<uint8_t>{rows_.codes(rows.first), rows_.code_bytes()}, tables, dots);
    const uint8_t* row[Rows::kTableRows];
    for (int i = 0; i < Rows::kTableRows; ++i) row[i] = rows_.codes(rows[i]);
    rows_.table_sums(row, tables, dots);
  }

  QueryTerms quantize_query(int64_t q, char* packed) const {
    return rows_.template quantize_query<M>(queries_, q, reinterpret_cast<CodeQuery*>(packed),
                                            reinterpret_cast<float*>(packed + query_scratch_));
  }

  // The sums of kLanes pairs; the parts of a query are `apart`.
  static ANNK_HD F32 joined(I32 first, I32 second) {
    if constexpr (kParts == 1) return to_f32(first);
    return to_f32(first) * F32::broadcast(128.0f) + to_f32(second);
  }
  static ANNK_HD F32 joined(const int32_t* dots, int apart) {
    return joined(I32::load(dots), I32::load(dots + (kParts - 1) * apart));
  }
  static ANNK_HD F32 joined(const int32_t* dots, int apart, const int32_t* zero_point) {
    constexpr int kLast = kParts - 1;
    return joined(I32::load(dots) + I32::broadcast(zero_point),
                  I32::load(dots + kLast * apart) + I32::broadcast(zero_point + kLast));
  }

  ANNK_HD void part_terms(const RowList& rows, float (&terms)[Rows::kRowTerms][kTogether]) const {
    int r = 0;
    for (; rows.ids == nullptr && r + kLanes <= rows.count; r += kLanes) {
      F32 terms_of_row[Rows::kRowTerms];
      rows_.template lane_terms<M>(rows.first + r, terms_of_row);
      for (int t = 0; t < Rows::kRowTerms; ++t) terms_of_row[t].store(terms[t] + r);
    }
    for (; r < rows.count; ++r) {
      float terms_of_row[Rows::kRowTerms];
      rows_.template row_terms<M>(rows[r], terms_of_row);
      for (int t = 0; t < Rows::kRowTerms; ++t) terms[t][r] = terms_of_row[t];
    }
  }

  // Lanes past `count` hold numbers without meaning.
  ANNK_HD void part_keys(const int32_t* dots, const QueryTerms& query, const float (&row)[Rows::kRowTerms][kTogether],
                         int count, float* out) const {
    F32 query_terms[Rows::kQueryTerms];
    for (int t = 0; t < Rows::kQueryTerms; ++t) query_terms[t] = F32::broadcast(query.terms[t]);
    for (int r = 0; r < count; r += kLanes) {
      F32 terms[Rows::kRowTerms];
      for (int t = 0; t < Rows::kRowTerms; ++t) terms[t] = F32::load(row[t] + r);
      const F32 keys = Rows::template key<M>(joined(dots + r, kTogether, query.zero_point), query_terms, terms);
      if (r + kLanes <= count) {
        keys.store(out + r);
      } else {
        float last[kLanes];
        keys.store(last);
        __builtin_memcpy(out + r, last, static_cast<size_t>(count - r) * sizeof(float));
      }
    }
  }

  // tile: [groups][kTileRows] words; panel: [groups][kPanel][kGroup].
  ANNK_HD void code_tile(const float* tile, const CodeQuery* panel, const int32_t* zero_point, int32_t* out) const {
    const int64_t groups = positions_ / kGroup;
    const int64_t run = Rows::kRun == 0 || Rows::kRun > groups ? groups : Rows::kRun;
    code_run<true>(tile, panel, 0, run, zero_point, out);
    if constexpr (Rows::kRun != 0)
      for (int64_t g = run; g < groups; g += Rows::kRun)
        code_run<false>(tile, panel, g, groups - g < Rows::kRun ? groups : g + Rows::kRun, zero_point, out);
  }
  // Groups [begin, end), on top of the zero-point correction or of what `out` holds.
  template <bool kFirst>
  ANNK_HD static void code_run(const float* tile, const CodeQuery* panel, int64_t begin, int64_t end,
                               const int32_t* zero_point, int32_t* out) {
    I32 acc[kTileRows][2];
#pragma GCC unroll 14
    for (int r = 0; r < kTileRows; ++r) acc[r][0] = acc[r][1] = I32::zero();
    tile += begin * kTileRows;
    panel += begin * 2 * kStep;
    for (int64_t g = begin; g < end; ++g, tile += kTileRows, panel += 2 * kStep) {
      const I32 query0 = I32::load(panel), query1 = I32::load(panel + kStep);
#pragma GCC unroll 14
      for (int r = 0; r < kTileRows; ++r) {
        const I32 row = I32::broadcast(tile + r);
        acc[r][0] = Code::step(acc[r][0], query0, row);
        acc[r][1] = Code::step(acc[r][1], query1, row);
      }
    }
#pragma GCC unroll 14
    for (int r = 0; r < kTileRows; ++r)
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {
        int32_t* const at = out + r * kPanel + half * kLanes;
        const I32 before = I32::load(kFirst ? zero_point + half * kLanes : at);
        (before + Code::widened(acc[r][half])).store(at);
      }
  }

  ANNK_HD void four_dots(const uint8_t* const* row, const CodeQuery* query, int32_t* dots) const {
    constexpr int kSteps = Rows::kBlock / kStep;
    static_assert(Rows::kBlock % kStep == 0 && Rows::kRun % kSteps == 0);
    const int64_t blocks = positions_ / Rows::kBlock;
    const int64_t run = Rows::kRun == 0 ? blocks : Rows::kRun / kSteps;
    I32 total[4];
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) total[r] = I32::zero();
    for (int64_t from = 0; from < blocks; from += run) {
      const int64_t end = blocks - from < run ? blocks : from + run;
      I32 acc[4];
#pragma GCC unroll 4
      for (int r = 0; r < 4; ++r) acc[r] = I32::zero();
      for (int64_t b = from; b < end; ++b)
#pragma GCC unroll 8
        for (int step = 0; step < kSteps; ++step) {
          const I32 part = I32::load(query + b * Rows::kBlock + step * kStep);
#pragma GCC unroll 4
          for (int r = 0; r < 4; ++r)
            acc[r] = Code::step(acc[r], part, Rows::load(row[r] + b * Rows::kBlockBytes, step * kStep));
        }
#pragma GCC unroll 4
      for (int r = 0; r < 4; ++r) total[r] = total[r] + Code::widened(acc[r]);
    }
    sum4(total, dots);
  }

  Rows rows_;
  Matrix queries_;
  int64_t positions_ = 0, ahead_rows_ = 0;
  size_t panel_terms_ = 0, tile_terms_ = 0, query_terms_ = 0, query_table_ = 0, query_scratch_ = 0;
};

}  // namespace annk::ANNK_ISA
