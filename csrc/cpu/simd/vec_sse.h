// SPDX-License-Identifier: Apache-2.0
// x86-64-v2: no fused multiply-add, no half conversion.
#pragma once
#include <immintrin.h>

#include <cstring>

#include "core/numeric.h"

namespace annk::ANNK_ISA {

inline constexpr int kLanes = 4;
inline constexpr int kTileRows = 4;  // 8 accumulators + 2 queries + 1 row + products = 16 registers
inline constexpr int kBitTileRows = 4;

struct F32 {
  __m128 v;
  static ANNK_HD F32 zero() { return {_mm_setzero_ps()}; }
  static ANNK_HD F32 broadcast(float x) { return {_mm_set1_ps(x)}; }
  static ANNK_HD F32 load(const float* p) { return {_mm_loadu_ps(p)}; }
  ANNK_HD void store(float* p) const { _mm_storeu_ps(p, v); }
};
ANNK_HD F32 operator+(F32 a, F32 b) { return {_mm_add_ps(a.v, b.v)}; }
ANNK_HD F32 operator-(F32 a, F32 b) { return {_mm_sub_ps(a.v, b.v)}; }
ANNK_HD F32 operator*(F32 a, F32 b) { return {_mm_mul_ps(a.v, b.v)}; }
ANNK_HD F32 operator/(F32 a, F32 b) { return {_mm_div_ps(a.v, b.v)}; }
ANNK_HD F32 multiply_add(F32 a, F32 b, F32 c) { return {_mm_add_ps(_mm_mul_ps(a.v, b.v), c.v)}; }
ANNK_HD F32 absolute(F32 a) { return {_mm_andnot_ps(_mm_set1_ps(-0.0f), a.v)}; }
ANNK_HD F32 larger(F32 a, F32 b) { return {_mm_max_ps(a.v, b.v)}; }
ANNK_HD F32 smaller(F32 a, F32 b) { return {_mm_min_ps(a.v, b.v)}; }
ANNK_HD void add_squares(F32 x, double* sums) {
  const __m128d low = _mm_cvtps_pd(x.v), high = _mm_cvtps_pd(_mm_movehl_ps(x.v, x.v));
  _mm_storeu_pd(sums, _mm_add_pd(_mm_loadu_pd(sums), _mm_mul_pd(low, low)));
  _mm_storeu_pd(sums + 2, _mm_add_pd(_mm_loadu_pd(sums + 2), _mm_mul_pd(high, high)));
}
ANNK_HD uint32_t below(F32 key, F32 threshold) {
  return static_cast<uint32_t>(_mm_movemask_ps(_mm_cmpnge_ps(key.v, threshold.v)));
}

ANNK_HD void keep_smaller(F32& best, F32& at, F32 key, F32 place) {
  const __m128 smaller = _mm_cmplt_ps(key.v, best.v);
  best.v = _mm_blendv_ps(best.v, key.v, smaller);
  at.v = _mm_blendv_ps(at.v, place.v, smaller);
}

ANNK_HD F32 load_widened(const float* p) { return F32::load(p); }
// As widen(Half), four at a time.
ANNK_HD F32 load_widened(const Half* p) {
  const __m128i wide = _mm_cvtepu16_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  const __m128i magnitude = _mm_slli_epi32(_mm_and_si128(wide, _mm_set1_epi32(0x7fff)), 13);
  const __m128i sign = _mm_slli_epi32(_mm_and_si128(wide, _mm_set1_epi32(0x8000)), 16);
  const __m128i scaled =
      _mm_castps_si128(_mm_mul_ps(_mm_castsi128_ps(magnitude), _mm_castsi128_ps(_mm_set1_epi32(0x77800000))));
  const __m128i special = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x0f7fffff));
  const __m128i value = _mm_blendv_epi8(scaled, _mm_or_si128(magnitude, _mm_set1_epi32(0x7f800000)), special);
  return {_mm_castsi128_ps(_mm_or_si128(value, sign))};
}
ANNK_HD F32 load_widened(const Bfloat16* p) {
  const __m128i wide = _mm_cvtepu16_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  return {_mm_castsi128_ps(_mm_slli_epi32(wide, 16))};
}
ANNK_HD __m128i load_4_bytes(const void* p) {
  int32_t bytes;
  __builtin_memcpy(&bytes, p, 4);
  return _mm_cvtsi32_si128(bytes);
}
ANNK_HD F32 load_widened(const int8_t* p) { return {_mm_cvtepi32_ps(_mm_cvtepi8_epi32(load_4_bytes(p)))}; }
ANNK_HD F32 load_widened(const uint8_t* p) { return {_mm_cvtepi32_ps(_mm_cvtepu8_epi32(load_4_bytes(p)))}; }

ANNK_HD void transpose(F32 (&r)[4]) { _MM_TRANSPOSE4_PS(r[0].v, r[1].v, r[2].v, r[3].v); }
template <class Rows>
ANNK_HD void load_quads(const Rows& rows, int64_t j, F32 (&block)[4]) {
  for (int r = 0; r < 4; ++r) block[r] = F32::load(reinterpret_cast<const float*>(rows[r] + j));
  transpose(block);
}
ANNK_HD void split_pairs(F32 first, F32 second, F32& even, F32& odd) {
  even.v = _mm_shuffle_ps(first.v, second.v, 0x88);
  odd.v = _mm_shuffle_ps(first.v, second.v, 0xdd);
}

struct I32 {
  __m128i v;
  static ANNK_HD I32 zero() { return {_mm_setzero_si128()}; }
  static ANNK_HD I32 load(const void* p) { return {_mm_loadu_si128(static_cast<const __m128i*>(p))}; }
  static ANNK_HD I32 broadcast(const void* p) {
    int32_t group;
    __builtin_memcpy(&group, p, 4);
    return {_mm_set1_epi32(group)};
  }
  ANNK_HD void store(int32_t* p) const { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), v); }
  ANNK_HD int32_t sum() const {
    const __m128i pairs = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(pairs, _mm_shuffle_epi32(pairs, 0xb1)));
  }
};
ANNK_HD F32 as_f32(I32 x) { return {_mm_castsi128_ps(x.v)}; }  // the same bits
ANNK_HD F32 to_f32(I32 x) { return {_mm_cvtepi32_ps(x.v)}; }
ANNK_HD I32 to_i32(F32 x) { return {_mm_cvttps_epi32(x.v)}; }
ANNK_HD I32 shift_left(I32 x, int bits) { return {_mm_sll_epi32(x.v, _mm_cvtsi32_si128(bits))}; }
ANNK_HD I32 operator+(I32 a, I32 b) { return {_mm_add_epi32(a.v, b.v)}; }
ANNK_HD I32 operator|(I32 a, I32 b) { return {_mm_or_si128(a.v, b.v)}; }
template <int kBits>
ANNK_HD I32 shift_codes(I32 x) {
  return {_mm_slli_epi16(x.v, kBits)};
}
// The sums of four registers.
ANNK_HD void sum4(const I32 (&x)[4], int32_t* out) {
  const __m128i sums = _mm_hadd_epi32(_mm_hadd_epi32(x[0].v, x[1].v), _mm_hadd_epi32(x[2].v, x[3].v));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), sums);
}

using DotQuery = int16_t;
using DotRow = int16_t;
inline constexpr int kDotGroup = 2;
inline constexpr bool kDotOffset = false, kDotCross = true;
inline constexpr int kDotRows = 3;  // 6 accumulators + 4 queries + 2 rows + 2 sums of 16 registers
template <class T>
ANNK_HD I32 dot_step(I32 acc, I32 query, I32 row) {
  return {_mm_add_epi32(acc.v, _mm_madd_epi16(query.v, row.v))};
}
ANNK_HD I32 load_dot(const int8_t* p) { return {_mm_cvtepi8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)))}; }
ANNK_HD I32 load_dot(const uint8_t* p) { return {_mm_cvtepu8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)))}; }
// Four elements in two groups: (0, 1), (2, 3) become (1, 3), (0, 2).
ANNK_HD I32 cross(I32 x) {
  return {_mm_shuffle_epi8(x.v, _mm_setr_epi8(2, 3, 6, 7, 0, 1, 4, 5, 10, 11, 14, 15, 8, 9, 12, 13))};
}
ANNK_HD void cross_step(I32& acc, I32 query0, I32 query1, I32 row0, I32 row1) {
  const I32 more{_mm_madd_epi16(_mm_add_epi16(query0.v, row0.v), _mm_add_epi16(query1.v, row1.v))};
  asm("paddd %1, %0" : "+x"(acc.v) : "x"(more.v));  // as in vec_avx2.h
}

struct Codes8 {
  using Query = int16_t;
  static constexpr int kGroup = 2, kRun = 0, kOffset = 0;
  static ANNK_HD I32 load(const uint8_t* p) { return load_dot(p); }
  static ANNK_HD I32 step(I32 acc, I32 query, I32 codes) { return dot_step<int8_t>(acc, query, codes); }
  static ANNK_HD I32 widened(I32 acc) { return acc; }
};
// Two products of 7 bits each fit 16 bits.
struct Codes7 {
  using Query = int8_t;
  static constexpr int kGroup = 4, kRun = 0, kOffset = 0;
  static ANNK_HD I32 step(I32 acc, I32 query, I32 codes) {
    return {_mm_add_epi32(acc.v, _mm_madd_epi16(_mm_maddubs_epi16(codes.v, query.v), _mm_set1_epi16(1)))};
  }
  static ANNK_HD I32 widened(I32 acc) { return acc; }
};
struct Codes4 {
  using Query = int8_t;
  static constexpr int kGroup = 4, kRun = 8, kOffset = 0;
  static ANNK_HD I32 load(const uint8_t* p, bool high) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return {_mm_and_si128(high ? _mm_srli_epi16(bytes, 4) : bytes, _mm_set1_epi8(15))};
  }
  static ANNK_HD I32 step(I32 acc, I32 query, I32 codes) {
    return {_mm_add_epi16(acc.v, _mm_maddubs_epi16(codes.v, query.v))};
  }
  static ANNK_HD I32 widened(I32 acc) { return {_mm_madd_epi16(acc.v, _mm_set1_epi16(1))}; }
};

ANNK_HD I32 load_group4(const uint8_t* group, int i) { return Codes4::load(group + i % 32, i >= 32); }
ANNK_HD I32 load_group2(const uint8_t* group, int i) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(group));
  return {_mm_and_si128(_mm_srl_epi16(bytes, _mm_cvtsi32_si128(i / 8)), _mm_set1_epi8(3))};
}
ANNK_HD I32 load_group1(const uint8_t* group, int i) {
  constexpr uint64_t kEach = 0x0101010101010101;
  const __m128i spread =
      _mm_set_epi64x(static_cast<int64_t>(kEach * group[i / 8 + 1]), static_cast<int64_t>(kEach * group[i / 8]));
  const __m128i set = _mm_and_si128(spread, _mm_set1_epi64x(static_cast<int64_t>(0x8040201008040201)));
  return {_mm_min_epu8(set, _mm_set1_epi8(1))};
}

inline constexpr int kWords = 2;
struct Word {
  __m128i v;
  static ANNK_HD Word load(const void* p) { return {_mm_loadu_si128(static_cast<const __m128i*>(p))}; }
  static ANNK_HD Word broadcast(const void* p) {
    int64_t word;
    __builtin_memcpy(&word, p, 8);
    return {_mm_set1_epi64x(word)};
  }
};
ANNK_HD Word operator^(Word a, Word b) { return {_mm_xor_si128(a.v, b.v)}; }
ANNK_HD Word operator&(Word a, Word b) { return {_mm_and_si128(a.v, b.v)}; }

struct Bytes {
  __m128i v;
  static ANNK_HD Bytes zero() { return {_mm_setzero_si128()}; }
  static ANNK_HD Bytes load(const void* p) { return {_mm_loadu_si128(static_cast<const __m128i*>(p))}; }
  static ANNK_HD Bytes broadcast16(const void* p) { return load(p); }
  ANNK_HD void add(Bytes x) { asm("paddb %1, %0" : "+x"(v) : "x"(x.v)); }  // as in vec_avx2.h
  ANNK_HD void widen_to(uint16_t* sums) const {
    __m128i* out = reinterpret_cast<__m128i*>(sums);
    out[0] = _mm_add_epi16(out[0], _mm_and_si128(v, _mm_set1_epi16(255)));
    out[1] = _mm_add_epi16(out[1], _mm_srli_epi16(v, 8));
  }
};
ANNK_HD Bytes look_up(Bytes table, Bytes nibbles) { return {_mm_shuffle_epi8(table.v, nibbles.v)}; }

// Nibbles are looked up and summed as bytes: at most 8 a step, so that 31 steps fit.
struct CountWord {
  __m128i sums = _mm_setzero_si128(), bytes = _mm_setzero_si128();
  static constexpr int kFlushEvery = 31;
  ANNK_HD void add(Word w) {
    const __m128i table = _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4), low = _mm_set1_epi8(15);
    bytes = _mm_add_epi8(bytes, _mm_shuffle_epi8(table, _mm_and_si128(w.v, low)));
    bytes = _mm_add_epi8(bytes, _mm_shuffle_epi8(table, _mm_and_si128(_mm_srli_epi16(w.v, 4), low)));
  }
  ANNK_HD void flush() {
    sums = _mm_add_epi64(sums, _mm_sad_epu8(bytes, _mm_setzero_si128()));
    bytes = _mm_setzero_si128();
  }
  ANNK_HD void store(int32_t* p) const { _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_shuffle_epi32(sums, 0x08)); }
  ANNK_HD int32_t sum() const { return static_cast<int32_t>(_mm_extract_epi64(sums, 0) + _mm_extract_epi64(sums, 1)); }
};

}  // namespace annk::ANNK_ISA
