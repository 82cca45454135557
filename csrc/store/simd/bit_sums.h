// SPDX-License-Identifier: Apache-2.0
// Sums of a query's numbers over the set bits of rows, for a few queries: nibbles of kLanes rows, a row a lane, are looked
// up in tables of what each adds. Zen 5, AVX-512, 384
// bits in L3: about 1.7 ns a row, where products of bits and numbers take 3.2.
#pragma once
#include "store/simd/nibble_sums.h"

namespace annk::ANNK_ISA {

inline constexpr int kBitTableBytes = 128;  // for each 32 bits of a row

#if defined(__AVX512VBMI__) && defined(__AVX512VNNI__)

inline constexpr bool kBitTables = true;

// vpermb looks the low nibbles of 4 bytes of 16 rows up at once, then the high ones. numbers: of magnitude up to 31, so that
// four fit a byte.
inline void make_bit_tables(const int8_t* numbers, int64_t words, int8_t* tables) {
  for (int64_t w = 0; w < words; ++w, numbers += 32, tables += kBitTableBytes)
    for (int nibble = 0; nibble < 8; ++nibble) {
      const int8_t* const own = numbers + nibble * 4;
      int8_t* const out = tables + nibble % 2 * 64 + nibble / 2 * 16;
      out[0] = 0;
      for (int bit = 0; bit < 4; ++bit)
        for (int i = 0; i < 1 << bit; ++i) out[i + (1 << bit)] = static_cast<int8_t>(out[i] + own[bit]);
    }
}

// Of kLanes rows. Rows are read by 16 bytes.
ANNK_HD I32 bit_sums(const float* const* rows, int64_t words, const int8_t* tables) {
  const __m512i part = _mm512_load_si512(kNibbleOrder.parts), low = _mm512_set1_epi8(15);
  const I32 ones{_mm512_set1_epi8(1)};
  I32 sums[2] = {I32::zero(), I32::zero()};
  for (int64_t w = 0; w < words; w += 4) {
    F32 quads[4];
    load_quads(rows, w, quads);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      if (i == 2 && w + 2 == words) break;  // words come in pairs
      const __m512i bits = _mm512_castps_si512(quads[i].v);
      const __m512i index0 = _mm512_ternarylogic_epi32(bits, low, part, 0xea);  // bits & low | part
      const __m512i index1 = _mm512_ternarylogic_epi32(_mm512_srli_epi16(bits, 4), low, part, 0xea);
      const int8_t* const own = tables + (w + i) * kBitTableBytes;
      sums[0] = Codes8::step(sums[0], {_mm512_permutexvar_epi8(index0, _mm512_loadu_si512(own))}, ones);
      sums[1] = Codes8::step(sums[1], {_mm512_permutexvar_epi8(index1, _mm512_loadu_si512(own + 64))}, ones);
    }
  }
  return sums[0] + sums[1];
}

#else

inline constexpr bool kBitTables = false;

#endif

}  // namespace annk::ANNK_ISA
