// SPDX-License-Identifier: Apache-2.0
// Keys of product-quantized rows from look-up tables, which hold what each codeword of each part adds to a query's key:
//   sqeuclidean, euclidean   T[s][c] = sum over the dimensions j of part s, ascending, of (q_j - codebook[s, j, c])^2
//   inner_product, cosine    T[s][c] = 0 - the sum of q_j codebook[s, j, c];  q over its norm under cosine
// with q rotated as rows are, in float32, not fused; its norm is from a float64 sum16.
//
// 8 bits: a key is the sum of T[s][code_s] over ascending s, one float32 chain.
// 4 bits: T is rounded to 7 bits, so that two entries add up in a byte. With low_s = min over c of T[s][c], span = max over
// s and c of T[s][c] - low_s,
//   B[s][c] = rint((T[s][c] - low_s) (127 / span)), at most 127
//   key = bias + (span / 127) (float)(sum of B[s][code_s])
// where bias = sum of low_s in float64 (sum16). The sum is of integers: the same on every level. T is kept within 2^126.
// A span below 2^-100 is rounded at 2^64 times its size, so that float32 holds its steps.
// (Of 8, 7 and 6 bits on 384-dimensional text embeddings in 192 parts, recall@10 is .8362, .8356 and .8352; unrounded
// .8360.) Then sqeuclidean is the key, euclidean its root, inner_product the key, cosine 1 + key * inverse norm of the row,
// within [0, 2]. Where a store made for cosine has rows far from zero, what the query has along their mean is taken out of q
// before the table is made, and is multiplied by the row's tilt unrounded: (1 - along) + along * tilt + key * inverse norm.
#pragma once
#include "cpu/distance/distance_computer.h"
#include "cpu/distance/float_tiles.h"
#include "cpu/simd/nibble_sums.h"
#include "metric/all.h"
#include "store/pq.h"

namespace annk::ANNK_ISA {

// What both layouts share: a query's table.
template <class M>
class PqTables : public DistanceComputer {
 protected:
  PqTables(const Dataset& base, const Matrix& queries) : view_(base), queries_(queries) {
    tile_rows = 1;
    lanes = 1;
    row_major_up_to = INT32_MAX;  // rows lie in lanes, however many queries there are
    scratch_floats_ = 2 * static_cast<size_t>(base.dims);
    if (splits()) mean_length_ = static_cast<float>(sqrt(product16(view_.mean, view_.mean, base.dims)));
  }

  static constexpr float kMostNibble = 127.0f;

  // table[s * codewords + c]. scratch: room for the query, twice.
  PqShare make_table(int64_t q, float* table, float* scratch) const {
    const Parts& parts = view_.parts;
    const int64_t many = view_.codewords;
    float* query = scratch;
    widen_query(queries_, q, Term::none, query);
    double scale = 1.0;
    if constexpr (M::kMetric == Metric::cosine) scale = wide_inverse_norm(product16(query, query, parts.dims));
    if (M::kMetric == Metric::cosine && !splits())
      for (int64_t j = 0; j < parts.dims; ++j) query[j] = query[j] * static_cast<float>(scale);
    if (view_.rotation != nullptr) {
      view_.rotate(query, scratch + parts.dims);
      query = scratch + parts.dims;
    }
    PqShare share{1.0f, 0.0f};
    if (splits()) {
      const MeanSplit split(scale, product16(query, view_.mean, parts.dims), mean_length_);
      for (int64_t j = 0; j < parts.dims; ++j) query[j] = split.across(query[j], view_.mean[j]);
      share = {static_cast<float>(1.0 - split.along), static_cast<float>(split.along)};
    }
    constexpr int kTogether = 4;
    for (int64_t s = 0; s < parts.parts; ++s) {
      const float *const part = query + parts.first(s), *const words = view_.codebook_of(s);
      float* const out = table + s * many;
      if (many % (kTogether * kLanes) == 0)
        for (int64_t c = 0; c < many; c += kTogether * kLanes)
          make_entries<kTogether>(part, words + c, parts.width(s), out + c);
      else
        for (int64_t c = 0; c < many; c += kLanes) make_entries<1>(part, words + c, parts.width(s), out + c);
    }
    return share;
  }

  // kMany registers of codewords at once hide the latency of their chains.
  template <int kMany>
  ANNK_HD void make_entries(const float* query, const float* words, int64_t width, float* out) const {
    F32 sum[kMany];
#pragma GCC unroll 4
    for (int i = 0; i < kMany; ++i) sum[i] = F32::zero();
    for (int64_t j = 0; j < width; ++j, words += view_.codewords) {
      const F32 value = F32::broadcast(query[j]);
#pragma GCC unroll 4
      for (int i = 0; i < kMany; ++i) {
        const F32 word = F32::load(words + i * kLanes);
        if constexpr (M::kFromProduct)
          sum[i] = sum[i] - value * word;
        else
          sum[i] = sum[i] + (value - word) * (value - word);
      }
    }
#pragma GCC unroll 4
    for (int i = 0; i < kMany; ++i) sum[i].store(out + i * kLanes);
  }

  static constexpr bool kFinishes = M::kMetric == Metric::euclidean || M::kMetric == Metric::cosine;
  // The distance's key, from the sum of the table.
  ANNK_HD float finish(float key, const PqShare& query, int64_t row) const {
    if constexpr (M::kMetric == Metric::euclidean) return sqrtf(key);
    if constexpr (M::kMetric == Metric::cosine)
      return pq_cosine(key, query, view_.norms[row], splits() ? view_.tilts[row] : 0.0f);
    static_assert(is_one_of<M, Metric::sqeuclidean, Metric::euclidean, Metric::inner_product, Metric::cosine>);
    return key;
  }

  // The same of all rows, or of `count` adjacent ones, in place.
  void finish(float* keys, const RowList& rows, const PqShare& query) const {
    if (rows.ids == nullptr || M::kMetric == Metric::euclidean) return finish(keys, rows.count, query, rows.first);
    for (int i = 0; i < rows.count; ++i) keys[i] = finish(keys[i], query, rows[i]);
  }
  void finish(float* keys, int64_t count, const PqShare& query, int64_t first) const {
    if constexpr (M::kMetric == Metric::euclidean)
      for (int64_t i = 0; i < count; ++i) keys[i] = sqrtf(keys[i]);
    if constexpr (M::kMetric == Metric::cosine) {
      const float *const norms = view_.norms + first, *const tilts = splits() ? view_.tilts + first : nullptr;
      const F32 start = F32::broadcast(query.start), along = F32::broadcast(query.along), two = F32::broadcast(2.0f);
      int64_t i = 0;
      for (; i + kLanes <= count; i += kLanes)
        pq_cosine(F32::load(keys + i), start, along, F32::load(norms + i),
                  tilts != nullptr ? F32::load(tilts + i) : F32::zero(), F32::zero(), two)
            .store(keys + i);
      for (; i < count; ++i) keys[i] = finish(keys[i], query, first + i);
    }
  }
  ANNK_HD bool splits() const { return M::kMetric == Metric::cosine && view_.tilts != nullptr; }

  PqView view_;
  Matrix queries_;
  size_t scratch_floats_;
  float mean_length_ = 1.0f;
};

// 8 bits. Four queries share a look-up: entry (s, c) of their tables is one register.
template <class M>
class PqRowTiles : public PqTables<M> {
  static constexpr int kRows = 8;  // as many chains at once hide the latency of an addition

 public:
  using PqTables<M>::view_;
  PqRowTiles(const Dataset& base, const Matrix& queries) : PqTables<M>(base, queries) {
    this->row_bytes = PqView::part_count(base);
    this->row_major_block = kQueryStep;  // 4 x 96 parts are 400 KB of tables: half of L2
    this->queries_apart = false;         // they lie in fours
    entries_ = static_cast<size_t>(view_.parts.parts * view_.codewords);
    this->query_bytes = round_up((2 * entries_ + this->scratch_floats_) * sizeof(float), 64) + 64;
  }

  void write_query(int64_t first, int count, void* packed) const override {
    if (count == 1) {
      share_of(packed, 1, 0) = this->make_table(first, own_table(packed, 1, 0), own_table(packed, 1, 0) + entries_);
      return;
    }
    for (int q = 0; q < count; q += kQueryStep) {
      float *const group = own_table(packed, 1, q), *const tables = own_table(packed, count, q);
      for (int l = 0; l < kQueryStep; ++l) {
        float* const table = tables + static_cast<size_t>(l) * entries_;
        if (q + l < count)
          share_of(packed, count, q + l) =
              this->make_table(first + q + l, table, table + entries_);  // scratch where the next will be
        else
          __builtin_memset(table, 0, entries_ * sizeof(float));
      }
      for (size_t i = 0; i < entries_; ++i)
        for (size_t l = 0; l < kQueryStep; ++l) group[i * kQueryStep + l] = tables[l * entries_ + i];
    }
  }

  bool score_rows(PackedQueries queries, int count, const RowList& rows, float* out, int64_t stride) const override {
    constexpr int kAhead = 16;
    for (int i = 0; i < rows.count; i += kRows) {
      const int here = rows.count - i < kRows ? rows.count - i : kRows;
      const uint8_t* row[kRows];
      for (int r = 0; r < kRows; ++r) row[r] = code_row(rows[i + (r < here ? r : here - 1)]);
      for (int r = 0; rows.ids != nullptr && r < kRows && i + kAhead + r < rows.count; ++r)
        for (int64_t at = 0; at < view_.parts.parts; at += 64) fetch(code_row(rows[i + kAhead + r]) + at);
      for (int q = 0; q < count; q += kQueryStep) {
        const float* const group = group_of(queries.data(), q);
        alignas(16) float keys[kRows * kQueryStep];
        if (count == 1)
          sum_rows<float, kRows>(row, group, keys);
        else
          sum_rows<Four, kRows>(row, group, keys);
        const int step = count == 1 ? 1 : kQueryStep;
        if (count == 1 && here == kRows)
          __builtin_memcpy(out + i, keys, kRows * sizeof(float));
        else
          for (int l = 0; l < step && q + l < count; ++l)
            for (int r = 0; r < here; ++r) out[(q + l) * stride + i + r] = keys[r * step + l];
      }
    }
    if constexpr (PqTables<M>::kFinishes)
      for (int q = 0; q < count; ++q) this->finish(out + q * stride, rows, share_of(queries.data(), count, q));
    return true;
  }

 protected:
  // The four of a group lie interleaved in its first half; each by itself, where it was made, in its second half.
  const float* group_of(const void* packed, int q) const {
    return reinterpret_cast<const float*>(static_cast<const char*>(packed) + static_cast<size_t>(q) * this->query_bytes);
  }
  float* own_table(void* packed, int count, int q) const {
    float* const group = reinterpret_cast<float*>(static_cast<char*>(packed) +
                                                  static_cast<size_t>(q / kQueryStep * kQueryStep) * this->query_bytes);
    return count == 1 ? group : group + static_cast<size_t>(kQueryStep + q % kQueryStep) * entries_;
  }
  float* own_table(const void* packed, int count, int q) const { return own_table(const_cast<void*>(packed), count, q); }
  // At the end of a query's room, or of the room of its group.
  PqShare& share_of(const void* packed, int count, int q) const {
    const size_t room = static_cast<size_t>(count == 1 ? 1 : q / kQueryStep * kQueryStep + kQueryStep) * this->query_bytes;
    return reinterpret_cast<PqShare*>(static_cast<char*>(const_cast<void*>(packed)) + room -
                                      64)[count == 1 ? 0 : q % kQueryStep];
  }

  // Keys of rows under one of `count` packed queries.
  void own_keys(const void* packed, int count, int q, NearRows& rows) const {
    const float* const table = group_of(packed, q / kQueryStep * kQueryStep) + q % kQueryStep;
    constexpr int kTogether = 2;
    for (int i = 0; i < rows.count; i += kTogether) {
      const uint8_t* row[kTogether];
      float sums[kTogether];
      for (int r = 0; r < kTogether; ++r) row[r] = code_row(rows.ids[i + (i + r < rows.count ? r : 0)]);
      if (count == 1)
        sum_rows<float, kTogether>(row, table, sums);
      else
        sum_rows<float, kTogether, kQueryStep>(row, table, sums);
      for (int r = 0; r < kTogether && i + r < rows.count; ++r)
        rows.keys[i + r] = this->finish(sums[r], share_of(packed, count, q), rows.ids[i + r]);
    }
  }

  size_t entries_;

 private:
  typedef float Four __attribute__((vector_size(16)));

  const uint8_t* code_row(int64_t row) const { return view_.codes + row * view_.parts.parts; }

  // Entries are kStride apart.
  template <class V, int kMany, int kStride = 1>
  ANNK_HD void sum_rows(const uint8_t* const* rows, const float* table, float* keys) const {
    V sum[kMany] = {};
    const V* entry = reinterpret_cast<const V*>(table);
    for (int64_t s = 0; s < view_.parts.parts; ++s, entry += view_.codewords * kStride)
#pragma GCC unroll 8
      for (int r = 0; r < kMany; ++r) sum[r] += entry[rows[r][s] * kStride];
    __builtin_memcpy(keys, sum, sizeof sum);
  }
};

// 4 bits, in blocks.
template <class M>
class PqBlockTiles final : public PqTables<M> {
  struct Scale {
    float step, bias;
    PqShare share;
  };

 public:
  using PqTables<M>::view_, PqTables<M>::kMostNibble;
  PqBlockTiles(const Dataset& base, const Matrix& queries) : PqTables<M>(base, queries) {
    this->row_bytes = view_.code_parts / 2;
    this->row_major_block = 64;
    bytes_ = static_cast<size_t>(view_.block_bytes());
    scale_at_ = bytes_;
    float_at_ = scale_at_ + 64;
    this->query_bytes = round_up(
        float_at_ + (static_cast<size_t>(view_.parts.parts) * 16 + this->scratch_floats_ + kLanes) * sizeof(float), 64);
  }

  void write_query(int64_t first, int count, void* packed) const override {
    __builtin_memset(packed, 0, this->query_bytes * round_up(static_cast<size_t>(count), kQueryStep));
    for (int q = 0; q < count; ++q) {
      char* const query_at = static_cast<char*>(packed) + static_cast<size_t>(q) * this->query_bytes;
      float* const table = reinterpret_cast<float*>(query_at + float_at_);
      const PqShare share = this->make_table(first + q, table, table + view_.parts.parts * 16);
      Scale& scale = *reinterpret_cast<Scale*>(query_at + scale_at_);
      scale = round_table(table, reinterpret_cast<uint8_t*>(query_at));
      scale.share = share;
    }
  }

  bool score_rows(PackedQueries queries, int count, const RowList& rows, float* out, int64_t stride) const override {
    if (rows.ids == nullptr) {
      run_keys(queries.data(), count, rows.first, rows.first + rows.count, out, stride);
      return true;
    }
    // Of chosen rows, whole pairs of blocks are made: a row alone costs as many lines of memory.
    alignas(64) float keys[kNibbleRows * kQueryStep];
    for (int q = 0; q < count; q += kQueryStep) {
      const char* const group = static_cast<const char*>(queries.data()) + static_cast<size_t>(q) * this->query_bytes;
      const int here = count - q < kQueryStep ? count - q : kQueryStep;
      int64_t ready = -1;
      for (int i = 0; i < rows.count; ++i) {
        const int64_t pair = rows[i] / kNibbleRows, first = pair * kNibbleRows;
        const int64_t end = first + kNibbleRows < view_.rows ? first + kNibbleRows : view_.rows;
        if (pair != ready) run_keys(group, here, first, end, keys, kNibbleRows);
        ready = pair;
        for (int l = 0; l < here; ++l) out[(q + l) * stride + i] = keys[l * kNibbleRows + rows[i] - first];
      }
    }
    return true;
  }

  void prefetch(const RowList& rows) const override {
    if (rows.ids != nullptr || rows.count == 0) return;
    const uint8_t* const end = view_.block((rows.first + rows.count - 1) / kBlockRows) + bytes_;
    for (const uint8_t* at = view_.block(rows.first / kBlockRows); at < end; at += 64) __builtin_prefetch(at);
  }

 private:
  // The table is overwritten, and what lies behind it: the query, and room for kLanes.
  Scale round_table(float* table, uint8_t* bytes) const {
    constexpr float kMost = 0x1p126f;
    const int64_t parts = view_.parts.parts;
    const F32 high = F32::broadcast(kMost), low = F32::broadcast(-kMost);
    for (int64_t i = 0; i < parts * 16; i += kLanes) larger(smaller(F32::load(table + i), high), low).store(table + i);

    float *const lows = table + parts * 16, spans[kLanes];
    F32 spread = F32::zero();
    for (int64_t s = 0; s < parts; s += kLanes) {
      const F32 least = over_entries(table, s, [](F32 a, F32 b) __attribute__((always_inline)) { return smaller(a, b); });
      const F32 most = over_entries(table, s, [](F32 a, F32 b) __attribute__((always_inline)) { return larger(a, b); });
      spread = larger(most - least, spread);
      least.store(lows + s);
    }
    spread.store(spans);
    float span = 0.0f;
    for (const float width : spans) span = larger(width, span);

    // Next to 1.5 * 2^23 float32 holds whole numbers alone, to which additions round; their last bytes are the entries.
    const float lift = pq_lift(span);
    const F32 steps = F32::broadcast(span > 0.0f ? kMostNibble / (span * lift) : 0.0f),
              rounding = F32::broadcast(12582912.0f);
    for (int64_t s = 0; s < parts; ++s)
      for (int64_t i = s * 16; i < s * 16 + 16; i += kLanes) {
        const F32 entry = (F32::load(table + i) - F32::broadcast(lows[s])) * F32::broadcast(lift) * steps;
        (smaller(entry, F32::broadcast(kMostNibble)) + rounding).store(table + i);
      }
    for (int64_t i = 0; i < parts * 16; ++i) bytes[i] = static_cast<uint8_t>(bits_of_float(table[i]));
    return {
        span / kMostNibble, static_cast<float>(sum16(parts, [&](int64_t s) { return static_cast<double>(lows[s]); })), {}};
  }

  // `fold` of the 16 entries of parts s .. s + kLanes - 1, each in its lane; beyond the end, of the last part.
  template <class Fold>
  F32 over_entries(const float* table, int64_t s, Fold&& fold) const {
    const int64_t last = view_.parts.parts - 1;
    F32 block[kLanes];
#pragma GCC unroll 16
    for (int r = 0; r < kLanes; ++r) {
      const float* const values = table + (s + r < last ? s + r : last) * 16;
      block[r] = F32::load(values);
      for (int c = kLanes; c < 16; c += kLanes) block[r] = fold(block[r], F32::load(values + c));
    }
    transpose(block);
#pragma GCC unroll 16
    for (int i = 1; i < kLanes; ++i) block[0] = fold(block[0], block[i]);
    return block[0];
  }

  // Keys of rows [first, end), first's at out[0].
  void run_keys(const void* packed, int count, int64_t first, int64_t end, float* out, int64_t stride) const {
    for (int q = 0; q < count; q += kQueryStep) {
      const char* const group = static_cast<const char*>(packed) + static_cast<size_t>(q) * this->query_bytes;
      const int here = count - q < kQueryStep ? count - q : kQueryStep;
      for (int64_t at = first / kNibbleRows * kNibbleRows; at < end; at += kNibbleRows) {
        alignas(64) int32_t sums[kQueryStep * kNibbleRows];
        const int64_t b = at / kBlockRows;
        const uint8_t* const blocks[2] = {view_.block(b), view_.block(b + 1 < view_.blocks() ? b + 1 : b)};
        const uint8_t* const tables = reinterpret_cast<const uint8_t*>(group);
        if (count == 1)
          nibble_sums<1>(blocks, view_.code_parts / kPartStep, tables, this->query_bytes, sums);
        else
          nibble_sums<kQueryStep>(blocks, view_.code_parts / kPartStep, tables, this->query_bytes, sums);
        for (int l = 0; l < here; ++l) {
          const Scale scale =
              *reinterpret_cast<const Scale*>(group + static_cast<size_t>(l) * this->query_bytes + scale_at_);
          write_keys(sums + l * kNibbleRows, scale, at, first, end, out + (q + l) * stride);
        }
      }
    }
  }

  // Rows at .. at + 63, those of them in [first, end).
  ANNK_HD void write_keys(const int32_t* sums, Scale scale, int64_t at, int64_t first, int64_t end, float* out) const {
    alignas(64) float keys[kNibbleRows];
    const bool is_full = at >= first && at + kNibbleRows <= end;
    float* const to = is_full ? out + (at - first) : keys;
    const F32 step = F32::broadcast(scale.step), bias = F32::broadcast(scale.bias);
#pragma GCC unroll 4
    for (int i = 0; i < kNibbleRows; i += kLanes) (bias + step * to_f32(I32::load(sums + i))).store(to + i);
    const int64_t from = at > first ? at : first, last = at + kNibbleRows < end ? at + kNibbleRows : end;
    if (!is_full)
      for (int64_t row = from; row < last; ++row) out[row - first] = keys[row - at];
    this->finish(out + (from - first), last - from, scale.share, from);
  }

  size_t bytes_, scale_at_, float_at_;
};

}  // namespace annk::ANNK_ISA
