// SPDX-License-Identifier: Apache-2.0
// Sums of look-ups by codes of 8 bits, 64 rows at a time: the inner loop of the screen of 8-bit product quantization
// (store/pq_screen.h). For AVX-512 VBMI, whose vpermi2b finds 64 bytes at once among 128, so that a part's table of 256
// bytes is four registers and two instructions. Elsewhere kByteSums is false, and nothing is declared: 16 pshufb and as many
// comparisons for 32 codes would take what the look-ups in float32 tables take.
#pragma once
#include "store/simd/vec.h"

namespace annk::ANNK_ISA {

#if defined(__AVX512VBMI__)
inline constexpr bool kByteSums = true;
inline constexpr int kByteGroups = 4;               // of 64 rows: a part's table is loaded once for all of them
inline constexpr int kByteRows = kByteGroups * 64;  // rows of a call
inline constexpr int kByteStrip = 16;               // parts that are transposed at once
inline constexpr float kMostByte = 127.0f;          // two entries are added as bytes before they are widened

// codes[part * kByteRows + i] = row(i)[part], for the 16 parts from `row` on; all 16 bytes are read. Four rows fill the
// quarters of a register by masked broadcasts, which any vector port takes; then four rounds of interleaving register i with
// register i + 8 transpose 16 bytes of 16 registers within each quarter.
template <class Row>
ANNK_HD void transpose_strip(const Row& row, uint8_t* codes) {
#pragma GCC unroll 1
  for (int group = 0; group < kByteGroups; ++group) {
    __m512i r[16], t[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) {
      const auto quarter = [&](int l) __attribute__((always_inline)) {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(row(group * 64 + l * 16 + i)));
      };
      r[i] = _mm512_castsi128_si512(quarter(0));
      r[i] = _mm512_mask_broadcast_i32x4(r[i], 0x00f0, quarter(1));
      r[i] = _mm512_mask_broadcast_i32x4(r[i], 0x0f00, quarter(2));
      r[i] = _mm512_mask_broadcast_i32x4(r[i], 0xf000, quarter(3));
    }
#pragma GCC unroll 2
    for (int round = 0; round < 2; ++round) {
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) {
        t[2 * i] = _mm512_unpacklo_epi8(r[i], r[i + 8]);
        t[2 * i + 1] = _mm512_unpackhi_epi8(r[i], r[i + 8]);
      }
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) {
        r[2 * i] = _mm512_unpacklo_epi8(t[i], t[i + 8]);
        r[2 * i + 1] = _mm512_unpackhi_epi8(t[i], t[i + 8]);
      }
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) _mm512_store_si512(codes + i * kByteRows + group * 64, r[i]);
  }
}

// What kByteRows rows have added up to, in 16 bits: `both` adds bytes in pairs of rows, carries included, `odd` the rows of
// odd number alone.
struct ByteSums {
  __m512i both[kByteGroups], odd[kByteGroups];

  ANNK_HD void clear() {
    for (int g = 0; g < kByteGroups; ++g) both[g] = odd[g] = _mm512_setzero_si512();
  }
  // The sums in order, as float32.
  ANNK_HD void store(float* out) const {
    for (int g = 0; g < kByteGroups; ++g) {
      const __m512i even = _mm512_sub_epi16(both[g], _mm512_slli_epi16(odd[g], 8));
      const __m512i low = _mm512_unpacklo_epi16(even, odd[g]), high = _mm512_unpackhi_epi16(even, odd[g]);
      // Quarter l of `low` holds rows 16 l .. 16 l + 7, of `high` the next eight.
      const auto put = [&](int l, __m128i a, __m128i b) __attribute__((always_inline)) {
        const __m512i rows = _mm512_cvtepu16_epi32(_mm256_set_m128i(b, a));
        _mm512_store_ps(out + g * 64 + l * 16, _mm512_cvtepi32_ps(rows));
      };
      put(0, _mm512_extracti32x4_epi32(low, 0), _mm512_extracti32x4_epi32(high, 0));
      put(1, _mm512_extracti32x4_epi32(low, 1), _mm512_extracti32x4_epi32(high, 1));
      put(2, _mm512_extracti32x4_epi32(low, 2), _mm512_extracti32x4_epi32(high, 2));
      put(3, _mm512_extracti32x4_epi32(low, 3), _mm512_extracti32x4_epi32(high, 3));
    }
  }
};

struct ByteTable {
  __m512i quarter[4];
  ANNK_HD explicit ByteTable(const uint8_t* entries)
      : quarter{_mm512_load_si512(entries), _mm512_load_si512(entries + 64), _mm512_load_si512(entries + 128),
                _mm512_load_si512(entries + 192)} {}
  // vpermi2b writes over its indices under a mask: codes with the top bit are still codes after the first look-up.
  ANNK_HD __m512i find(const uint8_t* codes) const {
    const __m512i code = _mm512_load_si512(codes);
    const __mmask64 high = _mm512_movepi8_mask(code);
    const __m512i low = _mm512_mask2_permutex2var_epi8(quarter[0], code, ~high, quarter[1]);
    return _mm512_mask2_permutex2var_epi8(quarter[2], low, high, quarter[3]);
  }
};

// Adds what tables[part][code] hold for `parts` parts of transposed codes; at most 65,535 in all, entries at most kMostByte.
ANNK_HD void add_bytes(const uint8_t* codes, const uint8_t* tables, int parts, ByteSums& sums) {
  __m512i both[kByteGroups], odd[kByteGroups];
#pragma GCC unroll 4
  for (int g = 0; g < kByteGroups; ++g) both[g] = sums.both[g], odd[g] = sums.odd[g];
  const auto add = [&](int g, __m512i found) __attribute__((always_inline)) {
    both[g] = _mm512_add_epi16(both[g], found);
    odd[g] = _mm512_add_epi16(odd[g], _mm512_srli_epi16(found, 8));
  };
  int s = 0;
  for (; s + 2 <= parts; s += 2, codes += 2 * kByteRows, tables += 2 * 256) {
    const ByteTable first(tables), second(tables + 256);
#pragma GCC unroll 4
    for (int g = 0; g < kByteGroups; ++g)
      add(g, _mm512_add_epi8(first.find(codes + g * 64), second.find(codes + kByteRows + g * 64)));
  }
  if (s < parts) {
    const ByteTable last(tables);
#pragma GCC unroll 4
    for (int g = 0; g < kByteGroups; ++g) add(g, last.find(codes + g * 64));
  }
#pragma GCC unroll 4
  for (int g = 0; g < kByteGroups; ++g) sums.both[g] = both[g], sums.odd[g] = odd[g];
}

// 16 floats, not negative, as bytes: rounded down, at most `most`.
ANNK_HD void store_bytes(F32 x, F32 most, uint8_t* out) {
  const __m512i whole = _mm512_cvttps_epi32(_mm512_min_ps(x.v, most.v));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_cvtepi32_epi8(whole));
}
#else
inline constexpr bool kByteSums = false;
#endif

}  // namespace annk::ANNK_ISA
