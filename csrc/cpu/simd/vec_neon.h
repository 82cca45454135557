// SPDX-License-Identifier: Apache-2.0
// AArch64 with the dot-product instructions (ARMv8.2-A).
#pragma once
#include <arm_neon.h>

#include <type_traits>

#include "core/numeric.h"

namespace annk::ANNK_ISA {

inline constexpr int kLanes = 4;
inline constexpr int kTileRows = 12;  // 24 accumulators + 2 queries + 1 row + temporaries = 32 registers
inline constexpr int kBitTileRows = 4;

struct F32 {
  float32x4_t v;
  static ANNK_HD F32 zero() { return {vdupq_n_f32(0.0f)}; }
  static ANNK_HD F32 broadcast(float x) { return {vdupq_n_f32(x)}; }
  static ANNK_HD F32 load(const float* p) { return {vld1q_f32(p)}; }
  ANNK_HD void store(float* p) const { vst1q_f32(p, v); }
};
ANNK_HD F32 operator+(F32 a, F32 b) { return {vaddq_f32(a.v, b.v)}; }
ANNK_HD F32 operator-(F32 a, F32 b) { return {vsubq_f32(a.v, b.v)}; }
ANNK_HD F32 operator*(F32 a, F32 b) { return {vmulq_f32(a.v, b.v)}; }
ANNK_HD F32 operator/(F32 a, F32 b) { return {vdivq_f32(a.v, b.v)}; }
ANNK_HD F32 multiply_add(F32 a, F32 b, F32 c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
ANNK_HD F32 absolute(F32 a) { return {vabsq_f32(a.v)}; }
ANNK_HD F32 larger(F32 a, F32 b) { return {vbslq_f32(vcgtq_f32(a.v, b.v), a.v, b.v)}; }
ANNK_HD F32 smaller(F32 a, F32 b) { return {vbslq_f32(vcltq_f32(a.v, b.v), a.v, b.v)}; }
ANNK_HD void add_squares(F32 x, double* sums) {
  const float64x2_t low = vcvt_f64_f32(vget_low_f32(x.v)), high = vcvt_high_f64_f32(x.v);
  vst1q_f64(sums, vaddq_f64(vld1q_f64(sums), vmulq_f64(low, low)));
  vst1q_f64(sums + 2, vaddq_f64(vld1q_f64(sums + 2), vmulq_f64(high, high)));
}
ANNK_HD uint32_t below(F32 key, F32 threshold) {
  const uint32x4_t not_below = vcgeq_f32(key.v, threshold.v);
  constexpr uint32_t kBits[4] = {1, 2, 4, 8};
  return vaddvq_u32(vbicq_u32(vld1q_u32(kBits), not_below));
}

ANNK_HD void keep_smaller(F32& best, F32& at, F32 key, F32 place) {
  const uint32x4_t smaller = vcltq_f32(key.v, best.v);
  best.v = vbslq_f32(smaller, key.v, best.v);
  at.v = vbslq_f32(smaller, place.v, at.v);
}

ANNK_HD F32 load_widened(const float* p) { return F32::load(p); }
ANNK_HD F32 load_widened(const Half* p) {
  return {vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(reinterpret_cast<const uint16_t*>(p))))};
}
ANNK_HD F32 load_widened(const Bfloat16* p) {
  return {vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(reinterpret_cast<const uint16_t*>(p)), 16))};
}
ANNK_HD uint32x2_t load_4_bytes(const void* p) {
  uint32_t bytes;
  __builtin_memcpy(&bytes, p, 4);
  return vdup_n_u32(bytes);
}
ANNK_HD F32 load_widened(const int8_t* p) {
  const int16x8_t wide = vmovl_s8(vreinterpret_s8_u32(load_4_bytes(p)));
  return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)))};
}
ANNK_HD F32 load_widened(const uint8_t* p) {
  const uint16x8_t wide = vmovl_u8(vreinterpret_u8_u32(load_4_bytes(p)));
  return {vcvtq_f32_u32(vmovl_u16(vget_low_u16(wide)))};
}

ANNK_HD void transpose(F32 (&r)[4]) {
  const float32x4_t ab_even = vtrn1q_f32(r[0].v, r[1].v), ab_odd = vtrn2q_f32(r[0].v, r[1].v);
  const float32x4_t cd_even = vtrn1q_f32(r[2].v, r[3].v), cd_odd = vtrn2q_f32(r[2].v, r[3].v);
  r[0].v = vcombine_f32(vget_low_f32(ab_even), vget_low_f32(cd_even));
  r[1].v = vcombine_f32(vget_low_f32(ab_odd), vget_low_f32(cd_odd));
  r[2].v = vcombine_f32(vget_high_f32(ab_even), vget_high_f32(cd_even));
  r[3].v = vcombine_f32(vget_high_f32(ab_odd), vget_high_f32(cd_odd));
}

template <class Rows>
ANNK_HD void load_quads(const Rows& rows, int64_t j, F32 (&block)[4]) {
  for (int r = 0; r < 4; ++r) block[r] = F32::load(reinterpret_cast<const float*>(rows[r] + j));
  transpose(block);
}
ANNK_HD void split_pairs(F32 first, F32 second, F32& even, F32& odd) {
  even.v = vuzp1q_f32(first.v, second.v);
  odd.v = vuzp2q_f32(first.v, second.v);
}

struct I32 {
  int32x4_t v;
  static ANNK_HD I32 zero() { return {vdupq_n_s32(0)}; }
  static ANNK_HD I32 load(const void* p) { return {vreinterpretq_s32_u8(vld1q_u8(static_cast<const uint8_t*>(p)))}; }
  static ANNK_HD I32 broadcast(const void* p) {
    int32_t group;
    __builtin_memcpy(&group, p, 4);
    return {vdupq_n_s32(group)};
  }
  ANNK_HD void store(int32_t* p) const { vst1q_s32(p, v); }
  ANNK_HD int32_t sum() const { return vaddvq_s32(v); }
};
ANNK_HD F32 as_f32(I32 x) { return {vreinterpretq_f32_s32(x.v)}; }  // the same bits
ANNK_HD F32 to_f32(I32 x) { return {vcvtq_f32_s32(x.v)}; }
ANNK_HD I32 to_i32(F32 x) { return {vcvtq_s32_f32(x.v)}; }
ANNK_HD I32 shift_left(I32 x, int bits) { return {vshlq_s32(x.v, vdupq_n_s32(bits))}; }
ANNK_HD I32 operator+(I32 a, I32 b) { return {vaddq_s32(a.v, b.v)}; }
ANNK_HD I32 operator|(I32 a, I32 b) { return {vorrq_s32(a.v, b.v)}; }
template <int kBits>
ANNK_HD I32 shift_codes(I32 x) {
  return {vreinterpretq_s32_u8(vshlq_n_u8(vreinterpretq_u8_s32(x.v), kBits))};
}
// The sums of four registers.
ANNK_HD void sum4(const I32 (&x)[4], int32_t* out) {
  vst1q_s32(out, vpaddq_s32(vpaddq_s32(x[0].v, x[1].v), vpaddq_s32(x[2].v, x[3].v)));
}

// Signed and unsigned elements have an instruction each, so that bytes are used as they are.
using DotQuery = uint8_t;
using DotRow = uint8_t;
inline constexpr int kDotGroup = 4;
inline constexpr bool kDotOffset = false, kDotCross = false;
inline constexpr int kDotRows = kTileRows;
template <class T>
ANNK_HD I32 dot_step(I32 acc, I32 query, I32 row) {
  if constexpr (std::is_same_v<T, int8_t>)
    return {vdotq_s32(acc.v, vreinterpretq_s8_s32(query.v), vreinterpretq_s8_s32(row.v))};
  else
    return {vreinterpretq_s32_u32(
        vdotq_u32(vreinterpretq_u32_s32(acc.v), vreinterpretq_u8_s32(query.v), vreinterpretq_u8_s32(row.v)))};
}
template <class T>
ANNK_HD I32 load_dot(const T* p) {
  return I32::load(p);
}

// Both operands of sdot are signed: 8-bit codes lose 128, which the query's sum pays back.
struct Codes8 {
  using Query = int8_t;
  static constexpr int kGroup = 4, kRun = 0, kOffset = 128;
  static ANNK_HD I32 load(const uint8_t* p) { return {vreinterpretq_s32_u8(veorq_u8(vld1q_u8(p), vdupq_n_u8(0x80)))}; }
  static ANNK_HD I32 step(I32 acc, I32 query, I32 codes) { return dot_step<int8_t>(acc, query, codes); }
  static ANNK_HD I32 widened(I32 acc) { return acc; }
};
struct Codes7 : Codes8 {
  static constexpr int kOffset = 0;
};
struct Codes4 : Codes7 {
  static ANNK_HD I32 load(const uint8_t* p, bool high) {
    const uint8x16_t bytes = vld1q_u8(p);
    return {vreinterpretq_s32_u8(high ? vshrq_n_u8(bytes, 4) : vandq_u8(bytes, vdupq_n_u8(15)))};
  }
};

ANNK_HD I32 load_group4(const uint8_t* group, int i) { return Codes4::load(group + i % 32, i >= 32); }
ANNK_HD I32 load_group2(const uint8_t* group, int i) {
  const uint8x16_t codes = vshlq_u8(vld1q_u8(group), vdupq_n_s8(static_cast<int8_t>(-(i / 8))));
  return {vreinterpretq_s32_u8(vandq_u8(codes, vdupq_n_u8(3)))};
}
ANNK_HD I32 load_group1(const uint8_t* group, int i) {
  constexpr uint8_t kPlaces[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const uint8x16_t bits = vcombine_u8(vdup_n_u8(group[i / 8]), vdup_n_u8(group[i / 8 + 1]));
  return {vreinterpretq_s32_u8(vshrq_n_u8(vtstq_u8(bits, vld1q_u8(kPlaces)), 7))};
}

inline constexpr int kWords = 2;
struct Word {
  uint8x16_t v;
  static ANNK_HD Word load(const void* p) { return {vld1q_u8(static_cast<const uint8_t*>(p))}; }
  static ANNK_HD Word broadcast(const void* p) {
    uint64_t word;
    __builtin_memcpy(&word, p, 8);
    return {vreinterpretq_u8_u64(vdupq_n_u64(word))};
  }
};
ANNK_HD Word operator^(Word a, Word b) { return {veorq_u8(a.v, b.v)}; }
ANNK_HD Word operator&(Word a, Word b) { return {vandq_u8(a.v, b.v)}; }

// Bytes hold at most 8 a step, so that 31 steps fit.
struct CountWord {
  uint64x2_t sums = vdupq_n_u64(0);
  uint8x16_t bytes = vdupq_n_u8(0);
  static constexpr int kFlushEvery = 31;
  ANNK_HD void add(Word w) { bytes = vaddq_u8(bytes, vcntq_u8(w.v)); }
  ANNK_HD void flush() {
    sums = vpadalq_u32(sums, vpaddlq_u16(vpaddlq_u8(bytes)));
    bytes = vdupq_n_u8(0);
  }
  ANNK_HD void store(int32_t* p) const { vst1_s32(p, vreinterpret_s32_u32(vmovn_u64(sums))); }
  ANNK_HD int32_t sum() const { return static_cast<int32_t>(vaddvq_u64(sums)); }
};

}  // namespace annk::ANNK_ISA
