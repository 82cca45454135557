// SPDX-License-Identifier: Apache-2.0
// Packed bit rows: what word_tiles.h and nibble_tiles.h share. A few queries take the rows one by one.
#pragma once
#include "cpu/distance/distance_computer.h"
#include "cpu/simd/vec.h"
#include "metric/all.h"

namespace annk::ANNK_ISA {

inline int32_t popcount_of(const uint64_t* words, int64_t count) {
  int64_t sum = 0;
  for (int64_t w = 0; w < count; ++w) sum += __builtin_popcountll(words[w]);
  return static_cast<int32_t>(sum);
}

template <class M>
class BitRows : public DistanceComputer {
 public:
  void write_query(int64_t first, int count, void* packed) const override {
    __builtin_memset(packed, 0, query_bytes * count);
    for (int q = 0; q < count; ++q) {
      uint64_t* query = reinterpret_cast<uint64_t*>(static_cast<char*>(packed) + q * query_bytes);
      __builtin_memcpy(query, queries_.row(first + q), row_bytes);
      reinterpret_cast<int32_t*>(query + query_words_)[0] = popcount_of(query, words_);
    }
  }

  bool score_rows(PackedQueries queries, int count, const RowList& rows, float* out, int64_t stride) const override {
    const void* const packed = queries.data();
    for (int i = 0; i < rows.count; ++i) {
      const unsigned char* x = base_.row(rows[i]);
      const int32_t row_count = M::kTerm == Term::popcount ? count_bits(x, x) : 0;
      for (int q = 0; q < count; ++q) {
        const unsigned char* query = static_cast<const unsigned char*>(packed) + q * query_bytes;
        const int32_t query_count = *reinterpret_cast<const int32_t*>(query + query_words_ * 8);
        out[q * stride + i] = M::key(count_bits(query, x), query_count, row_count);
      }
    }
    return true;
  }

 protected:
  BitRows(const Matrix& base, const Matrix& queries) : base_(base), queries_(queries) {
    row_bytes = row_bytes_of(base);
    words_ = (base.dims / 8 + 7) / 8;
    query_words_ = static_cast<int64_t>(round_up(static_cast<size_t>(words_), kWords));
    query_bytes = round_up(static_cast<size_t>(query_words_) * 8 + sizeof(int32_t), 64);
  }

  // The set bits of combine(a, b) over a row's bytes; combine(a, a) counts those of a under "and".
  ANNK_HD int32_t count_bits(const unsigned char* a, const unsigned char* b) const {
    constexpr int64_t kStep = kWords * 8;
    const int64_t bytes = row_bytes;
    CountWord counter;
    int steps = 0;
    int64_t at = 0;
    for (; at + kStep <= bytes; at += kStep) {
      counter.add(M::combine(Word::load(a + at), Word::load(b + at)));
      if (++steps == CountWord::kFlushEvery) {
        counter.flush();
        steps = 0;
      }
    }
    if (at < bytes) {
      counter.flush();
      unsigned char rest_a[kStep] = {}, rest_b[kStep] = {};
      __builtin_memcpy(rest_a, a + at, static_cast<size_t>(bytes - at));
      __builtin_memcpy(rest_b, b + at, static_cast<size_t>(bytes - at));
      counter.add(M::combine(Word::load(rest_a), Word::load(rest_b)));
    }
    counter.flush();
    return counter.sum();
  }

  Matrix base_, queries_;
  int64_t words_ = 0, query_words_ = 0;
};

}  // namespace annk::ANNK_ISA
