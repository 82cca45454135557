// SPDX-License-Identifier: Apache-2.0
// Keys of packed bit rows where no instruction counts bits. A nibble of a row names a table of 16 bytes: the bits of its
// combination with each nibble that a query may hold. One shuffle looks 4 * kLanes queries up in it, and nothing needs to
// be combined, shifted or masked: 2 operations for 4 bits of a register of queries, where counting the bits of combined
// words in place takes 4 (Zen 4, AVX2, 1,024 bits: 5.5 cycles a pair against 9).
#pragma once
#include "cpu/distance/bit_rows.h"

namespace annk::ANNK_ISA {

template <class M>
class NibbleTiles final : public BitRows<M> {
  using DistanceComputer::lanes, DistanceComputer::panel_bytes, DistanceComputer::tile_bytes, BitRows<M>::base_,
      BitRows<M>::queries_;
  static constexpr int kHalf = 2 * kLanes, kRegister = 2 * kHalf, kQueries = 2 * kRegister;
  static constexpr int64_t kByteSteps = 63;            // of at most 4 bits each fit a byte
  static constexpr int64_t kSteps = kByteSteps * 256;  // and so many fit 16 bits

 public:
  NibbleTiles(const Matrix& base, const Matrix& queries) : BitRows<M>(base, queries) {
    DistanceComputer::tile_rows = kBitTileRows;
    lanes = kQueries;
    DistanceComputer::row_major_up_to = kQueries * 3 / 8;
    steps_ = base.dims / 4;
    panel_bytes = round_up(static_cast<size_t>(steps_) * kQueries + sizeof(int32_t) * kQueries, 64);
    tile_bytes = round_up(sizeof(int32_t) * kBitTileRows + static_cast<size_t>(steps_) * kBitTileRows, 64);
    for (int row = 0; row < 16; ++row)
      for (int query = 0; query < 16; ++query)
        table_[row][query] = static_cast<unsigned char>(__builtin_popcount(static_cast<unsigned>(M::combine(query, row))));
  }

  // [steps][kQueries] nibbles, then the queries' counts: the low nibble of each byte of a query, then the high ones.
  void pack_panel(int64_t first, int count, void* panel) const override {
    __builtin_memset(panel, 0, panel_bytes);
    unsigned char* out = static_cast<unsigned char*>(panel);
    int32_t* counts = reinterpret_cast<int32_t*>(out + steps_ * kQueries);
    for (int q = 0; q < count; ++q) {
      const unsigned char* x = queries_.row(first + q);
      unsigned char* to = out + q / kRegister * kRegister + place(q % kRegister);
      for (int64_t j = 0; j < steps_ / 2; ++j) {
        to[j * kQueries] = x[j] & 15;
        to[(steps_ / 2 + j) * kQueries] = x[j] >> 4;
      }
      counts[q] = count_of(x);
    }
  }

  // The rows' counts, then [kBitTileRows][steps] offsets into table_. Rows that are missing repeat the last one.
  bool pack_tile(const RowList& rows, void* tile) const override {
    int32_t* counts = static_cast<int32_t*>(tile);
    unsigned char* out = static_cast<unsigned char*>(tile) + sizeof(int32_t) * kBitTileRows;
    for (int r = 0; r < kBitTileRows; ++r, out += steps_) {
      const unsigned char* x = base_.row(rows[r < rows.count ? r : rows.count - 1]);
      split(x, steps_ / 2, out, out + steps_ / 2);
      counts[r] = count_of(x);
    }
    return true;
  }

  void keys(const void* tile, const void* panel, float* out) const override {
    const int32_t* row_counts = static_cast<const int32_t*>(tile);
    const unsigned char* rows = static_cast<const unsigned char*>(tile) + sizeof(int32_t) * kBitTileRows;
    const unsigned char* queries = static_cast<const unsigned char*>(panel);
    const int32_t* query_counts = reinterpret_cast<const int32_t*>(queries + steps_ * kQueries);
    alignas(64) int32_t counts[kBitTileRows * kQueries];
    alignas(64) uint16_t sums[kBitTileRows * kQueries];
    if (steps_ == 0) __builtin_memset(counts, 0, sizeof counts);
    for (int64_t from = 0; from < steps_; from += kSteps) {
      count_steps(rows, queries, from, steps_ - from < kSteps ? steps_ : from + kSteps, sums);
      for (int i = 0; i < kBitTileRows * kQueries; ++i) counts[i] = sums[i] + (from == 0 ? 0 : counts[i]);
    }
    for (int r = 0; r < kBitTileRows; ++r) {
      const int32_t* row_counts_at = counts + r * kQueries;
#pragma GCC unroll 1
      for (int l = 0; l < kQueries; ++l) out[r * kQueries + l] = M::key(row_counts_at[l], query_counts[l], row_counts[r]);
    }
  }

 private:
  // Bytes widen as even ones and odd ones, which shall be the first and the second half of the queries.
  static ANNK_HD int place(int q) { return q < kHalf ? 2 * q : 2 * (q - kHalf) + 1; }

  // The offsets that the low and the high nibbles of a row stand for. Restrict: bytes may alias anything, and a loop that
  // isn't vectorized for it costs as much as 60 queries.
  static ANNK_HD void split(const unsigned char* __restrict x, int64_t bytes, unsigned char* __restrict low,
                            unsigned char* __restrict high) {
    for (int64_t j = 0; j < bytes; ++j) low[j] = static_cast<unsigned char>(x[j] << 4);
    for (int64_t j = 0; j < bytes; ++j) high[j] = x[j] & 0xf0;
  }

  ANNK_HD int32_t count_of(const unsigned char* x) const { return M::kTerm == Term::popcount ? this->count_bits(x, x) : 0; }

  void count_steps(const unsigned char* rows, const unsigned char* queries, int64_t from, int64_t end,
                   uint16_t* sums) const {
    __builtin_memset(sums, 0, sizeof(uint16_t) * kBitTileRows * kQueries);
    Bytes acc[kBitTileRows][2];
    while (from < end) {
#pragma GCC unroll 8
      for (int r = 0; r < kBitTileRows; ++r) acc[r][0] = acc[r][1] = Bytes::zero();
      const int64_t stop = end - from < kByteSteps ? end : from + kByteSteps;
      for (; from < stop; ++from) {
        const Bytes query0 = Bytes::load(queries + from * kQueries),
                    query1 = Bytes::load(queries + from * kQueries + kRegister);
#pragma GCC unroll 8
        for (int r = 0; r < kBitTileRows; ++r) {
          const Bytes table = Bytes::broadcast16(table_[0] + rows[r * steps_ + from]);
          acc[r][0].add(look_up(table, query0));
          acc[r][1].add(look_up(table, query1));
        }
      }
#pragma GCC unroll 8
      for (int r = 0; r < kBitTileRows; ++r) {
        acc[r][0].widen_to(sums + r * kQueries);
        acc[r][1].widen_to(sums + r * kQueries + kRegister);
      }
    }
  }

  alignas(64) unsigned char table_[16][16];
  int64_t steps_ = 0;
};

template <class M>
using BitTiles = NibbleTiles<M>;

}  // namespace annk::ANNK_ISA
