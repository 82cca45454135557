// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "store/simd/vec.h"

namespace annk::ANNK_ISA {

// Bytes behind a packed tile that pack_transposed may write to.
inline constexpr size_t kPackSlack = kLanes * 4;

// tile[u][r] = unit u of row r, for kTileRows rows of 32-bit units. load(r, u) gives units u .. u + kLanes - 1 of row r as
// the lanes of an F32; no arithmetic is done on them.
template <class Load>
ANNK_HD void pack_transposed(int64_t units, float* tile, Load&& load) {
  // Where kTileRows < kLanes, a store runs over into the next unit, which is written after it.
  static_assert(kTileRows <= kLanes || kTileRows % kLanes == 0);
  for (int64_t u = 0; u < units; u += kLanes) {
    const int64_t here = units - u < kLanes ? units - u : kLanes;
    for (int from = 0; from < kTileRows; from += kLanes) {
      F32 block[kLanes];
#pragma GCC unroll 16
      for (int r = 0; r < kLanes; ++r) block[r] = load(from + r < kTileRows ? from + r : kTileRows - 1, u);
      transpose(block);
      for (int64_t i = 0; i < here; ++i) block[i].store(tile + (u + i) * kTileRows + from);
    }
  }
}

}  // namespace annk::ANNK_ISA
