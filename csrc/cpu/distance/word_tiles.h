// SPDX-License-Identifier: Apache-2.0
// Keys of packed bit rows where an instruction counts bits: queries' words in lanes, each combined with a row's.
#pragma once
#include "cpu/distance/bit_rows.h"

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

template <class M>
class WordTiles final : public BitRows<M> {
  using DistanceComputer::lanes, DistanceComputer::panel_bytes, DistanceComputer::tile_bytes, BitRows<M>::words_,
      BitRows<M>::row_bytes;

 public:
  WordTiles(const Matrix& base, const Matrix& queries) : BitRows<M>(base, queries) {
    DistanceComputer::tile_rows = kBitTileRows;
    lanes = 2 * kWords;
    DistanceComputer::row_major_up_to = 3;
    panel_bytes = round_up(static_cast<size_t>(words_) * lanes * 8 + lanes * sizeof(int32_t), 64);
    tile_bytes = round_up(static_cast<size_t>(words_) * kBitTileRows * 8 + kBitTileRows * sizeof(int32_t), 64);
  }

  void pack_panel(int64_t first, int count, void* panel) const override {
    __builtin_memset(panel, 0, panel_bytes);
    pack<2 * kWords>(this->queries_, {nullptr, first, count}, static_cast<uint64_t*>(panel));
  }
  bool pack_tile(const RowList& rows, void* tile) const override {
    pack<kBitTileRows>(this->base_, rows, static_cast<uint64_t*>(tile));
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

 private:
  template <int N>
  void pack(const Matrix& m, const RowList& rows, uint64_t* out) const {
    int32_t* counts = reinterpret_cast<int32_t*>(out + words_ * N);
    const int64_t full_words = row_bytes / 8;
    for (int r = 0; r < rows.count; ++r) {
      const unsigned char* x = m.row(rows[r]);
      int64_t count = 0;
      for (int64_t w = 0; w < words_; ++w) {
        uint64_t word = 0;
        __builtin_memcpy(&word, x + w * 8, w < full_words ? 8 : row_bytes % 8);
        out[w * N + r] = word;
        if constexpr (M::kTerm == Term::popcount) count += __builtin_popcountll(word);
      }
      counts[r] = static_cast<int32_t>(count);
    }
  }
};

template <class M>
using BitTiles = WordTiles<M>;

}  // namespace annk::ANNK_ISA
