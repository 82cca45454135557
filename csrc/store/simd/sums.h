// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "store/simd/vec.h"

namespace annk::ANNK_ISA {

// out[i] = the sum of acc[i]'s lanes, for four of them at once: pairs are interleaved and added, so that the four sums lie
// side by side (Zen 4: 14 operations for four sums, where four reductions take 28).
#if defined(__AVX512F__)
ANNK_HD void store_sums(const I32 (&acc)[4], int32_t* out) {
  const __m512i ab =
      _mm512_add_epi32(_mm512_unpacklo_epi32(acc[0].v, acc[1].v), _mm512_unpackhi_epi32(acc[0].v, acc[1].v));
  const __m512i cd =
      _mm512_add_epi32(_mm512_unpacklo_epi32(acc[2].v, acc[3].v), _mm512_unpackhi_epi32(acc[2].v, acc[3].v));
  const __m512i quarters = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
  const __m256i halves = _mm256_add_epi32(_mm512_castsi512_si256(quarters), _mm512_extracti64x4_epi64(quarters, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out),
                   _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1)));
}
#elif defined(__AVX2__)
ANNK_HD void store_sums(const I32 (&acc)[4], int32_t* out) {
  const __m256i halves =
      _mm256_hadd_epi32(_mm256_hadd_epi32(acc[0].v, acc[1].v), _mm256_hadd_epi32(acc[2].v, acc[3].v));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out),
                   _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1)));
}
#else
ANNK_HD void store_sums(const I32 (&acc)[4], int32_t* out) {
  for (int i = 0; i < 4; ++i) out[i] = acc[i].sum();
}
#endif

}  // namespace annk::ANNK_ISA
