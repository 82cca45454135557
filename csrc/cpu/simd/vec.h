// SPDX-License-Identifier: Apache-2.0
// The SIMD registers of the instruction set that this translation unit is compiled for. Every ISA's header gives the
// same names; the tile kernels (cpu/distance/*_tiles.h) are written once over them.
//
//   F32            kLanes float32 lanes: broadcast, load, store, + - * /, multiply_add, absolute, larger, smaller; to_i32 of
//                  whole numbers; add_squares, lane by lane to kLanes doubles
//   load_widened   kLanes elements of float, Half, Bfloat16, int8_t or uint8_t, as F32
//   below          bit l of the mask: not (key[l] >= threshold[l]); so NaN on either side is below
//   keep_smaller   best = key and at = place in the lanes where key < best
//   transpose      kLanes registers of kLanes lanes, in place; load_transposed, from kLanes rows in memory; load_quads, four
//                  registers of it: elements j .. j + 3 of each row
//   split_pairs    the even and the odd lanes of two registers, one behind the other
//   I32            kLanes int32 lanes; dot_step<T> adds kDotGroup products of T, int8_t or uint8_t, to each lane:
//                  its first operand holds query elements (DotQuery), its second what load_dot makes of row elements
//   Codes8         products of unsigned codes and int8_t query elements, which are kept as Query, kGroup of them in a lane.
//                  load: codes; step: as dot_step; after kRun steps (0: never) the sums must be `widened` to int32; codes
//                  are short of kOffset. Codes7, Codes4: codes of so many bits; Codes4::load: low or high nibbles of bytes
//   load_group4    kLanes * Codes4::kGroup codes of 4 bits, from element i of a group of 64 on; also 2 and 1 (rabitq.h)
//   kDotCross      a tile takes cross_step instead, with half the multiplications (dot_tiles.h); kDotRows rows of a tile
//   Word           kWords 64-bit words; CountWord counts the set bits of words, lane by lane
//   Bytes          4 * kLanes bytes, where no instruction counts bits (nibble_tiles.h): look_up in 16 bytes that repeat;
//                  widen_to adds the even bytes to 2 * kLanes sums, then the odd ones
//   kTileRows      rows of a tile: with two registers of queries, the accumulators fill the register file
#pragma once

#if defined(__AVX512F__)
#include "cpu/simd/vec_avx512.h"
#elif defined(__AVX2__)
#include "cpu/simd/vec_avx2.h"
#elif defined(__aarch64__)
#include "cpu/simd/vec_neon.h"
#else
#include "cpu/simd/vec_sse.h"
#endif

namespace annk::ANNK_ISA {

// As widen(Half), by the instruction where there is one: a row's scales are read once a key.
ANNK_HD float widen_one(Half x) {
#if defined(__F16C__)
  return _cvtsh_ss(x.bits);
#else
  return widen(x);
#endif
}

// Declared for every level, so that code for kDotCross can be read; defined where it holds.
I32 cross(I32 x);
void cross_step(I32& acc, I32 query0, I32 query1, I32 row0, I32 row1);

// block[i] = element j + i of each of kLanes rows. Float32 rows have faster ways of their own.
template <class T>
ANNK_HD void load_transposed(const T* const* rows, int64_t j, F32 (&block)[kLanes]) {
#pragma GCC unroll 16
  for (int r = 0; r < kLanes; ++r) block[r] = load_widened(rows[r] + j);
  transpose(block);
}

}  // namespace annk::ANNK_ISA
