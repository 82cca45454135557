// SPDX-License-Identifier: Apache-2.0
// Float keys of f32, f16, bf16, i8 and u8 rows: elements widen to float32, and each (query, row) pair is a sum of
// chains of fused multiply-adds over the dimensions in ascending order, whichever of the two loops below makes it.
#pragma once
#include <algorithm>

#include "cpu/distance/distance_computer.h"
#include "cpu/simd/elements.h"
#include "cpu/simd/pack.h"
#include "cpu/simd/vec.h"
#include "metric/all.h"

namespace annk::ANNK_ISA {

// One chain of a tile: on top of `out`, unless it is the first. tile: [dims][kTileRows]. panel: [dims][2 * kLanes]. Two
// dimensions a round: of sqeuclidean's 35 instructions a dimension on AVX2, 3 count and jump, where 6 cycles of
// multiply-adds leave time for 36.
template <class Step>
void float_chain(const float* tile, const float* panel, int64_t dims, bool first, float* out) {
  F32 acc[kTileRows][2];
#pragma GCC unroll 14
  for (int r = 0; r < kTileRows; ++r)
    for (int half = 0; half < 2; ++half)
      acc[r][half] = Step::kKeepsNan || first ? F32::zero() : F32::load(out + (2 * r + half) * kLanes);
#pragma GCC unroll 2
  for (int64_t j = 0; j < dims; ++j, tile += kTileRows, panel += 2 * kLanes) {
    const F32 query0 = F32::load(panel), query1 = F32::load(panel + kLanes);
#pragma GCC unroll 14
    for (int r = 0; r < kTileRows; ++r) {
      const F32 row = F32::broadcast(tile[r]);
      acc[r][0] = Step::step(acc[r][0], query0, row);
      acc[r][1] = Step::step(acc[r][1], query1, row);
    }
  }
  if (Step::kKeepsNan && !first)
#pragma GCC unroll 14
    for (int r = 0; r < kTileRows; ++r)
      for (int half = 0; half < 2; ++half) acc[r][half] = F32::load(out + (2 * r + half) * kLanes) + acc[r][half];
#pragma GCC unroll 14
  for (int r = 0; r < kTileRows; ++r) {
    acc[r][0].store(out + r * 2 * kLanes);
    acc[r][1].store(out + r * 2 * kLanes + kLanes);
  }
}

// All chains of these dimensions; the last may be shorter. continues: `out` holds what the dimensions before these come to.
template <class Step>
void float_tile(const float* tile, const float* panel, int64_t dims, int64_t chain, bool continues, float* out) {
  for (int64_t j = 0; j == 0 || j < dims; j += chain)
    float_chain<Step>(tile + j * kTileRows, panel + j * 2 * kLanes, std::min(chain, dims - j), !continues && j == 0, out);
}

inline constexpr int64_t kAheadBytes = 384;

// Rows in lanes: kLanes rows are transposed in registers, kLanes dimensions at a time, for Q queries. The kLanes rows
// at `next` are fetched in the order of their addresses: hardware does not follow kLanes streams at once, and fetching
// along them is half as fast (Zen 4, 384 float32 dimensions: 73 ns a row this way, 150 along the rows, 225 without). They
// pass L2 by: 41 GB/s for one thread and 52 for two, where 27 and 41 came through it (Zen 5). Rows that do not lie together
// have no such order: what is read kAheadBytes further on is asked for, in the rows themselves or, near their end, in those
// named by `ahead`, if any are to come (Zen 5, 384 float32 dimensions, searches of a graph: 205 us a query with whole rows
// asked for a group ahead, 198, 164 and 175 with 256, 384 and 512 bytes). A choice of the two within the loop costs a
// quarter of the speed. check: NaN or not 0 where one of the rows may hold NaN or infinity; a sum that overflowed shows,
// too.
template <class Step, bool kNorms, int Q, bool kAdjacent, class T>
void score_in_lanes(const T* const* rows, const T* next, const T* const* ahead, int64_t dims, const float* const* queries,
                    float* acc_out, float* norms, F32& check) {
  F32 acc[Q], norm = F32::zero(), sum[Q], norm_sum = F32::zero();
#pragma GCC unroll 4
  for (int q = 0; q < Q; ++q) acc[q] = sum[q] = F32::zero();
  const int64_t chain = Step::kKeepsNan ? chain_dims(dims) : dims;
  int64_t chain_end = chain;
  auto end_chain = [&]() __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int q = 0; q < Q; ++q) {
      sum[q] = sum[q] + acc[q];
      acc[q] = F32::zero();
    }
    if constexpr (kNorms) {
      norm_sum = norm_sum + norm;
      norm = F32::zero();
    }
    chain_end += chain;
  };
  auto take = [&](const F32(&block)[kLanes], int64_t j) __attribute__((always_inline)) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
#pragma GCC unroll 4
      for (int q = 0; q < Q; ++q) acc[q] = Step::step(acc[q], F32::broadcast(queries[q][j + i]), block[i]);
      if constexpr (kNorms) norm = multiply_add(block[i], block[i], norm);
      if constexpr (!Step::kKeepsNan) check = multiply_add(block[i], F32::zero(), check);
    }
  };
  const int64_t padded = (dims + kLanes - 1) / kLanes * kLanes;
  constexpr int64_t kMostLead = kAheadBytes / static_cast<int64_t>(sizeof(T));
  const int64_t lead = padded < kMostLead ? padded : kMostLead;
  int64_t j = 0;
  for (; j + kLanes <= dims; j += kLanes) {
    if (Step::kKeepsNan && j == chain_end) end_chain();
    F32 block[kLanes];
    load_transposed(rows, j, block);
#pragma GCC unroll 16
    for (int r = 0; r < kLanes; ++r) {
      if constexpr (kAdjacent)
        fetch_once(next + (j + r) * kLanes);
      else if (j + lead < dims)
        fetch(rows[r] + j + lead);
      else if (ahead != nullptr)
        fetch(ahead[r] + (j + lead - padded));
    }
    take(block, j);
  }
  if (j < dims) {
    if (Step::kKeepsNan && j == chain_end) end_chain();
    F32 block[kLanes];
    for (int r = 0; r < kLanes; ++r) block[r] = load_part(rows[r] + j, dims - j);
    transpose(block);
    take(block, j);
  }
  if constexpr (Step::kKeepsNan) {
#pragma GCC unroll 4
    for (int q = 0; q < Q; ++q) acc[q] = sum[q] + acc[q];
    if constexpr (kNorms) norm = norm_sum + norm;
  }
#pragma GCC unroll 4
  for (int q = 0; q < Q; ++q) {
    acc[q].store(acc_out + q * kLanes);
    if constexpr (Step::kKeepsNan) check = multiply_add(acc[q], F32::zero(), check);
  }
  if constexpr (kNorms) norm.store(norms);
}

template <class M>
class FloatTiles final : public DistanceComputer {
 public:
  FloatTiles(const Matrix& base, const Matrix& queries) : base_(base), queries_(queries) {
    row_bytes = row_bytes_of(base);
    tile_rows = kTileRows;
    lanes = 2 * kLanes;
    row_major_up_to = 12;
    const size_t dims = static_cast<size_t>(base.dims);
    panel_bytes = round_up(dims * 2 * kLanes * sizeof(float), 64);
    tile_bytes = round_up((dims * kTileRows + kTileRows) * sizeof(float) + kPackSlack, 64);
    query_bytes = round_up(dims * sizeof(float), 64);
    chain_ = M::Step::kKeepsNan ? chain_dims(base.dims) : kPieceDims;
    const int64_t pieces = std::max<int64_t>((base.dims + kPieceDims - 1) / kPieceDims, 1);
    piece_ = static_cast<int64_t>(
        round_up(static_cast<size_t>(std::max<int64_t>((base.dims + pieces - 1) / pieces, 1)), static_cast<size_t>(chain_)));
    tile_group = static_cast<int>(std::clamp<int64_t>(kGroupBytes / static_cast<int64_t>(tile_bytes), 1, kMostGroup));
  }

  void pack_panel(int64_t first, int count, void* panel) const override {
    __builtin_memset(panel, 0, panel_bytes);
    visit_elements(queries_.dtype, nullptr, [&]<class T>(const T*) {
      for (int from = 0; from < count; from += kLanes)
        pack_lanes<T>(first + from, std::min(kLanes, count - from), static_cast<float*>(panel) + from);
    });
  }

  bool pack_tile(const RowList& rows, void* tile) const override {
    return visit_elements(base_.dtype, nullptr,
                          [&]<class T>(const T*) { return pack_elements<T>(rows, static_cast<float*>(tile)); });
  }

  void keys(const void* tile, const void* panel, float* out) const override { keys_of_tiles(tile, 1, panel, out); }

  // By pieces of the dimensions: a piece of the panel stays in L1 while all tiles of the group pass it.
  void keys_of_tiles(const void* tiles, int count, const void* panel, float* out) const override {
    auto tile = [&](int t) { return reinterpret_cast<const float*>(static_cast<const char*>(tiles) + t * tile_bytes); };
    const int64_t dims = base_.dims;
    for (int64_t j = 0; j == 0 || j < dims; j += piece_)
      for (int t = 0; t < count; ++t)
        float_tile<typename M::Step>(tile(t) + j * kTileRows, static_cast<const float*>(panel) + j * 2 * kLanes,
                                     std::min(piece_, dims - j), chain_, j > 0, out + t * kTileRows * 2 * kLanes);
    for (int t = 0; t < count; ++t, out += kTileRows * 2 * kLanes) {
      const float* const terms = tile(t) + dims * kTileRows;
      for (int r = 0; r < kTileRows; ++r)
        for (int l = 0; l < 2 * kLanes; ++l) out[r * 2 * kLanes + l] = M::key(out[r * 2 * kLanes + l], terms[r]);
    }
  }

  void write_query(int64_t first, int count, void* packed) const override {
    __builtin_memset(packed, 0, query_bytes * round_up(count, kQueryStep));
    for (int q = 0; q < count; ++q)
      write_query(first + q, reinterpret_cast<float*>(static_cast<char*>(packed) + q * query_bytes));
  }

  bool score_rows(PackedQueries queries, int count, const RowList& rows, float* out, int64_t stride) const override {
    const void* const packed = queries.data();
    bool fit = true;
    visit_elements(base_.dtype, nullptr, [&]<class T>(const T*) {
      for (int i = 0; i < rows.count; i += kLanes) {
        const int here = rows.count - i < kLanes ? rows.count - i : kLanes;
        const T* row[kLanes];
        for (int r = 0; r < kLanes; ++r) row[r] = reinterpret_cast<const T*>(base_.row(rows[i + (r < here ? r : here - 1)]));
        float* to = out + i;
        F32 check = F32::zero();
        const T* after[kLanes];
        const T* const* ahead = nullptr;
        if (rows.ids != nullptr && i + kLanes < rows.count) {
          for (int r = 0; r < kLanes; ++r)
            after[r] =
                reinterpret_cast<const T*>(base_.row(rows[i + kLanes + r < rows.count ? i + kLanes + r : rows.count - 1]));
          ahead = after;
        }
        if (count == 1)
          score_group<1>(packed, row, ahead, rows.part(i, here), to, stride, 1, check);
        else
          for (int q = 0; q < count; q += kQueryStep)
            score_group<kQueryStep>(static_cast<const char*>(packed) + q * query_bytes, row, ahead, rows.part(i, here),
                                    to + q * stride, stride, count - q, check);
        if (!finite(check)) [[unlikely]]
          for (int r = 0; r < here; ++r) {
            fit = fit && row_is_finite(row[r], base_.dims);
            if (!M::Step::kKeepsNan && row_has_nan(row[r], base_.dims))
              for (int q = 0; q < count; ++q) to[q * stride + r] = NAN;
          }
      }
    });
    return fit;
  }

  // Of the rows that score_rows reads first, as much as it does not prefetch itself; a row on its own is prefetched as a
  // whole.
  void prefetch(const RowList& rows) const override {
    const int64_t bytes = rows.count == 1 ? row_bytes : row_bytes < kAheadBytes ? row_bytes : kAheadBytes;
    for (int i = 0; i < rows.count && i < kLanes; ++i)
      for (int64_t at = 0; at < bytes; at += 64) fetch(base_.row(rows[i]) + at);
  }

 private:
  // Half of a 32 KB L1 holds a piece of a panel; a group of tiles takes a sixteenth of a 512 KB L2.
  static constexpr int64_t kPieceDims = (16 << 10) / (2 * kLanes * sizeof(float)), kGroupBytes = 32 << 10, kMostGroup = 8;

  // `count` queries as the first lanes of `out`, as widen_query gives them.
  template <class T>
  void pack_lanes(int64_t first, int count, float* out) const {
    const int64_t dims = base_.dims;
    const T* row[kLanes];
    for (int q = 0; q < kLanes; ++q) row[q] = reinterpret_cast<const T*>(queries_.row(first + (q < count ? q : count - 1)));
    F32 sum = F32::zero(), chains = F32::zero();
    const int64_t chain = chain_dims(dims);
    for (int64_t j = 0; j < dims; j += kLanes) {
      if ((j & (chain - 1)) == 0) chains = chains + sum, sum = F32::zero();
      F32 block[kLanes];
      for (int q = 0; q < kLanes; ++q) block[q] = load_part(row[q] + j, dims - j);
      transpose(block);
      for (int i = 0; i < kLanes && i < dims - j; ++i) {
        block[i].store(out + (j + i) * 2 * kLanes);
        if constexpr (M::kTerm == Term::inverse_norm) sum = multiply_add(block[i], block[i], sum);
      }
    }
    if constexpr (M::kTerm == Term::inverse_norm) {
      float inverse[kLanes];
      (chains + sum).store(inverse);
      for (int q = 0; q < kLanes; ++q)
        inverse[q] = row_inverse_norm(queries_, first + (q < count ? q : count - 1), inverse[q]);
      const F32 scale = F32::load(inverse);
      for (int64_t j = 0; j < dims; ++j, out += 2 * kLanes) (F32::load(out) * scale).store(out);
    }
    if constexpr (!M::Step::kKeepsNan)  // it forgets NaN, but for the last
      for (int q = 0; q < count; ++q)
        if (row_has_nan(row[q], dims))
          for (int64_t j = 0; j < dims; ++j) out[j * 2 * kLanes + q] = NAN;
  }
  // Rows of a tile, under such a step.
  void keep_nan(int64_t rows, float* tile) const {
    for (int r = 0; r < rows; ++r)
      for (int64_t j = 0; j < base_.dims; ++j)
        if (tile[j * kTileRows + r] != tile[j * kTileRows + r]) tile[(base_.dims - 1) * kTileRows + r] = NAN;
  }
  void write_query(int64_t q, float* out) const {
    widen_query(queries_, q, M::kTerm, out);
    if (!M::Step::kKeepsNan &&
        row_has_nan(out, queries_.dims))  // zeros behind the last dimension are multiplied by zeros of rows
      for (size_t j = 0; j < query_bytes / sizeof(float); ++j) out[j] = NAN;
  }

  // Rows that lie one behind the other, without gaps.
  ANNK_HD bool adjacent(const RowList& rows) const {
    return rows.ids == nullptr && base_.stride == base_.dims * kDTypeBits[static_cast<int>(base_.dtype)] / 8;
  }

  // Keys of min(Q, count) queries against at most kLanes rows.
  template <int Q, class T>
  ANNK_HD void score_group(const void* packed, const T* const* row, const T* const* ahead, const RowList& rows, float* out,
                           int64_t stride, int count, F32& check) const {
    const float* queries[Q];
    for (int q = 0; q < Q; ++q)
      queries[q] = reinterpret_cast<const float*>(static_cast<const char*>(packed) + q * query_bytes);
    constexpr bool kNorms = M::kTerm == Term::inverse_norm;
    float acc[Q * kLanes], terms[kLanes] = {};
    const T* next = reinterpret_cast<const T*>(base_.row(rows[0] + kLanes));
    if (adjacent(rows))
      score_in_lanes<typename M::Step, kNorms, Q, true>(row, next, ahead, base_.dims, queries, acc, terms, check);
    else
      score_in_lanes<typename M::Step, kNorms, Q, false>(row, next, ahead, base_.dims, queries, acc, terms, check);
    if constexpr (kNorms)
      for (int r = 0; r < rows.count; ++r) terms[r] = row_inverse_norm(base_, rows[r], terms[r]);
    for (int q = 0; q < Q && q < count; ++q)
      for (int r = 0; r < rows.count; ++r) out[q * stride + r] = M::key(acc[q * kLanes + r], terms[r]);
  }

  template <class T>
  bool pack_elements(const RowList& rows, float* tile) const {
    const int64_t dims = base_.dims;
    const T* row[kTileRows];
    for (int r = 0; r < kTileRows; ++r)
      row[r] = reinterpret_cast<const T*>(base_.row(rows[r < rows.count ? r : rows.count - 1]));
    F32 check = F32::zero();
    if (adjacent(rows)) fetch_rows(base_, rows[0] + kTileRows * tile_group);
    pack_transposed(
        dims, tile,
        [&](int r, int64_t j) {
          const F32 values = load_widened(row[r] + j);
          check = multiply_add(values, F32::zero(), check);
          return values;
        },
        [&](int r, int64_t j) {
          const F32 part = load_part(row[r] + j, dims - j);
          check = multiply_add(part, F32::zero(), check);
          return part;
        });
    float* terms = tile + dims * kTileRows;
    for (int r = 0; r < kTileRows; ++r) terms[r] = 0.0f;
    if constexpr (M::kTerm == Term::inverse_norm) row_terms(rows, tile, terms);
    if (finite(check)) return true;
    if constexpr (!M::Step::kKeepsNan) keep_nan(rows.count, tile);
    return false;
  }

  // The rows' sums of squares, kLanes rows at a time; lanes past kTileRows hold numbers without meaning.
  void row_terms(const RowList& rows, const float* tile, float* terms) const {
    for (int from = 0; from < kTileRows; from += kLanes) {
      F32 sum = F32::zero();
      const int64_t chain = chain_dims(base_.dims);
      for (int64_t begin = 0; begin < base_.dims; begin += chain) {
        F32 own = F32::zero();
        for (int64_t j = begin; j < begin + chain && j < base_.dims; ++j) {
          const F32 x = F32::load(tile + j * kTileRows + from);
          own = multiply_add(x, x, own);
        }
        sum = sum + own;
      }
      float sums[kLanes];
      sum.store(sums);
      for (int r = from; r < rows.count && r < from + kLanes; ++r)
        terms[r] = row_inverse_norm(base_, rows[r], sums[r - from]);
    }
  }

  Matrix base_, queries_;
  int64_t chain_ = 1, piece_ = 1;  // dimensions; a piece is whole chains
};

}  // namespace annk::ANNK_ISA
