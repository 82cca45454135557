// SPDX-License-Identifier: Apache-2.0
// Scalar arithmetic whose bits are part of the contract, and the 16-bit float types, on host and device alike.
#pragma once
#include <bit>
#include <cmath>

#include "core/platform.h"

namespace annk::ANNK_ISA {

// One rounding where the target has the instruction (every ISA level but x86-64-v2), two where it has not.
ANNK_HD float multiply_add(float a, float b, float c) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__CUDACC__) || defined(ANNK_EMULATED)
  return fmaf(a, b, c);
#else
  return a * b + c;
#endif
}
ANNK_HD float absolute(float a) { return fabsf(a); }
// A NaN in either operand is not kept: rows with NaN are found by looking at the rows.
ANNK_HD float larger(float a, float b) { return a > b ? a : b; }
ANNK_HD float smaller(float a, float b) { return a < b ? a : b; }

ANNK_HD float float_of_bits(uint32_t bits) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(bits);
#else
  return std::bit_cast<float>(bits);
#endif
}
ANNK_HD uint32_t bits_of_float(float value) {
#if defined(__CUDA_ARCH__)
  return __float_as_uint(value);
#else
  return std::bit_cast<uint32_t>(value);
#endif
}

// IEEE binary16 and bfloat16 as stored; both widen to float32 exactly.
struct Half {
  uint16_t bits;
};
struct Bfloat16 {
  uint16_t bits;
};

ANNK_HD float widen(float x) { return x; }
ANNK_HD float widen(int8_t x) { return static_cast<float>(x); }
ANNK_HD float widen(uint8_t x) { return static_cast<float>(x); }
ANNK_HD float widen(Bfloat16 x) { return float_of_bits(static_cast<uint32_t>(x.bits) << 16); }
// Exponent re-biased by a multiplication with 2^112, which also normalises subnormals; infinity and NaN are patched.
ANNK_HD float widen(Half x) {
  const uint32_t magnitude = static_cast<uint32_t>(x.bits & 0x7fffu) << 13;
  const float scaled = float_of_bits(magnitude) * float_of_bits(0x77800000u);
  const uint32_t patched = magnitude >= 0x0f800000u ? magnitude | 0x7f800000u : bits_of_float(scaled);
  return float_of_bits(patched | static_cast<uint32_t>(x.bits & 0x8000u) << 16);
}

// binary16 nearest to x from below, and from above: the exponent is re-biased by a multiplication that rounds in float32,
// and what came out on the wrong side moves one step. Beyond 65,504 the result is infinite.
ANNK_HD Half narrow_nearest(float x) {
  const uint32_t bits = bits_of_float(x), sign = bits >> 16 & 0x8000u;
  const float magnitude = absolute(x);
  if (!(magnitude < 65520.0f)) return {static_cast<uint16_t>(sign | 0x7c00u)};
  if (magnitude < 6.103515625e-05f)  // subnormal: a multiple of 2^-24
    return {static_cast<uint16_t>(sign | (bits_of_float(magnitude + 0.5f) & 0x7ffu))};
  const uint32_t rounded = bits_of_float(magnitude) + 0xfffu + (bits_of_float(magnitude) >> 13 & 1u);
  return {static_cast<uint16_t>(sign | ((rounded >> 13) - (112u << 10)))};
}
ANNK_HD Half half_step(Half x, bool up) {  // the next smaller or larger number
  if ((x.bits & 0x7fffu) == 0) return {static_cast<uint16_t>(up ? 1u : 0x8001u)};
  return {static_cast<uint16_t>(up == (x.bits < 0x8000u) ? x.bits + 1u : x.bits - 1u)};
}
ANNK_HD Half narrow_down(float x) {
  const Half near = narrow_nearest(x);
  return widen(near) > x ? half_step(near, false) : near;
}
ANNK_HD Half narrow_up(float x) {
  const Half near = narrow_nearest(x);
  return widen(near) < x ? half_step(near, true) : near;
}

// Sums of products of codes with a query are kept in int32 up to so many dimensions.
constexpr int64_t most_code_dims(int code_bits, int query_top) { return 0x7fffffff / (((1 << code_bits) - 1) * query_top); }

// Sums whose order is part of a contract and that should still fill a register: term j joins partial sum j % 16, in
// ascending order, and the 16 are added one after the other.
struct Sum16 {
  double partial[16] = {};
  ANNK_HD double total() const {
    double sum = 0.0;
    for (int i = 0; i < 16; ++i) sum += partial[i];
    return sum;
  }
};
// term(j), a double, for j in [0, count).
template <class Term>
ANNK_HD double sum16(int64_t count, Term&& term) {
  Sum16 sum;
  int64_t j = 0;
  for (; j + 16 <= count; j += 16)
    for (int i = 0; i < 16; ++i) sum.partial[i] += term(j + i);
  for (int i = 0; j + i < count; ++i) sum.partial[i] += term(j + i);
  return sum.total();
}

ANNK_HD double product16(const float* a, const float* b, int64_t count) {
  return sum16(count, [&](int64_t j) { return static_cast<double>(a[j]) * static_cast<double>(b[j]); });
}

// A query far from zero, as what lies along the rows' mean and what does not: scale q = along mean / length + across.
struct MeanSplit {
  double scale, along, length;
  ANNK_HD MeanSplit(double scale_of_query, double product_with_mean, float length_of_mean)
      : scale(scale_of_query), along(product_with_mean * scale_of_query / length_of_mean), length(length_of_mean) {}
  ANNK_HD float across(float q, float mean) const {
    return static_cast<float>(static_cast<double>(q) * scale - along / length * static_cast<double>(mean));
  }
};
// 1 - cos of a row and the mean, from the row's part along the mean, the square of what lies across it, and its inverse
// norm.
ANNK_HD float tilt_from_mean(double along, double across, double inverse) {
  const double cosine = along * inverse;
  if (!(cosine > 0.0)) return static_cast<float>(1.0 - cosine);
  return static_cast<float>((across > 0.0 ? across : 0.0) * inverse * inverse / (1.0 + cosine));
}

// A monotone map of floats onto unsigned integers: a < b exactly when sortable_bits(a) < sortable_bits(b). -0 maps as +0
// does, NaN as +infinity does, so that a key is always comparable.
ANNK_HD uint32_t sortable_bits(float key) {
  if (!(key < INFINITY)) return 0xff800000u;
  const uint32_t bits = bits_of_float(key + 0.0f);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
ANNK_HD float key_of_bits(uint32_t bits) { return float_of_bits(bits & 0x80000000u ? bits & 0x7fffffffu : ~bits); }

// 1 / |x| from the float32 sum of squares. A sum that is small or large enough to have lost digits is to be made again
// in float64 first (needs_wide_sum). Vectors whose inverse norm float32 cannot hold, and those of 2^126 and longer, whose
// products it may not hold, have none: their cosine distance is 1.
ANNK_HD bool needs_wide_sum(float sum) { return !(sum > 1e-30f && sum < 1e30f); }
ANNK_HD double wide_inverse_norm(double sum) {
  if (!(sum < INFINITY)) return NAN;  // of NaN, or infinity
  const double inverse = sum > 0.0 && sum < 0x1p252 ? 1.0 / sqrt(sum) : 0.0;
  return inverse < 3e38 ? inverse : 0.0;
}
ANNK_HD float inverse_norm(double sum) { return static_cast<float>(wide_inverse_norm(sum)); }

}  // namespace annk::ANNK_ISA
