// SPDX-License-Identifier: Apache-2.0
// Exact keys of 8-bit rows under 8-bit queries of the same type, from int32 dot products. The order of summation does
// not show, so that a row's dimensions go into lanes where queries are few.
#pragma once
#include "cpu/distance/distance_computer.h"
#include "cpu/simd/pack.h"
#include "cpu/simd/vec.h"
#include "metric/all.h"

namespace annk::ANNK_ISA {

// Query elements as dot_step wants them: y = x, or with 128 added (kDotOffset).
template <class T>
ANNK_HD DotQuery dot_query(T x) {
  if constexpr (kDotOffset && std::is_same_v<T, int8_t>) return static_cast<DotQuery>(x ^ 0x80);
  return static_cast<DotQuery>(x);
}

// kLanes * kDotGroup elements of a row as dot_step wants them, of which the first `count` exist. The others read as
// anything: the query's numbers there are zero.
template <class T>
ANNK_HD I32 load_dot_part(const T* x, int64_t count) {
  if (count >= kLanes * kDotGroup) [[likely]]
    return load_dot(x);
  T copy[kLanes * kDotGroup] = {};
  __builtin_memcpy(copy, x, static_cast<size_t>(count));
  return load_dot(copy);
}

// The sums of a vector's elements, of their squares, and of the products x[2 i] x[2 i + 1].
struct Sums {
  int32_t plain = 0, squared = 0, paired = 0;
};

template <class T>
ANNK_HD Sums sums_of(const T* x, int64_t dims) {
  Sums sums;
  for (int64_t j = 0; j < dims; ++j) {
    sums.plain += x[j];
    sums.squared += static_cast<int32_t>(x[j]) * x[j];
  }
  for (int64_t j = 0; kDotCross && j + 1 < dims; j += 2) sums.paired += static_cast<int32_t>(x[j]) * x[j + 1];
  return sums;
}

// What joins the stored dot product: q.y = stored + query_zero_point + row_zero_point, where numbers wrap.
template <class T>
ANNK_HD int32_t query_zero_point(Sums query) {
  if constexpr (kDotCross) return -query.paired;
  return kDotOffset && std::is_same_v<T, uint8_t> ? 128 * query.plain : 0;
}
template <class T>
ANNK_HD int32_t row_zero_point(Sums row) {
  if constexpr (kDotCross) return -row.paired;
  return kDotOffset && std::is_same_v<T, int8_t> ? -128 * row.plain : 0;
}

// Where element j of a vector lies: its group, and the place in it. Under kDotCross the even ones of four elements make a
// group and the odd ones the next; rows have the two the other way round.
ANNK_HD int64_t dot_group(int64_t j) { return kDotCross ? j / 4 * 2 + j % 2 : j / kDotGroup; }
ANNK_HD int64_t dot_place(int64_t j) { return kDotCross ? j % 4 / 2 : j % kDotGroup; }

// tile: [groups][kDotRows][kDotGroup]; panel: [groups][2 * kLanes][kDotGroup].
//
// kDotCross: q0 x0 + q1 x1 = (q0 + x1) (q1 + x0) - q0 q1 - x0 x1, and the last two products belong to one vector each.
// Multiplications and additions are as many together, but half of the former become the latter, which have twice the
// ports: Zen 4, AVX2, of 12 for 192 products at best 6.6 cycles, where plain ones take 7.4.
template <class T>
ANNK_HD void dot_tile(const DotRow* tile, const DotQuery* panel, int64_t groups, int32_t* out) {
  constexpr int kRow = kDotRows * kDotGroup, kQuery = kLanes * kDotGroup;
  I32 acc[kDotRows][2];
#pragma GCC unroll 14
  for (int r = 0; r < kDotRows; ++r) acc[r][0] = acc[r][1] = I32::zero();
  if constexpr (kDotCross) {
    for (int64_t g = 0; g < groups; g += 2, tile += 2 * kRow, panel += 4 * kQuery) {
      const I32 even0 = I32::load(panel), even1 = I32::load(panel + kQuery);
      const I32 odd0 = I32::load(panel + 2 * kQuery), odd1 = I32::load(panel + 3 * kQuery);
#pragma GCC unroll 14
      for (int r = 0; r < kDotRows; ++r) {
        const I32 odd = I32::broadcast(tile + r * kDotGroup), even = I32::broadcast(tile + kRow + r * kDotGroup);
        cross_step(acc[r][0], even0, odd0, odd, even);
        cross_step(acc[r][1], even1, odd1, odd, even);
      }
    }
  } else {
    for (int64_t g = 0; g < groups; ++g, tile += kRow, panel += 2 * kQuery) {
      const I32 query0 = I32::load(panel), query1 = I32::load(panel + kQuery);
#pragma GCC unroll 14
      for (int r = 0; r < kDotRows; ++r) {
        const I32 row = I32::broadcast(tile + r * kDotGroup);
        acc[r][0] = dot_step<T>(acc[r][0], query0, row);
        acc[r][1] = dot_step<T>(acc[r][1], query1, row);
      }
    }
  }
#pragma GCC unroll 14
  for (int r = 0; r < kDotRows; ++r) {
    acc[r][0].store(out + r * 2 * kLanes);
    acc[r][1].store(out + r * 2 * kLanes + kLanes);
  }
}

// T is int8_t or uint8_t; M one of the metrics with kFromDot.
template <class M, class T>
class DotTiles final : public DistanceComputer {
  // Behind the numbers of a tile or panel, for each of its vectors.
  template <int N>
  struct Terms {
    int32_t zero_point[N], squared[N];
    float term[N];
  };
  using RowTerms = Terms<kDotRows>;
  using QueryTerms = Terms<2 * kLanes>;
  static constexpr int kChunk = kLanes * kDotGroup;  // elements in one register

 public:
  DotTiles(const Matrix& base, const Matrix& queries) : base_(base), queries_(queries) {
    row_bytes = row_bytes_of(base);
    tile_rows = kDotRows;
    lanes = 2 * kLanes;
    row_major_up_to = 2;
    groups_ = kDotCross ? (base.dims + 3) / 4 * 2 : (base.dims + kDotGroup - 1) / kDotGroup;
    panel_terms_ = round_up(static_cast<size_t>(groups_) * 2 * kChunk * sizeof(DotQuery), 64);
    tile_terms_ = round_up(static_cast<size_t>(groups_) * kDotRows * 4 + kPackSlack, 64);
    query_terms_ = round_up(round_up(static_cast<size_t>(base.dims), kChunk) * sizeof(DotQuery), 64);
    panel_bytes = round_up(panel_terms_ + sizeof(QueryTerms), 64);
    tile_bytes = round_up(tile_terms_ + sizeof(RowTerms), 64);
    query_bytes = round_up(query_terms_ + sizeof(Terms<1>), 64);
  }

  void pack_panel(int64_t first, int count, void* panel) const override {
    __builtin_memset(panel, 0, panel_bytes);
    DotQuery* out = static_cast<DotQuery*>(panel);
    QueryTerms& terms = at<QueryTerms>(panel, panel_terms_);
    for (int q = 0; q < count; ++q) {
      const T* x = elements(queries_, first + q);
      for (int64_t j = 0; j < base_.dims; ++j)
        out[(dot_group(j) * 2 * kLanes + q) * kDotGroup + dot_place(j)] = dot_query(x[j]);
      set_query_terms(terms, q, sums_of(x, base_.dims));
    }
  }

  bool pack_tile(const RowList& rows, void* tile) const override {
    RowTerms& terms = at<RowTerms>(tile, tile_terms_);
    const T* row[kDotRows];
    for (int r = 0; r < kDotRows; ++r) row[r] = elements(base_, rows[r < rows.count ? r : rows.count - 1]);
    if (rows.ids == nullptr && base_.stride == base_.dims) fetch_rows(base_, rows[0] + kDotRows, kDotRows);
    pack_transposed<kDotRows>(
        groups_, base_.dims / kDotGroup, static_cast<float*>(tile),
        [&](int r, int64_t g) { return as_unit(load_dot(row[r] + g * kDotGroup)); },
        [&](int r, int64_t g) { return as_unit(load_dot_part(row[r] + g * kDotGroup, base_.dims - g * kDotGroup)); });
    for (int r = 0; r < kDotRows; ++r) set_row_terms(terms, r, kNeedsSums ? sums_of(row[r], base_.dims) : Sums{});
    return true;
  }

  void keys(const void* tile, const void* panel, float* out) const override {
    const QueryTerms& query = at<const QueryTerms>(panel, panel_terms_);
    const RowTerms& row = at<const RowTerms>(tile, tile_terms_);
    alignas(64) int32_t dots[kDotRows * 2 * kLanes];
    dot_tile<T>(static_cast<const DotRow*>(tile), static_cast<const DotQuery*>(panel), groups_, dots);
    for (int r = 0; r < kDotRows; ++r) {
      const int32_t* row_dots = dots + r * 2 * kLanes;
      const int32_t row_zero_point = row.zero_point[r], row_squared = row.squared[r];
      const float row_term = row.term[r];
#pragma GCC unroll 1  // unrolled, g++ 12 vectorizes over the rows where they are four, and transposes twice for it
      for (int l = 0; l < 2 * kLanes; ++l) {
        uint32_t dot = static_cast<uint32_t>(row_dots[l]);
        if (kDotOffset || kDotCross)
          dot += static_cast<uint32_t>(query.zero_point[l]) + static_cast<uint32_t>(row_zero_point);
        out[r * 2 * kLanes + l] =
            M::key_from_dot(static_cast<int32_t>(dot), query.squared[l], row_squared, query.term[l], row_term);
      }
    }
  }

  void write_query(int64_t first, int count, void* packed) const override {
    __builtin_memset(packed, 0, query_bytes * count);
    for (int q = 0; q < count; ++q) {
      char* query_at = static_cast<char*>(packed) + q * query_bytes;
      const T* x = elements(queries_, first + q);
      for (int64_t j = 0; j < base_.dims; ++j) reinterpret_cast<DotQuery*>(query_at)[j] = dot_query(x[j]);
      set_query_terms(at<Terms<1>>(query_at, query_terms_), 0, sums_of(x, base_.dims));
    }
  }

  bool score_rows(PackedQueries queries, int count, const RowList& rows, float* out, int64_t stride) const override {
    const void* const packed = queries.data();
    for (int i = 0; i < rows.count; ++i) {
      const T* x = elements(base_, rows[i]);
      Terms<1> row{};
      if constexpr (kNeedsSums) set_row_terms(row, 0, sums_of(x, base_.dims));
      for (int q = 0; q < count; ++q) {
        const char* query_at = static_cast<const char*>(packed) + q * query_bytes;
        const Terms<1>& query = at<const Terms<1>>(query_at, query_terms_);
        const int32_t zero_point = kDotOffset ? query.zero_point[0] + row.zero_point[0] : 0;
        const int32_t dot = stored_dot(reinterpret_cast<const DotQuery*>(query_at), x) + zero_point;
        out[q * stride + i] = M::key_from_dot(dot, query.squared[0], row.squared[0], query.term[0], row.term[0]);
      }
    }
    return true;
  }

 private:
  static constexpr bool kNeedsSums =
      !std::is_same_v<M, InnerProduct> || kDotCross || (kDotOffset && std::is_same_v<T, int8_t>);

  template <class S, class P>
  static ANNK_HD S& at(P* start, size_t offset) {
    using Byte = std::conditional_t<std::is_const_v<P>, const char, char>;
    return *reinterpret_cast<S*>(static_cast<Byte*>(start) + offset);
  }
  static ANNK_HD F32 as_unit(I32 x) {
    if constexpr (kDotCross) return as_f32(cross(x));
    return as_f32(x);
  }
  static ANNK_HD const T* elements(const Matrix& m, int64_t row) { return reinterpret_cast<const T*>(m.row(row)); }
  static ANNK_HD float term_of(Sums sums) { return M::kTerm == Term::inverse_norm ? inverse_norm(sums.squared) : 0.0f; }

  template <class S>
  static ANNK_HD void set_query_terms(S& terms, int i, Sums sums) {
    terms.zero_point[i] = query_zero_point<T>(sums);
    terms.squared[i] = sums.squared;
    terms.term[i] = term_of(sums);
  }
  template <class S>
  static ANNK_HD void set_row_terms(S& terms, int i, Sums sums) {
    terms.zero_point[i] = row_zero_point<T>(sums);
    terms.squared[i] = sums.squared;
    terms.term[i] = term_of(sums);
  }

  ANNK_HD int32_t stored_dot(const DotQuery* query, const T* x) const {
    I32 acc0 = I32::zero(), acc1 = I32::zero();
    int64_t j = 0;
    for (; j + 2 * kChunk <= base_.dims; j += 2 * kChunk) {
      acc0 = dot_step<T>(acc0, I32::load(query + j), load_dot(x + j));
      acc1 = dot_step<T>(acc1, I32::load(query + j + kChunk), load_dot(x + j + kChunk));
    }
    for (; j < base_.dims; j += kChunk) acc0 = dot_step<T>(acc0, I32::load(query + j), load_dot_part(x + j, base_.dims - j));
    return acc0.sum() + acc1.sum();
  }

  Matrix base_, queries_;
  int64_t groups_ = 0;
  size_t panel_terms_ = 0, tile_terms_ = 0, query_terms_ = 0;
};

}  // namespace annk::ANNK_ISA
