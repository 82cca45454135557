// SPDX-License-Identifier: Apache-2.0
// Keys of packed bit rows: set bits of a combination (xor, and) are counted word by word, exactly.
#pragma once
#include "metric/all.h"
#include "store/simd/vec.h"
#include "store/tiles.h"

namespace annk::ANNK_ISA {

// tile: [words][kBitTileRows]; panel: [words][2 * kWords].
template <class M>
void bit_tile(const uint64_t* tile, const uint64_t* panel, int64_t words, int32_t* out) {
  CountWord acc[kBitTileRows][2];
  for (int64_t from = 0; from < words; from += CountWord::kFlushEvery) {
    const int64_t end = words - from < CountWord::kFlushEvery ? words : from + CountWord::kFlushEvery;
    for (int64_t w = from; w < end; ++w) {
      const Word query0 = Word::load(panel + w * 2 * kWords), query1 = Word::load(panel + w * 2 * kWords + kWords);
#pragma GCC unroll 8
      for (int r = 0; r < kBitTileRows; ++r) {
        const Word row = Word::broadcast(tile + w * kBitTileRows + r);
        acc[r][0].add(M::combine(query0, row));
        acc[r][1].add(M::combine(query1, row));
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < kBitTileRows; ++r) {
      acc[r][0].flush();
      acc[r][1].flush();
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kBitTileRows; ++r) {
    acc[r][0].store(out + r * 2 * kWords);
    acc[r][1].store(out + r * 2 * kWords + kWords);
  }
}

inline int32_t popcount_of(const uint64_t* words, int64_t count) {
  int64_t sum = 0;
  for (int64_t w = 0; w < count; ++w) sum += __builtin_popcountll(words[w]);
  return static_cast<int32_t>(sum);
}

template <class M>
class BitTiles final : public Tiles {
 public:
  BitTiles(const Matrix& base, const Matrix& queries) : base_(base), queries_(queries) {
    row_bytes = row_bytes_of(base);
    tile_rows = kBitTileRows;
    lanes = 2 * kWords;
    few_queries = 3;
    words_ = (base.dims / 8 + 7) / 8;
    few_words_ = static_cast<int64_t>(round_up(static_cast<size_t>(words_), kWords));
    panel_bytes = round_up(static_cast<size_t>(words_) * lanes * 8 + lanes * sizeof(int32_t), 64);
    tile_bytes = round_up(static_cast<size_t>(words_) * kBitTileRows * 8 + kBitTileRows * sizeof(int32_t), 64);
    few_bytes = round_up(static_cast<size_t>(few_words_) * 8 + sizeof(int32_t), 64);
  }

  void pack_panel(int64_t first, int count, void* panel) const override {
    __builtin_memset(panel, 0, panel_bytes);
    pack<2 * kWords>(queries_, {nullptr, first, count}, static_cast<uint64_t*>(panel));
  }
  bool pack_tile(const RowList& rows, void* tile) const override {
    pack<kBitTileRows>(base_, rows, static_cast<uint64_t*>(tile));
    return true;
  }

  void keys(const void* tile, const void* panel, float* out) const override {
    const uint64_t* rows = static_cast<const uint64_t*>(tile);
    const uint64_t* queries = static_cast<const uint64_t*>(panel);
    alignas(64) int32_t counts[kBitTileRows * 2 * kWords];
    bit_tile<M>(rows, queries, words_, counts);
    const int32_t* row_counts = reinterpret_cast<const int32_t*>(rows + words_ * kBitTileRows);
    const int32_t* query_counts = reinterpret_cast<const int32_t*>(queries + words_ * 2 * kWords);
    for (int r = 0; r < kBitTileRows; ++r)
      for (int l = 0; l < 2 * kWords; ++l)
        out[r * 2 * kWords + l] = M::key(counts[r * 2 * kWords + l], query_counts[l], row_counts[r]);
  }

  void pack_few(int64_t first, int count, void* packed) const override {
    __builtin_memset(packed, 0, few_bytes * count);
    for (int q = 0; q < count; ++q) {
      uint64_t* own = reinterpret_cast<uint64_t*>(static_cast<char*>(packed) + q * few_bytes);
      __builtin_memcpy(own, queries_.row(first + q), row_bytes);
      reinterpret_cast<int32_t*>(own + few_words_)[0] = popcount_of(own, words_);
    }
  }

  bool few_keys(const void* packed, int count, const RowList& rows, float* out, int64_t stride) const override {
    for (int i = 0; i < rows.count; ++i) {
      const unsigned char* x = base_.row(rows[i]);
      const int32_t row_count = M::kTerm == Term::popcount ? count_bits(x, x) : 0;
      for (int q = 0; q < count; ++q) {
        const unsigned char* own = static_cast<const unsigned char*>(packed) + q * few_bytes;
        const int32_t query_count = *reinterpret_cast<const int32_t*>(own + few_words_ * 8);
        out[q * stride + i] = M::key(count_bits(own, x), query_count, row_count);
      }
    }
    return true;
  }

 private:
  template <int N>
  void pack(const Matrix& m, const RowList& rows, uint64_t* out) const {
    int32_t* counts = reinterpret_cast<int32_t*>(out + words_ * N);
    const int64_t whole = row_bytes / 8;
    for (int r = 0; r < rows.count; ++r) {
      const unsigned char* x = m.row(rows[r]);
      int64_t count = 0;
      for (int64_t w = 0; w < words_; ++w) {
        uint64_t word = 0;
        __builtin_memcpy(&word, x + w * 8, w < whole ? 8 : row_bytes % 8);
        out[w * N + r] = word;
        if constexpr (M::kTerm == Term::popcount) count += __builtin_popcountll(word);
      }
      counts[r] = static_cast<int32_t>(count);
    }
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
  int64_t words_ = 0, few_words_ = 0;
};

}  // namespace annk::ANNK_ISA
