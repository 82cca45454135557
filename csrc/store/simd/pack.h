// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/view.h"
#include "store/simd/vec.h"

namespace annk::ANNK_ISA {

// Bytes behind a packed tile that pack_transposed may write to.
inline constexpr size_t kPackSlack = kLanes * 4;

// Asks for a line to be in L2 soon. Any address is allowed, also past the end of the rows.
ANNK_HD void fetch(const void* p) { __builtin_prefetch(p, 0, 2); }

// The tile of adjacent rows from `first` on, wanted when the present tile has met its queries.
ANNK_HD void fetch_rows(const Matrix& m, int64_t first) {
  const char* start = reinterpret_cast<const char*>(m.row(first));
  for (int64_t at = 0; at < kTileRows * m.stride; at += 64) fetch(start + at);
}

// tile[u][r] = unit u of row r, for kTileRows rows of 32-bit units. load(r, u) gives units u .. u + kLanes - 1 of row r as
// the lanes of an F32, load_last(r, u) the same where fewer are left; no arithmetic is done on them.
template <class Load, class LoadLast>
ANNK_HD void pack_transposed(int64_t units, float* tile, Load&& load, LoadLast&& load_last) {
  // Where kTileRows < kLanes, a store runs over into the next unit, which is written after it.
  static_assert(kTileRows <= kLanes || kTileRows % kLanes == 0);
  int64_t u = 0;
  for (; u + kLanes <= units; u += kLanes)
    for (int from = 0; from < kTileRows; from += kLanes) {
      F32 block[kLanes];
#pragma GCC unroll 16
      for (int r = 0; r < kLanes; ++r) block[r] = load(from + r < kTileRows ? from + r : kTileRows - 1, u);
      transpose(block);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) block[i].store(tile + (u + i) * kTileRows + from);
    }
  for (int from = 0; u < units && from < kTileRows; from += kLanes) {
    F32 block[kLanes];
    for (int r = 0; r < kLanes; ++r) block[r] = load_last(from + r < kTileRows ? from + r : kTileRows - 1, u);
    transpose(block);
    for (int i = 0; i < units - u; ++i) block[i].store(tile + (u + i) * kTileRows + from);
  }
}

}  // namespace annk::ANNK_ISA
