// SPDX-License-Identifier: Apache-2.0
// A prefilter for scans of 8-bit product quantization: a second table of bytes bounds keys from below, 64 rows at a time,
// and only rows that the bound does not exclude have their keys made. No result changes by a bit. (Zen 5, 96 parts, one
// thread, nearest 10 of 115,659 text embeddings: the prefilter leaves less than 0.4% of the rows; a query takes 3.1 ns a row
// where it took 21, and 1.5 where it took 6.5 in a batch.)
//
// With T the table of a query (pq_tiles.h), low_s and high_s the extremes of T[s], span the largest high_s - low_s, and
//   most = min(127, 65,535 / parts), so that sums fit 16 bits,    scale = fl(most / span),
//   B[s][c] = floor(fl(fl(T[s][c] - low_s) scale)), at most `most`,
// the prefilter makes  bound = fl(low + step (float)(sum of B[s][code_s])),  step = fl(1 / scale), low = bias - slack, where
// bias is the sum of low_s, and a row is left out where finish(bound) > the limit, finish(x) being what turns the sum of a
// row's T into its key. That key is then greater than the limit, too: finish is made of rounded operations that do not
// decrease with x (cosine multiplies by a norm that is not negative), and bound <= the float32 chain of T, because with
// u = 2^-24 and A = sum over s of max(|low_s|, |high_s|)
//   step B[s][c] <= (T[s][c] - low_s)(1 + 4u)                                    : in all parts short of 8 u A
//   |chain - sum of T| <= (parts - 1) u A / (1 - parts u)                        : of parts - 1 additions
//   |bound - (low + step sum)| <= 2 u A + u |bound|, |low| rounded: u A          : short of 7 u A
// and slack = 2 (parts + 16) u A, twice of that. The sums above are made in float64, whose own error is 2^-29 of it.
// (Rounding to the nearest would bound no better: its error would have to be taken off.) Sums that left 16 bits would come
// out too small, which is slow, not wrong. Tables that are not finite, of sums beyond 1e30 or spans below 1e-30 are not
// prefiltered, and no more than 65,535 parts.
#pragma once
#include "core/buffer.h"
#include "cpu/distance/pq_tiles.h"
#include "cpu/simd/byte_sums.h"

namespace annk::ANNK_ISA {

#if defined(__AVX512VBMI__)
template <class M>
class PqPrefilterTiles final : public PqRowTiles<M> {
  struct Scale {
    float step, low;  // low: -infinity where the table is not prefiltered
  };
  static constexpr int kChunk = 32;        // parts of codes and of a table that stay in L1: 16 KB
  static constexpr int kAhead = 128;       // rows that are fetched ahead: from memory, a tenth faster than 64 or 256
  static constexpr int kWithinBlock = 16;  // 16 x 96 parts are 400 KB of bytes: half of L2
  static_assert(kByteRows == kRowBlock);

 public:
  using PqRowTiles<M>::view_;
  PqPrefilterTiles(const Dataset& base, const Matrix& queries) : PqRowTiles<M>(base, queries) {
    const int64_t parts = view_.parts.parts;
    strip_bytes_ = static_cast<int64_t>(round_up(static_cast<size_t>(parts), kByteStrip));
    byte_entries_ = round_up(entries_, 2 * static_cast<size_t>(view_.codewords));
    if (parts < 65536 && base.rows * parts >= strip_bytes_) this->below_block = kWithinBlock;
  }

  void write_query_below(int64_t first, int count, void* packed) const override {
    this->write_query(first, count, packed);
    for (int q = 0; q < count; ++q) {
      const float* const table = this->own_table(packed, count, q);
      uint8_t* const bytes = bytes_of(packed, count, q);
      const Scale scale = round_table(table, bytes);
      __builtin_memset(bytes + entries_, 0, byte_entries_ - entries_);
      *reinterpret_cast<Scale*>(bytes + byte_entries_) = scale;
    }
  }

  void score_rows_below(PackedQueriesBelow queries, int count, const RowList& rows, const float* limits,
                        NearRows* found) const override {
    const void* const packed = queries.data();
    ByteSums sums[kWithinBlock][kByteGroups];
    const int64_t parts = view_.parts.parts, most = view_.rows * parts - strip_bytes_;
    int readable = rows.count;
    if (rows.ids == nullptr && rows.count == kByteRows && (rows.first + kByteRows - 1) * parts <= most) {
      const AdjacentRows<uint8_t> codes{view_.codes + rows.first * parts, parts};
      sum_rows_of(packed, count, codes, codes[kAhead], limits, sums);
    } else {
      ChosenRows codes;
      readable = choose(rows, most, codes);
      sum_rows_of(packed, count, codes, nullptr, limits, sums);
    }
    for (int q = 0; q < count; q += kQueryStep) {
      const int here = count - q < kQueryStep ? count - q : kQueryStep;
      int all = 0;
      for (int l = q; l < q + here; ++l) {
        if (prefiltered(packed, count, l, limits[l]))
          leave_out(scale_of(packed, count, l), this->share_of(packed, count, l), sums[l], rows, readable, limits[l],
                    found[l]);
        else
          take_all(rows, found[l]);
        all += found[l].count;
      }
      // Four queries that share their look-ups take as long as one that does not.
      if (all >= rows.count) {
        for (int l = q; l < q + here; ++l) take_all(rows, found[l]);
        this->score_rows(this->written(this->group_of(packed, q)), count == 1 ? 1 : kQueryStep, rows, found[q].keys,
                         sizeof(NearRows) / sizeof(float));
      } else {
        for (int l = q; l < q + here; ++l) this->own_keys(packed, count, l, found[l]);
      }
    }
  }

 private:
  using PqRowTiles<M>::entries_;

  // A table of bytes takes the place of the float32 table that four are interleaved from, or lies behind the only one.
  uint8_t* bytes_of(void* packed, int count, int q) const {
    return reinterpret_cast<uint8_t*>(this->own_table(packed, count, q) + (count == 1 ? entries_ : 0));
  }
  const uint8_t* bytes_of(const void* packed, int count, int q) const {
    return bytes_of(const_cast<void*>(packed), count, q);
  }
  Scale scale_of(const void* packed, int count, int q) const {
    return *reinterpret_cast<const Scale*>(bytes_of(packed, count, q) + byte_entries_);
  }
  bool prefiltered(const void* packed, int count, int q, float limit) const {
    return limit < INFINITY && scale_of(packed, count, q).low > -INFINITY;
  }

  // bytes may be where the table is: 64 bytes are written once their 64 floats are read.
  Scale round_table(const float* table, uint8_t* bytes) const {
    constexpr Scale kNone{0.0f, -INFINITY};
    const int64_t parts = view_.parts.parts, many = view_.codewords;
    double bias = 0.0, size = 0.0;
    float span = 0.0f;
    F32 finite = F32::zero();
    Buffer<float> lows(static_cast<size_t>(parts));
    for (int64_t s = 0; s < parts; ++s) {
      F32 low = F32::load(table + s * many), high = low;
      for (int64_t c = 0; c < many; c += kLanes) {
        const F32 distances = F32::load(table + s * many + c);
        finite = finite + (distances - distances);
        low = smaller(low, distances);
        high = larger(high, distances);
      }
      alignas(64) float least[kLanes], most[kLanes];
      low.store(least);
      high.store(most);
      for (int l = 1; l < kLanes; ++l) {
        least[0] = least[l] < least[0] ? least[l] : least[0];
        most[0] = most[l] > most[0] ? most[l] : most[0];
      }
      lows[s] = least[0];
      bias += static_cast<double>(least[0]);
      size += static_cast<double>(-least[0] > most[0] ? -least[0] : most[0]);
      span = most[0] - least[0] > span ? most[0] - least[0] : span;
    }
    alignas(64) float odd[kLanes];
    finite.store(odd);
    for (int l = 0; l < kLanes; ++l)
      if (odd[l] != 0.0f) return kNone;
    if (!(size < 1e30) || !(span > 1e-30f)) return kNone;
    const float fits = static_cast<float>(65535 / parts), most = fits < kMostByte ? fits : kMostByte, scale = most / span;
    for (int64_t s = 0; s < parts; ++s)
      for (int64_t c = s * many; c < (s + 1) * many; c += 4 * kLanes) {
        F32 steps[4];
        for (int i = 0; i < 4; ++i)
          steps[i] = (F32::load(table + c + i * kLanes) - F32::broadcast(lows[s])) * F32::broadcast(scale);
        for (int i = 0; i < 4; ++i) store_bytes(steps[i], F32::broadcast(most), bytes + c + i * kLanes);
      }
    const double slack = 2.0 * static_cast<double>(parts + 16) * 0x1p-24 * size;
    return {1.0f / scale, static_cast<float>(bias - slack)};
  }

  // Rows past the last are it again. Strips are read whole, so those of the store's last rows, which begin behind `most`,
  // may end outside it: how many rows come before these, for which the first row stands in.
  int choose(const RowList& rows, int64_t most, ChosenRows& codes) const {
    int readable = 0;
    for (int i = 0; i < kByteRows; ++i) {
      const int64_t at = rows[i < rows.count ? i : rows.count - 1] * view_.parts.parts;
      codes.first[i] = view_.codes + (at <= most ? at : 0);
      readable += i < rows.count && at <= most;
      for (int64_t j = 0; j < view_.parts.parts; j += 64) fetch(codes.first[i] + j);
    }
    return readable;
  }

  template <class Rows>
  void sum_rows_of(const void* packed, int count, const Rows& rows, const uint8_t* next, const float* limits,
                   ByteSums (*sums)[kByteGroups]) const {
    const int64_t parts = view_.parts.parts;
    if (count == 1) {
      if (prefiltered(packed, 1, 0, limits[0])) sum_bytes(rows, parts, next, bytes_of(packed, 1, 0), sums[0]);
      return;
    }
    for (int q = 0; q < count; ++q)
      for (int g = 0; g < kByteGroups; ++g) sums[q][g] = ByteSums::zero();
    alignas(64) uint8_t codes[kChunk * kByteRows];
    for (int64_t s = 0; s < parts; s += kChunk) {
      const int64_t here = parts - s < kChunk ? parts - s : kChunk;
      transpose_rows(rows, s, here, next == nullptr ? nullptr : next + s * kByteRows, codes);
      for (int q = 0; q < count; ++q)
        if (prefiltered(packed, count, q, limits[q]))
          add_bytes(codes, here, bytes_of(packed, count, q) + s * view_.codewords, sums[q]);
    }
  }

  static void take_all(const RowList& rows, NearRows& found) {
    found.count = rows.count;
    for (int i = 0; i < rows.count; ++i) found.ids[i] = rows[i];
  }

  void leave_out(Scale scale, const PqShare& share, const ByteSums* sums, const RowList& rows, int readable, float limit,
                 NearRows& found) const {
    alignas(64) float bounds[kByteRows];
    for (int g = 0; g < kByteGroups; ++g) sums[g].store(bounds + g * 64);
    for (int i = 0; i < rows.count; ++i) {
      const float bound = scale.low + scale.step * bounds[i];
      bounds[i] = M::kMetric == Metric::euclidean && !(bound > 0.0f) ? 0.0f : bound;
    }
    this->finish(bounds, rows, share);
    found.count = 0;
    for (int i = 0; i < rows.count; i += kLanes) {
      uint32_t near = ~below(F32::broadcast(limit), F32::load(bounds + i));  // not below: bound <= limit
      if (i + kLanes > readable) near |= ~uint32_t{0} << (readable > i ? readable - i : 0);
      near &= rows.count - i < kLanes ? (1u << (rows.count - i)) - 1 : (1u << kLanes) - 1;
      for (; near != 0; near &= near - 1) found.ids[found.count++] = rows[i + __builtin_ctz(near)];
    }
  }

  int64_t strip_bytes_;
  size_t byte_entries_;  // the table of an odd number of parts is followed by zeros
};

template <class M>
using PqByteTiles = PqPrefilterTiles<M>;
#else
template <class M>
using PqByteTiles = PqRowTiles<M>;
#endif

}  // namespace annk::ANNK_ISA
