// SPDX-License-Identifier: Apache-2.0
// Stands before the compiler's immintrin.h: AVX-512 by SIMDe, in plain C++, for machines without it. What SIMDe 0.7 has
// not, or rounds otherwise, follows it here, element by element as Intel's guide defines it.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#define SIMDE_NO_NATIVE
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>

#undef _mm256_fmadd_ps
#undef _mm512_fmadd_ps
#undef _mm512_madd_epi16
#undef _mm512_shuffle_f32x4

namespace annk_simde {

// Element i of the result is f(i); inputs are read through array<T>().
template <class T, class Vector>
struct Elements {
  T x[sizeof(Vector) / sizeof(T)];
  explicit Elements(const Vector& v) { memcpy(x, &v, sizeof v); }
  T operator[](int i) const { return x[i]; }
};
template <class T, class Vector, class F>
Vector make(F f) {
  T x[sizeof(Vector) / sizeof(T)];
  for (int i = 0; i < static_cast<int>(sizeof(Vector) / sizeof(T)); ++i) x[i] = static_cast<T>(f(i));
  Vector v;
  memcpy(&v, x, sizeof v);
  return v;
}
template <class From, class To, class Wide, class Narrow>
Wide convert(const Narrow& v) {
  const Elements<From, Narrow> a(v);
  return make<To, Wide>([&](int i) { return a[i]; });
}
template <class T, class Vector>
T sum(const Vector& v) {
  const Elements<T, Vector> a(v);
  T total = 0;
  for (T x : a.x) total += x;
  return total;
}
template <class Vector>
Vector fused(const Vector& a, const Vector& b, const Vector& c) {
  const Elements<float, Vector> x(a), y(b), z(c);
  return make<float, Vector>([&](int i) { return std::fma(x[i], y[i], z[i]); });  // SIMDe rounds twice
}

}  // namespace annk_simde

using __mmask16 = simde__mmask16;
using __mmask64 = simde__mmask64;

#define ANNK_INTRINSIC static inline __attribute__((always_inline))
ANNK_INTRINSIC __m256 _mm256_fmadd_ps(__m256 a, __m256 b, __m256 c) { return annk_simde::fused(a, b, c); }
ANNK_INTRINSIC __m512 _mm512_fmadd_ps(__m512 a, __m512 b, __m512 c) { return annk_simde::fused(a, b, c); }
ANNK_INTRINSIC __m512 _mm512_cvtepi32_ps(__m512i a) { return annk_simde::convert<int32_t, float, __m512>(a); }
ANNK_INTRINSIC __m512i _mm512_cvtepu16_epi32(__m256i a) { return annk_simde::convert<uint16_t, int32_t, __m512i>(a); }
ANNK_INTRINSIC __m512i _mm512_cvttps_epi32(__m512 a) { return annk_simde::convert<float, int32_t, __m512i>(a); }
ANNK_INTRINSIC __m512d _mm512_cvtps_pd(__m256 a) { return annk_simde::convert<float, double, __m512d>(a); }
ANNK_INTRINSIC __m256 _mm512_extractf32x8_ps(__m512 a, int half) {
  const annk_simde::Elements<float, __m512> x(a);
  return annk_simde::make<float, __m256>([&](int i) { return x[8 * half + i]; });
}
ANNK_INTRINSIC __m128i _mm512_cvtepi32_epi8(__m512i a) { return annk_simde::convert<int32_t, uint8_t, __m128i>(a); }
ANNK_INTRINSIC __m512i _mm512_cvtepi8_epi32(__m128i a) { return annk_simde::convert<int8_t, int32_t, __m512i>(a); }
ANNK_INTRINSIC __m512i _mm512_cvtepu8_epi32(__m128i a) { return annk_simde::convert<uint8_t, int32_t, __m512i>(a); }
ANNK_INTRINSIC __m512i _mm512_cvtepu8_epi16(__m256i a) { return annk_simde::convert<uint8_t, int16_t, __m512i>(a); }
ANNK_INTRINSIC int _mm512_reduce_add_epi32(__m512i a) { return annk_simde::sum<int32_t>(a); }
ANNK_INTRINSIC long long _mm512_reduce_add_epi64(__m512i a) { return annk_simde::sum<int64_t>(a); }
ANNK_INTRINSIC __m512 _mm512_cvtph_ps(__m256i a) {
  __m128i halves[2];
  memcpy(halves, &a, sizeof a);
  const __m256 parts[2] = {_mm256_cvtph_ps(halves[0]), _mm256_cvtph_ps(halves[1])};
  __m512 wide;
  memcpy(&wide, parts, sizeof wide);
  return wide;
}
ANNK_INTRINSIC __m512i _mm512_madd_epi16(__m512i a, __m512i b) {
  const annk_simde::Elements<int16_t, __m512i> x(a), y(b);
  return annk_simde::make<int32_t, __m512i>([&](int i) { return x[2 * i] * y[2 * i] + x[2 * i + 1] * y[2 * i + 1]; });
}
ANNK_INTRINSIC __m512 _mm512_shuffle_f32x4(__m512 a, __m512 b, int choice) {
  const annk_simde::Elements<float, __m512> x(a), y(b);
  return annk_simde::make<float, __m512>([&](int i) {
    const int quarter = choice >> (i / 4 * 2) & 3;
    return (i < 8 ? x : y)[4 * quarter + i % 4];
  });
}
ANNK_INTRINSIC float _cvtsh_ss(unsigned short bits) {
  const __m128 wide = _mm_cvtph_ps(_mm_set1_epi16(static_cast<short>(bits)));
  return annk_simde::Elements<float, __m128>(wide)[0];
}
