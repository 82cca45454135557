// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <immintrin.h>

#include <cstring>

#include "core/numeric.h"

namespace annk::ANNK_ISA {

inline constexpr int kLanes = 8;
inline constexpr int kTileRows = 6;  // 12 accumulators + 2 queries + 1 row + 1 spare = 16 registers
inline constexpr int kBitTileRows = 4;

struct F32 {
  __m256 v;
  static ANNK_HD F32 zero() { return {_mm256_setzero_ps()}; }
  static ANNK_HD F32 broadcast(float x) { return {_mm256_set1_ps(x)}; }
  static ANNK_HD F32 load(const float* p) { return {_mm256_loadu_ps(p)}; }
  ANNK_HD void store(float* p) const { _mm256_storeu_ps(p, v); }
};
ANNK_HD F32 operator+(F32 a, F32 b) { return {_mm256_add_ps(a.v, b.v)}; }
ANNK_HD F32 operator-(F32 a, F32 b) { return {_mm256_sub_ps(a.v, b.v)}; }
ANNK_HD F32 operator*(F32 a, F32 b) { return {_mm256_mul_ps(a.v, b.v)}; }
ANNK_HD F32 operator/(F32 a, F32 b) { return {_mm256_div_ps(a.v, b.v)}; }
ANNK_HD F32 multiply_add(F32 a, F32 b, F32 c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
ANNK_HD F32 absolute(F32 a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)}; }
ANNK_HD F32 larger(F32 a, F32 b) { return {_mm256_max_ps(a.v, b.v)}; }
ANNK_HD F32 smaller(F32 a, F32 b) { return {_mm256_min_ps(a.v, b.v)}; }
ANNK_HD void add_squares(F32 x, double* sums) {
  const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(x.v)), high = _mm256_cvtps_pd(_mm256_extractf128_ps(x.v, 1));
  _mm256_storeu_pd(sums, _mm256_add_pd(_mm256_loadu_pd(sums), _mm256_mul_pd(low, low)));
  _mm256_storeu_pd(sums + 4, _mm256_add_pd(_mm256_loadu_pd(sums + 4), _mm256_mul_pd(high, high)));
}
ANNK_HD uint32_t below(F32 key, F32 threshold) {
  return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(key.v, threshold.v, _CMP_NGE_UQ)));
}

ANNK_HD void keep_smaller(F32& best, F32& at, F32 key, F32 place) {
  const __m256 smaller = _mm256_cmp_ps(key.v, best.v, _CMP_LT_OQ);
  best.v = _mm256_blendv_ps(best.v, key.v, smaller);
  at.v = _mm256_blendv_ps(at.v, place.v, smaller);
}

ANNK_HD F32 load_widened(const float* p) { return F32::load(p); }
ANNK_HD F32 load_widened(const Half* p) { return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))}; }
ANNK_HD F32 load_widened(const Bfloat16* p) {
  const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(wide, 16))};
}
ANNK_HD F32 load_widened(const int8_t* p) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))))};
}
ANNK_HD F32 load_widened(const uint8_t* p) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))))};
}

ANNK_HD void transpose(F32 (&r)[8]) {
  __m256 t[8];
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    const __m256 ab_low = _mm256_unpacklo_ps(r[i].v, r[i + 1].v), ab_high = _mm256_unpackhi_ps(r[i].v, r[i + 1].v);
    const __m256 cd_low = _mm256_unpacklo_ps(r[i + 2].v, r[i + 3].v), cd_high = _mm256_unpackhi_ps(r[i + 2].v, r[i + 3].v);
    t[i] = _mm256_shuffle_ps(ab_low, cd_low, 0x44);
    t[i + 1] = _mm256_shuffle_ps(ab_low, cd_low, 0xee);
    t[i + 2] = _mm256_shuffle_ps(ab_high, cd_high, 0x44);
    t[i + 3] = _mm256_shuffle_ps(ab_high, cd_high, 0xee);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    r[c].v = _mm256_permute2f128_ps(t[c], t[c + 4], 0x20);
    r[c + 4].v = _mm256_permute2f128_ps(t[c], t[c + 4], 0x31);
  }
}

// The same from memory: block[i] = element i of each of 8 rows. Halves are inserted while loading, so that two thirds of
// the shuffles remain.
template <class Rows>
ANNK_HD void load_quads(const Rows& rows, int64_t j, F32* block) {
  __m256 half[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i)
    half[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(reinterpret_cast<const float*>(rows[i] + j))),
                                   _mm_loadu_ps(reinterpret_cast<const float*>(rows[i + 4] + j)), 1);
  const __m256 ab_low = _mm256_unpacklo_ps(half[0], half[1]), ab_high = _mm256_unpackhi_ps(half[0], half[1]);
  const __m256 cd_low = _mm256_unpacklo_ps(half[2], half[3]), cd_high = _mm256_unpackhi_ps(half[2], half[3]);
  block[0].v = _mm256_shuffle_ps(ab_low, cd_low, 0x44);
  block[1].v = _mm256_shuffle_ps(ab_low, cd_low, 0xee);
  block[2].v = _mm256_shuffle_ps(ab_high, cd_high, 0x44);
  block[3].v = _mm256_shuffle_ps(ab_high, cd_high, 0xee);
}
ANNK_HD void load_transposed(const float* const* rows, int64_t j, F32 (&block)[8]) {
  load_quads(rows, j, block);
  load_quads(rows, j + 4, block + 4);
}
ANNK_HD void split_pairs(F32 first, F32 second, F32& even, F32& odd) {
  auto in_order = [](__m256 x) {  // quarters 0 2 1 3
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(x), 0xd8));
  };
  even.v = in_order(_mm256_shuffle_ps(first.v, second.v, 0x88));
  odd.v = in_order(_mm256_shuffle_ps(first.v, second.v, 0xdd));
}

struct I32 {
  __m256i v;
  static ANNK_HD I32 zero() { return {_mm256_setzero_si256()}; }
  static ANNK_HD I32 load(const void* p) { return {_mm256_loadu_si256(static_cast<const __m256i*>(p))}; }
  static ANNK_HD I32 broadcast(const void* p) {
    int32_t group;
    __builtin_memcpy(&group, p, 4);
    return {_mm256_set1_epi32(group)};
  }
  ANNK_HD void store(int32_t* p) const { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
  ANNK_HD int32_t sum() const {
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1));
    return _mm_cvtsi128_si32(half);
  }
};
ANNK_HD F32 as_f32(I32 x) { return {_mm256_castsi256_ps(x.v)}; }  // the same bits
ANNK_HD F32 to_f32(I32 x) { return {_mm256_cvtepi32_ps(x.v)}; }
ANNK_HD I32 to_i32(F32 x) { return {_mm256_cvttps_epi32(x.v)}; }
ANNK_HD I32 shift_left(I32 x, int bits) { return {_mm256_sll_epi32(x.v, _mm_cvtsi32_si128(bits))}; }
ANNK_HD I32 operator+(I32 a, I32 b) { return {_mm256_add_epi32(a.v, b.v)}; }
ANNK_HD I32 operator|(I32 a, I32 b) { return {_mm256_or_si256(a.v, b.v)}; }
template <int kBits>
ANNK_HD I32 shift_codes(I32 x) {
  return {_mm256_slli_epi16(x.v, kBits)};
}
// The sums of four registers.
ANNK_HD void sum4(const I32 (&x)[4], int32_t* out) {
  const __m256i all = _mm256_hadd_epi32(_mm256_hadd_epi32(x[0].v, x[1].v), _mm256_hadd_epi32(x[2].v, x[3].v));
  const __m128i sums = _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), sums);
}

// vpmaddwd on 16-bit numbers: twice the bytes, no saturation (vpmaddubsw saturates at 255 * 127 * 2 > 32,767).
using DotQuery = int16_t;
using DotRow = int16_t;
inline constexpr int kDotGroup = 2;
inline constexpr bool kDotOffset = false, kDotCross = true;
inline constexpr int kDotRows = 4;  // 8 accumulators + 4 queries + 2 rows + 2 sums = 16 registers
template <class T>
ANNK_HD I32 dot_step(I32 acc, I32 query, I32 row) {
  return {_mm256_add_epi32(acc.v, _mm256_madd_epi16(query.v, row.v))};
}
ANNK_HD I32 load_dot(const int8_t* p) {
  return {_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
ANNK_HD I32 load_dot(const uint8_t* p) {
  return {_mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
// Four elements in two groups: (0, 1), (2, 3) become (1, 3), (0, 2).
ANNK_HD I32 cross(I32 x) {
  return {_mm256_shuffle_epi8(
      x.v, _mm256_broadcastsi128_si256(_mm_setr_epi8(2, 3, 6, 7, 0, 1, 4, 5, 10, 11, 14, 15, 8, 9, 12, 13)))};
}
ANNK_HD void cross_step(I32& acc, I32 query0, I32 query1, I32 row0, I32 row1) {
  const I32 more{_mm256_madd_epi16(_mm256_add_epi16(query0.v, row0.v), _mm256_add_epi16(query1.v, row1.v))};
  asm("vpaddd %1, %0, %0" : "+x"(acc.v) : "x"(more.v));  // as Bytes::add
}

// Sums are written by hand: g++ 12 would make all products of a group before it adds them, keep the sums in memory for
// want of registers, and copy those that it keeps.
ANNK_HD I32 add_in_place(I32 sum, I32 x) {
  asm("vpaddd %1, %0, %0" : "+x"(sum.v) : "x"(x.v));
  return sum;
}
ANNK_HD I32 add16_in_place(I32 sum, I32 x) {
  asm("vpaddw %1, %0, %0" : "+x"(sum.v) : "x"(x.v));
  return sum;
}
struct Codes8 {
  using Query = int16_t;
  static constexpr int kGroup = 2, kRun = 0, kOffset = 0;
  static ANNK_HD I32 load(const uint8_t* p) { return load_dot(p); }
  static ANNK_HD I32 step(I32 acc, I32 query, I32 codes) { return add_in_place(acc, {_mm256_madd_epi16(query.v, codes.v)}); }
  static ANNK_HD I32 widened(I32 acc) { return acc; }
};
// Two products of 7 bits each fit 16 bits.
struct Codes7 {
  using Query = int8_t;
  static constexpr int kGroup = 4, kRun = 0, kOffset = 0;
  static ANNK_HD I32 step(I32 acc, I32 query, I32 codes) {
    return add_in_place(acc, {_mm256_madd_epi16(_mm256_maddubs_epi16(codes.v, query.v), _mm256_set1_epi16(1))});
  }
  static ANNK_HD I32 widened(I32 acc) { return acc; }
};
struct Codes4 {
  using Query = int8_t;
  static constexpr int kGroup = 4, kRun = 8, kOffset = 0;
  static ANNK_HD I32 load(const uint8_t* p, bool high) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return {_mm256_and_si256(high ? _mm256_srli_epi16(bytes, 4) : bytes, _mm256_set1_epi8(15))};
  }
  static ANNK_HD I32 step(I32 acc, I32 query, I32 codes) {
    return add16_in_place(acc, {_mm256_maddubs_epi16(codes.v, query.v)});
  }
  static ANNK_HD I32 widened(I32 acc) { return {_mm256_madd_epi16(acc.v, _mm256_set1_epi16(1))}; }
};

ANNK_HD I32 load_group4(const uint8_t* group, int i) { return Codes4::load(group, i >= 32); }
ANNK_HD I32 load_group2(const uint8_t* group, int i) {
  const __m256i twice = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(group)));
  const int64_t place = i / 8;
  const __m256i places = _mm256_setr_epi64x(place, place, place + 2, place + 2);
  return {_mm256_and_si256(_mm256_srlv_epi64(twice, places), _mm256_set1_epi8(3))};
}
ANNK_HD I32 load_group1(const uint8_t* group, int i) {
  const __m256i bytes = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  const __m256i spread = _mm256_shuffle_epi8(I32::broadcast(group + i / 8).v, bytes);
  const __m256i set = _mm256_and_si256(spread, _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201)));
  return {_mm256_min_epu8(set, _mm256_set1_epi8(1))};
}

inline constexpr int kWords = 4;
struct Word {
  __m256i v;
  static ANNK_HD Word load(const void* p) { return {_mm256_loadu_si256(static_cast<const __m256i*>(p))}; }
  static ANNK_HD Word broadcast(const void* p) {
    int64_t word;
    __builtin_memcpy(&word, p, 8);
    return {_mm256_set1_epi64x(word)};
  }
};
ANNK_HD Word operator^(Word a, Word b) { return {_mm256_xor_si256(a.v, b.v)}; }
ANNK_HD Word operator&(Word a, Word b) { return {_mm256_and_si256(a.v, b.v)}; }

// g++ 12 copies each sum of the intrinsic to another register and back, a third more instructions.
struct Bytes {
  __m256i v;
  static ANNK_HD Bytes zero() { return {_mm256_setzero_si256()}; }
  static ANNK_HD Bytes load(const void* p) { return {_mm256_loadu_si256(static_cast<const __m256i*>(p))}; }
  static ANNK_HD Bytes broadcast16(const void* p) {
    return {_mm256_broadcastsi128_si256(_mm_loadu_si128(static_cast<const __m128i*>(p)))};
  }
  ANNK_HD void add(Bytes x) { asm("vpaddb %1, %0, %0" : "+x"(v) : "x"(x.v)); }
  ANNK_HD void widen_to(uint16_t* sums) const {
    __m256i* out = reinterpret_cast<__m256i*>(sums);
    out[0] = _mm256_add_epi16(out[0], _mm256_and_si256(v, _mm256_set1_epi16(255)));
    out[1] = _mm256_add_epi16(out[1], _mm256_srli_epi16(v, 8));
  }
};
ANNK_HD Bytes look_up(Bytes table, Bytes nibbles) { return {_mm256_shuffle_epi8(table.v, nibbles.v)}; }

// Nibbles are looked up and summed as bytes: at most 8 a step, so that 31 steps fit.
struct CountWord {
  __m256i sums = _mm256_setzero_si256(), bytes = _mm256_setzero_si256();
  static constexpr int kFlushEvery = 31;
  ANNK_HD void add(Word w) {
    const __m256i table = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m256i low = _mm256_set1_epi8(15);
    bytes = _mm256_add_epi8(bytes, _mm256_shuffle_epi8(table, _mm256_and_si256(w.v, low)));
    bytes = _mm256_add_epi8(bytes, _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(w.v, 4), low)));
  }
  ANNK_HD void flush() {
    sums = _mm256_add_epi64(sums, _mm256_sad_epu8(bytes, _mm256_setzero_si256()));
    bytes = _mm256_setzero_si256();
  }
  ANNK_HD void store(int32_t* p) const {
    const __m256i even = _mm256_permutevar8x32_epi32(sums, _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(even));
  }
  ANNK_HD int32_t sum() const {
    const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    return static_cast<int32_t>(_mm_extract_epi64(half, 0) + _mm_extract_epi64(half, 1));
  }
};

}  // namespace annk::ANNK_ISA
