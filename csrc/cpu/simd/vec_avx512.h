// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <immintrin.h>

#include <cstring>

#include "core/numeric.h"

namespace annk::ANNK_ISA {

inline constexpr int kLanes = 16;
inline constexpr int kTileRows = 14;  // 28 accumulators + 2 queries + 1 row + 1 spare = 32 registers
inline constexpr int kBitTileRows = 8;

struct F32 {
  __m512 v;
  static ANNK_HD F32 zero() { return {_mm512_setzero_ps()}; }
  static ANNK_HD F32 broadcast(float x) { return {_mm512_set1_ps(x)}; }
  static ANNK_HD F32 load(const float* p) { return {_mm512_loadu_ps(p)}; }
  ANNK_HD void store(float* p) const { _mm512_storeu_ps(p, v); }
};
ANNK_HD F32 operator+(F32 a, F32 b) { return {_mm512_add_ps(a.v, b.v)}; }
ANNK_HD F32 operator-(F32 a, F32 b) { return {_mm512_sub_ps(a.v, b.v)}; }
ANNK_HD F32 operator*(F32 a, F32 b) { return {_mm512_mul_ps(a.v, b.v)}; }
ANNK_HD F32 operator/(F32 a, F32 b) { return {_mm512_div_ps(a.v, b.v)}; }
ANNK_HD F32 multiply_add(F32 a, F32 b, F32 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
ANNK_HD F32 absolute(F32 a) { return {_mm512_abs_ps(a.v)}; }
ANNK_HD F32 larger(F32 a, F32 b) { return {_mm512_max_ps(a.v, b.v)}; }
ANNK_HD F32 smaller(F32 a, F32 b) { return {_mm512_min_ps(a.v, b.v)}; }
ANNK_HD void add_squares(F32 x, double* sums) {
  const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(x.v)), high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(x.v, 1));
  _mm512_storeu_pd(sums, _mm512_add_pd(_mm512_loadu_pd(sums), _mm512_mul_pd(low, low)));
  _mm512_storeu_pd(sums + 8, _mm512_add_pd(_mm512_loadu_pd(sums + 8), _mm512_mul_pd(high, high)));
}
ANNK_HD uint32_t below(F32 key, F32 threshold) { return _mm512_cmp_ps_mask(key.v, threshold.v, _CMP_NGE_UQ); }

ANNK_HD void keep_smaller(F32& best, F32& at, F32 key, F32 place) {
  const __mmask16 smaller = _mm512_cmp_ps_mask(key.v, best.v, _CMP_LT_OQ);
  best.v = _mm512_mask_mov_ps(best.v, smaller, key.v);
  at.v = _mm512_mask_mov_ps(at.v, smaller, place.v);
}

ANNK_HD F32 load_widened(const float* p) { return F32::load(p); }
ANNK_HD F32 load_widened(const Half* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
ANNK_HD F32 load_widened(const Bfloat16* p) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}
ANNK_HD F32 load_widened(const int8_t* p) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
}
ANNK_HD F32 load_widened(const uint8_t* p) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
}

// Pairs, then pairs of pairs inside each 128-bit quarter; then the quarters change places.
ANNK_HD void transpose(F32 (&r)[16]) {
  __m512 t[16];
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    const __m512 ab_low = _mm512_unpacklo_ps(r[i].v, r[i + 1].v), ab_high = _mm512_unpackhi_ps(r[i].v, r[i + 1].v);
    const __m512 cd_low = _mm512_unpacklo_ps(r[i + 2].v, r[i + 3].v), cd_high = _mm512_unpackhi_ps(r[i + 2].v, r[i + 3].v);
    t[i] = _mm512_shuffle_ps(ab_low, cd_low, 0x44);
    t[i + 1] = _mm512_shuffle_ps(ab_low, cd_low, 0xee);
    t[i + 2] = _mm512_shuffle_ps(ab_high, cd_high, 0x44);
    t[i + 3] = _mm512_shuffle_ps(ab_high, cd_high, 0xee);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    const __m512 low_even = _mm512_shuffle_f32x4(t[c], t[c + 4], 0x88), low_odd = _mm512_shuffle_f32x4(t[c], t[c + 4], 0xdd);
    const __m512 high_even = _mm512_shuffle_f32x4(t[c + 8], t[c + 12], 0x88),
                 high_odd = _mm512_shuffle_f32x4(t[c + 8], t[c + 12], 0xdd);
    r[c].v = _mm512_shuffle_f32x4(low_even, high_even, 0x88);
    r[c + 8].v = _mm512_shuffle_f32x4(low_even, high_even, 0xdd);
    r[c + 4].v = _mm512_shuffle_f32x4(low_odd, high_odd, 0x88);
    r[c + 12].v = _mm512_shuffle_f32x4(low_odd, high_odd, 0xdd);
  }
}

// The same from memory: block[i] = element i of each of 16 rows. Quarters are gathered by masked broadcasts, which any
// vector port takes, so that half of the shuffles remain.
template <class Rows>
ANNK_HD void load_quads(const Rows& rows, int64_t j, F32* block) {
  __m512 quarter[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(reinterpret_cast<const float*>(rows[i] + j)));
    v = _mm512_mask_broadcast_f32x4(v, 0x00f0, _mm_loadu_ps(reinterpret_cast<const float*>(rows[i + 4] + j)));
    v = _mm512_mask_broadcast_f32x4(v, 0x0f00, _mm_loadu_ps(reinterpret_cast<const float*>(rows[i + 8] + j)));
    quarter[i] = _mm512_mask_broadcast_f32x4(v, 0xf000, _mm_loadu_ps(reinterpret_cast<const float*>(rows[i + 12] + j)));
  }
  const __m512 ab_low = _mm512_unpacklo_ps(quarter[0], quarter[1]), ab_high = _mm512_unpackhi_ps(quarter[0], quarter[1]);
  const __m512 cd_low = _mm512_unpacklo_ps(quarter[2], quarter[3]), cd_high = _mm512_unpackhi_ps(quarter[2], quarter[3]);
  block[0].v = _mm512_shuffle_ps(ab_low, cd_low, 0x44);
  block[1].v = _mm512_shuffle_ps(ab_low, cd_low, 0xee);
  block[2].v = _mm512_shuffle_ps(ab_high, cd_high, 0x44);
  block[3].v = _mm512_shuffle_ps(ab_high, cd_high, 0xee);
}
ANNK_HD void load_transposed(const float* const* rows, int64_t j, F32 (&block)[16]) {
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) load_quads(rows, j + 4 * c, block + 4 * c);
}
ANNK_HD void split_pairs(F32 first, F32 second, F32& even, F32& odd) {
  const __m512i places = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  even.v = _mm512_permutex2var_ps(first.v, places, second.v);
  odd.v = _mm512_permutex2var_ps(first.v, _mm512_add_epi32(places, _mm512_set1_epi32(1)), second.v);
}

struct I32 {
  __m512i v;
  static ANNK_HD I32 zero() { return {_mm512_setzero_si512()}; }
  static ANNK_HD I32 load(const void* p) { return {_mm512_loadu_si512(p)}; }
  static ANNK_HD I32 broadcast(const void* p) {
    int32_t group;
    __builtin_memcpy(&group, p, 4);
    return {_mm512_set1_epi32(group)};
  }
  ANNK_HD void store(int32_t* p) const { _mm512_storeu_si512(p, v); }
  ANNK_HD int32_t sum() const { return _mm512_reduce_add_epi32(v); }
};
ANNK_HD F32 as_f32(I32 x) { return {_mm512_castsi512_ps(x.v)}; }  // the same bits
ANNK_HD F32 to_f32(I32 x) { return {_mm512_cvtepi32_ps(x.v)}; }
ANNK_HD I32 to_i32(F32 x) { return {_mm512_cvttps_epi32(x.v)}; }
ANNK_HD I32 shift_left(I32 x, int bits) { return {_mm512_sll_epi32(x.v, _mm_cvtsi32_si128(bits))}; }
ANNK_HD I32 operator+(I32 a, I32 b) { return {_mm512_add_epi32(a.v, b.v)}; }
ANNK_HD I32 operator|(I32 a, I32 b) { return {_mm512_or_si512(a.v, b.v)}; }
template <int kBits>
ANNK_HD I32 shift_codes(I32 x) {
  return {_mm512_slli_epi16(x.v, kBits)};
}
// The sums of four registers: a quarter each of the shuffles that four sums would take.
ANNK_HD void sum4(const I32 (&x)[4], int32_t* out) {
  const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(x[0].v, x[1].v), _mm512_unpackhi_epi32(x[0].v, x[1].v));
  const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(x[2].v, x[3].v), _mm512_unpackhi_epi32(x[2].v, x[3].v));
  const __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
  const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
  const __m128i sums = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), sums);
}

#if defined(__AVX512VNNI__)
// vpdpbusd multiplies unsigned by signed: queries are stored with 128 added where they are signed, rows with 128 taken
// off where they are unsigned, and the tile takes the zero-point correction off again.
using DotQuery = uint8_t;
using DotRow = int8_t;
inline constexpr int kDotGroup = 4;
inline constexpr bool kDotOffset = true, kDotCross = false;
inline constexpr int kDotRows = kTileRows;
template <class T>
ANNK_HD I32 dot_step(I32 acc, I32 query, I32 row) {
  // The intrinsic makes g++ 12 copy the accumulator at each step, which halves the speed.
  asm("vpdpbusd %2, %1, %0" : "+v"(acc.v) : "v"(query.v), "v"(row.v));
  return acc;
}
// kLanes * kDotGroup bytes of a row, as dot_step wants them.
ANNK_HD I32 load_dot(const int8_t* p) { return I32::load(p); }
ANNK_HD I32 load_dot(const uint8_t* p) { return {_mm512_xor_si512(_mm512_loadu_si512(p), _mm512_set1_epi8(-128))}; }

struct Codes8 {
  using Query = int8_t;
  static constexpr int kGroup = 4, kRun = 0, kOffset = 0;
  static ANNK_HD I32 load(const uint8_t* p) { return I32::load(p); }
  static ANNK_HD I32 step(I32 acc, I32 query, I32 codes) {
    asm("vpdpbusd %1, %2, %0" : "+v"(acc.v) : "v"(query.v), "v"(codes.v));
    return acc;
  }
  static ANNK_HD I32 widened(I32 acc) { return acc; }
};
using Codes7 = Codes8;
struct Codes4 : Codes8 {
  static ANNK_HD I32 load(const uint8_t* p, bool high) {
    const __m512i bytes = _mm512_loadu_si512(p);
    return {_mm512_and_si512(high ? _mm512_srli_epi16(bytes, 4) : bytes, _mm512_set1_epi8(15))};
  }
};
#else
// vpmaddwd on 16-bit numbers: twice the bytes, no saturation (vpmaddubsw saturates at 255 * 127 * 2 > 32,767).
using DotQuery = int16_t;
using DotRow = int16_t;
inline constexpr int kDotGroup = 2;
inline constexpr bool kDotOffset = false, kDotCross = true;
inline constexpr int kDotRows = 12;  // 24 accumulators + 4 queries + 2 rows + 2 sums = 32 registers
template <class T>
ANNK_HD I32 dot_step(I32 acc, I32 query, I32 row) {
  return {_mm512_add_epi32(acc.v, _mm512_madd_epi16(query.v, row.v))};
}
ANNK_HD I32 load_dot(const int8_t* p) {
  return {_mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
ANNK_HD I32 load_dot(const uint8_t* p) {
  return {_mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}

// Sums are written by hand: g++ 12 would make all products of a group before it adds them, keep the sums in memory for
// want of registers, and copy those that it keeps.
ANNK_HD I32 add_in_place(I32 sum, I32 x) {
  asm("vpaddd %1, %0, %0" : "+v"(sum.v) : "v"(x.v));
  return sum;
}
ANNK_HD I32 add16_in_place(I32 sum, I32 x) {
  asm("vpaddw %1, %0, %0" : "+v"(sum.v) : "v"(x.v));
  return sum;
}
struct Codes8 {
  using Query = int16_t;
  static constexpr int kGroup = 2, kRun = 0, kOffset = 0;
  static ANNK_HD I32 load(const uint8_t* p) { return load_dot(p); }
  static ANNK_HD I32 step(I32 acc, I32 query, I32 codes) { return add_in_place(acc, {_mm512_madd_epi16(query.v, codes.v)}); }
  static ANNK_HD I32 widened(I32 acc) { return acc; }
};
// Two products of 7 bits each fit 16 bits.
struct Codes7 {
  using Query = int8_t;
  static constexpr int kGroup = 4, kRun = 0, kOffset = 0;
  static ANNK_HD I32 step(I32 acc, I32 query, I32 codes) {
    return add_in_place(acc, {_mm512_madd_epi16(_mm512_maddubs_epi16(codes.v, query.v), _mm512_set1_epi16(1))});
  }
  static ANNK_HD I32 widened(I32 acc) { return acc; }
};
struct Codes4 {
  using Query = int8_t;
  static constexpr int kGroup = 4, kRun = 8, kOffset = 0;
  static ANNK_HD I32 load(const uint8_t* p, bool high) {
    const __m512i bytes = _mm512_loadu_si512(p);
    return {_mm512_and_si512(high ? _mm512_srli_epi16(bytes, 4) : bytes, _mm512_set1_epi8(15))};
  }
  static ANNK_HD I32 step(I32 acc, I32 query, I32 codes) {
    return add16_in_place(acc, {_mm512_maddubs_epi16(codes.v, query.v)});
  }
  static ANNK_HD I32 widened(I32 acc) { return {_mm512_madd_epi16(acc.v, _mm512_set1_epi16(1))}; }
};
// Four elements in two groups: (0, 1), (2, 3) become (1, 3), (0, 2).
ANNK_HD I32 cross(I32 x) {
  return {
      _mm512_shuffle_epi8(x.v, _mm512_broadcast_i32x4(_mm_setr_epi8(2, 3, 6, 7, 0, 1, 4, 5, 10, 11, 14, 15, 8, 9, 12, 13)))};
}
ANNK_HD void cross_step(I32& acc, I32 query0, I32 query1, I32 row0, I32 row1) {
  const I32 more{_mm512_madd_epi16(_mm512_add_epi16(query0.v, row0.v), _mm512_add_epi16(query1.v, row1.v))};
  acc.v = _mm512_add_epi32(acc.v, more.v);
}
#endif

ANNK_HD I32 load_group4(const uint8_t* group, int) {
  const __m512i twice = _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(group)));
  const __m512i places = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(4), 1);
  return {_mm512_and_si512(_mm512_srlv_epi16(twice, places), _mm512_set1_epi8(15))};
}
ANNK_HD I32 load_group2(const uint8_t* group, int) {
  const __m512i often = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(group)));
  const __m512i places = _mm512_set_epi64(0x0006000600060006, 0x0006000600060006, 0x0004000400040004, 0x0004000400040004,
                                          0x0002000200020002, 0x0002000200020002, 0, 0);
  return {_mm512_and_si512(_mm512_srlv_epi16(often, places), _mm512_set1_epi8(3))};
}
ANNK_HD I32 load_group1(const uint8_t* group, int) {
  uint64_t bits;
  __builtin_memcpy(&bits, group, 8);
  return {_mm512_maskz_set1_epi8(bits, 1)};
}

inline constexpr int kWords = 8;
struct Word {
  __m512i v;
  static ANNK_HD Word load(const void* p) { return {_mm512_loadu_si512(p)}; }
  static ANNK_HD Word broadcast(const void* p) {
    int64_t word;
    __builtin_memcpy(&word, p, 8);
    return {_mm512_set1_epi64(word)};
  }
};
ANNK_HD Word operator^(Word a, Word b) { return {_mm512_xor_si512(a.v, b.v)}; }
ANNK_HD Word operator&(Word a, Word b) { return {_mm512_and_si512(a.v, b.v)}; }

#if defined(__AVX512VPOPCNTDQ__)
struct CountWord {
  __m512i sums = _mm512_setzero_si512();
  static constexpr int kFlushEvery = 1 << 30;
  ANNK_HD void add(Word w) { sums = _mm512_add_epi64(sums, _mm512_popcnt_epi64(w.v)); }
  ANNK_HD void flush() {}
#else
struct Bytes {
  __m512i v;
  static ANNK_HD Bytes zero() { return {_mm512_setzero_si512()}; }
  static ANNK_HD Bytes load(const void* p) { return {_mm512_loadu_si512(p)}; }
  static ANNK_HD Bytes broadcast16(const void* p) {
    return {_mm512_broadcast_i32x4(_mm_loadu_si128(static_cast<const __m128i*>(p)))};
  }
  ANNK_HD void add(Bytes x) { v = _mm512_add_epi8(v, x.v); }
  ANNK_HD void widen_to(uint16_t* sums) const {
    __m512i* out = reinterpret_cast<__m512i*>(sums);
    out[0] = _mm512_add_epi16(out[0], _mm512_and_si512(v, _mm512_set1_epi16(255)));
    out[1] = _mm512_add_epi16(out[1], _mm512_srli_epi16(v, 8));
  }
};
ANNK_HD Bytes look_up(Bytes table, Bytes nibbles) { return {_mm512_shuffle_epi8(table.v, nibbles.v)}; }

// Nibbles are looked up and summed as bytes: at most 8 a step, so that 31 steps fit.
struct CountWord {
  __m512i sums = _mm512_setzero_si512(), bytes = _mm512_setzero_si512();
  static constexpr int kFlushEvery = 31;
  ANNK_HD void add(Word w) {
    const __m512i table = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m512i low = _mm512_set1_epi8(15);
    bytes = _mm512_add_epi8(bytes, _mm512_shuffle_epi8(table, _mm512_and_si512(w.v, low)));
    bytes = _mm512_add_epi8(bytes, _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(w.v, 4), low)));
  }
  ANNK_HD void flush() {
    sums = _mm512_add_epi64(sums, _mm512_sad_epu8(bytes, _mm512_setzero_si512()));
    bytes = _mm512_setzero_si512();
  }
#endif
  ANNK_HD void store(int32_t* p) const { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi64_epi32(sums)); }
  ANNK_HD int32_t sum() const { return static_cast<int32_t>(_mm512_reduce_add_epi64(sums)); }
};

}  // namespace annk::ANNK_ISA
