// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/view.h"
#include "cpu/simd/vec.h"

namespace annk::ANNK_ISA {

// Bytes behind a packed tile that pack_transposed may write to.
inline constexpr size_t kPackSlack = kLanes * 4;

// Asks for a line to be in L2 soon. Any address is allowed, also past the end of the rows.
ANNK_HD void fetch(const void* p) { __builtin_prefetch(p, 0, 2); }
// The same for a line that is read once and soon: past L2, which a stream would only fill.
ANNK_HD void fetch_once(const void* p) { __builtin_prefetch(p, 0, 0); }

// Where rows lie one behind the other, `stride` elements apart: reads as an array of pointers does.
template <class T>
struct AdjacentRows {
  const T* first;
  int64_t stride;
  ANNK_HD const T* operator[](int i) const { return first + i * stride; }
  // Out of sight of g++ 12, which else keeps a pointer to each row of an unrolled loop, more than there are registers.
  ANNK_HD AdjacentRows& operator+=(int rows) {
    first += rows * stride;
    asm("" : "+r"(first));
    return *this;
  }
};

// The tile of adjacent rows from `first` on, wanted when the present tile is done.
ANNK_HD void fetch_rows(const Matrix& m, int64_t first, int count = kTileRows) {
  const char* start = reinterpret_cast<const char*>(m.row(first));
  for (int64_t at = 0; at < count * m.stride; at += 64) fetch(start + at);
}

// tile[u][r] = unit u of row r, for kRows rows of 32-bit units, of which the first `whole` lie within the row. load(r, u)
// gives units u .. u + kLanes - 1 of row r as the lanes of an F32, load_last(r, u) the same where fewer are whole; no
// arithmetic is done on them.
template <int kRows = kTileRows, class Load, class LoadLast>
ANNK_HD void pack_transposed(int64_t units, int64_t padded, float* tile, Load&& load, LoadLast&& load_last) {
  // Where kRows < kLanes, a store runs over into the next unit, which is written after it.
  static_assert(kRows <= kLanes || kRows % kLanes == 0);
  int64_t u = 0;
  for (; u + kLanes <= padded; u += kLanes)
    for (int from = 0; from < kRows; from += kLanes) {
      F32 block[kLanes];
#pragma GCC unroll 16
      for (int r = 0; r < kLanes; ++r) block[r] = load(from + r < kRows ? from + r : kRows - 1, u);
      transpose(block);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) block[i].store(tile + (u + i) * kRows + from);
    }
  for (; u < units; u += kLanes)
    for (int from = 0; from < kRows; from += kLanes) {
      F32 block[kLanes];
      for (int r = 0; r < kLanes; ++r) block[r] = load_last(from + r < kRows ? from + r : kRows - 1, u);
      transpose(block);
      for (int i = 0; i < kLanes && i < units - u; ++i) block[i].store(tile + (u + i) * kRows + from);
    }
}
template <class Load, class LoadLast>
ANNK_HD void pack_transposed(int64_t units, float* tile, Load&& load, LoadLast&& load_last) {
  pack_transposed(units, units, tile, load, load_last);
}

}  // namespace annk::ANNK_ISA
