// SPDX-License-Identifier: Apache-2.0
// Sums of look-ups by codes of 8 bits, 64 rows at a time: the inner loop of the prefilter of 8-bit product quantization
// (cpu/distance/pq_prefilter.h). For AVX-512 VBMI, whose vpermi2b finds 64 bytes at once among 128, so that a part's table
// of 256 bytes is four registers and two instructions (Zen 5: 1.25 cycles each; four vpermb and their masks take a fifth
// longer). Elsewhere nothing is declared: by pshufb, each sixteenth of a table asks for a test, a look-up and a merge, 64
// instructions for 32 codes: no gain for batches, by this count, and less than twofold for one query.
#pragma once
#include "cpu/simd/pack.h"
#include "cpu/simd/vec.h"

namespace annk::ANNK_ISA {

#if defined(__AVX512VBMI__)
inline constexpr int kByteGroups = 4;               // of 64 rows: a part's table is loaded once for all of them
inline constexpr int kByteRows = kByteGroups * 64;  // rows of a call
inline constexpr int kByteStrip = 16;               // parts that are transposed at once
inline constexpr float kMostByte = 127.0f;          // two entries are added as bytes before they are widened

// Where the codes of kByteRows rows are, if they are not AdjacentRows.
struct ChosenRows {
  const uint8_t* first[kByteRows];
  ANNK_HD const uint8_t* operator[](int i) const { return first[i]; }
};

// codes[part] = byte `from + part` of rows group .. group + 63, for 16 parts; all 16 bytes are read. Four rows fill the
// quarters of a register by masked broadcasts, which any vector port takes; then four rounds of interleaving register i with
// register i + 8 transpose the 16 bytes of 16 registers within each quarter. As many bytes are fetched from `next` on, where
// it is given: 16 bytes of each row are no stream that hardware follows.
template <class Rows>
ANNK_HD void transpose_strip(const Rows& rows, int group, int64_t from, const uint8_t* next, __m512i (&codes)[16]) {
  __m512i t[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    const auto quarter = [&](int l) __attribute__((always_inline)) {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[group + l * 16 + i] + from));
    };
    codes[i] = _mm512_castsi128_si512(quarter(0));
    codes[i] = _mm512_mask_broadcast_i32x4(codes[i], 0x00f0, quarter(1));
    codes[i] = _mm512_mask_broadcast_i32x4(codes[i], 0x0f00, quarter(2));
    codes[i] = _mm512_mask_broadcast_i32x4(codes[i], 0xf000, quarter(3));
    if (next != nullptr) fetch_once(next + i * 64);
  }
#pragma GCC unroll 2
  for (int round = 0; round < 2; ++round) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      t[2 * i] = _mm512_unpacklo_epi8(codes[i], codes[i + 8]);
      t[2 * i + 1] = _mm512_unpackhi_epi8(codes[i], codes[i + 8]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      codes[2 * i] = _mm512_unpacklo_epi8(t[i], t[i + 8]);
      codes[2 * i + 1] = _mm512_unpackhi_epi8(t[i], t[i + 8]);
    }
  }
}

// A part's table.
struct ByteTable {
  __m512i quarter[4];
  ANNK_HD explicit ByteTable(const uint8_t* entries)
      : quarter{_mm512_load_si512(entries), _mm512_load_si512(entries + 64), _mm512_load_si512(entries + 128),
                _mm512_load_si512(entries + 192)} {}
  // vpermi2b writes over its indices under a mask: codes with the top bit are still codes after the first look-up.
  ANNK_HD __m512i find(__m512i code) const {
    const __mmask64 high = _mm512_movepi8_mask(code);
    const __m512i low = _mm512_mask2_permutex2var_epi8(quarter[0], code, ~high, quarter[1]);
    return _mm512_mask2_permutex2var_epi8(quarter[2], low, high, quarter[3]);
  }
};

// What 64 rows have added up to, in 16 bits: `both` adds bytes in pairs of rows, carries included, `odd` the rows of odd
// number alone.
struct ByteSums {
  __m512i both, odd;
  static ANNK_HD ByteSums zero() { return {_mm512_setzero_si512(), _mm512_setzero_si512()}; }
  // The entries of two parts.
  ANNK_HD void add(__m512i first, __m512i second) {
    const __m512i sum = _mm512_add_epi8(first, second);
    both = _mm512_add_epi16(both, sum);
    odd = _mm512_add_epi16(odd, _mm512_srli_epi16(sum, 8));
  }
  // As float32, in order.
  ANNK_HD void store(float* out) const {
    const __m512i even = _mm512_sub_epi16(both, _mm512_slli_epi16(odd, 8));
    // Quarter l of `low` holds rows 16 l .. 16 l + 7, of `high` the next eight.
    const __m512i low = _mm512_unpacklo_epi16(even, odd), high = _mm512_unpackhi_epi16(even, odd);
    const auto put = [&](int l, __m128i a, __m128i b) __attribute__((always_inline)) {
      _mm512_storeu_ps(out + l * 16, _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(_mm256_set_m128i(b, a))));
    };
    put(0, _mm512_extracti32x4_epi32(low, 0), _mm512_extracti32x4_epi32(high, 0));
    put(1, _mm512_extracti32x4_epi32(low, 1), _mm512_extracti32x4_epi32(high, 1));
    put(2, _mm512_extracti32x4_epi32(low, 2), _mm512_extracti32x4_epi32(high, 2));
    put(3, _mm512_extracti32x4_epi32(low, 3), _mm512_extracti32x4_epi32(high, 3));
  }
};

// Sums of tables[part][code] of kByteRows rows, for one query: 64 rows at a time, so that they, the table and what is
// fetched fit L1, and codes go from the transposition to the look-ups in registers. The table of an odd number of parts is
// followed by zeros.
template <class Rows>
ANNK_HD void sum_bytes(const Rows& rows, int64_t parts, const uint8_t* next, const uint8_t* tables, ByteSums* sums) {
#pragma GCC unroll 1
  for (int group = 0; group < kByteGroups; ++group) {
    ByteSums sum = ByteSums::zero();
    for (int64_t from = 0; from < parts; from += kByteStrip) {
      __m512i codes[kByteStrip];
      transpose_strip(rows, group * 64, from, next, codes);
      next += next != nullptr ? kByteStrip * 64 : 0;
      const uint8_t* const tables_at = tables + from * 256;
#pragma GCC unroll 8
      for (int s = 0; s < kByteStrip; s += 2) {
        if (from + s >= parts) break;
        sum.add(ByteTable(tables_at + s * 256).find(codes[s]), ByteTable(tables_at + (s + 1) * 256).find(codes[s + 1]));
      }
    }
    sums[group] = sum;
  }
}

// The same in steps, for many queries: codes[part][kByteRows] once,
template <class Rows>
ANNK_HD void transpose_rows(const Rows& rows, int64_t from, int64_t parts, const uint8_t* next, uint8_t* codes) {
  for (int64_t s = 0; s < parts; s += kByteStrip, codes += kByteStrip * kByteRows)
#pragma GCC unroll 1
    for (int group = 0; group < kByteRows; group += 64) {
      __m512i strip[kByteStrip];
      transpose_strip(rows, group, from + s, next, strip);
      next += next != nullptr ? kByteStrip * 64 : 0;
#pragma GCC unroll 16
      for (int i = 0; i < kByteStrip; ++i) _mm512_store_si512(codes + i * kByteRows + group, strip[i]);
    }
}
// and for each query its part of the sums. A table is loaded once for all rows.
ANNK_HD void add_bytes(const uint8_t* codes, int64_t parts, const uint8_t* tables, ByteSums* sums) {
  ByteSums sum[kByteGroups];
#pragma GCC unroll 4
  for (int g = 0; g < kByteGroups; ++g) sum[g] = sums[g];
  for (int64_t s = 0; s < parts; s += 2, codes += 2 * kByteRows, tables += 2 * 256) {
    const ByteTable first(tables), second(tables + 256);
#pragma GCC unroll 4
    for (int g = 0; g < kByteGroups; ++g)
      sum[g].add(first.find(_mm512_load_si512(codes + g * 64)), second.find(_mm512_load_si512(codes + kByteRows + g * 64)));
  }
#pragma GCC unroll 4
  for (int g = 0; g < kByteGroups; ++g) sums[g] = sum[g];
}

// 16 floats, not negative, as bytes: rounded down, at most `most`.
ANNK_HD void store_bytes(F32 x, F32 most, uint8_t* out) {
  const __m512i rounded = _mm512_cvttps_epi32(_mm512_min_ps(x.v, most.v));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_cvtepi32_epi8(rounded));
}
#endif

}  // namespace annk::ANNK_ISA
