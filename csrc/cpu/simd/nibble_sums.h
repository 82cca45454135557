// SPDX-License-Identifier: Apache-2.0
// The inner loop of the 4-bit fast scan: codes of 32 rows by 16 bytes a part (store/pq.h) are looked up in tables of 16
// bytes held in registers, and summed in integers: the same numbers on every instruction set.
#pragma once
#include "cpu/simd/vec.h"

namespace annk::ANNK_ISA {

inline constexpr int kNibbleRows = 64;  // of two blocks

// sums[q * 64 + r] = sum over the parts s of tables[q][s][code of part s of row r], for Q queries. blocks: two of `steps` *
// 64 bytes, rows 0 .. 31 and 32 .. 63. tables: `table_stride` bytes from query to query, 64 bytes a step.
// Entries are at most 127: two are added as bytes before they are widened, which is a quarter of the work saved.
#if defined(__AVX512VBMI__) && defined(__AVX512VNNI__)

// vpermb looks 64 bytes up at once in 64 entries, those of 4 parts: bits 4 and 5 of an index say which. Codes are put in an
// order in which a 32-bit lane holds the 4 parts of one row, so that vpdpbusd adds them up.
struct NibbleOrder {
  alignas(64) uint8_t places[64], parts[64];
  constexpr NibbleOrder() : places{}, parts{} {
    for (int i = 0; i < 64; ++i) {
      places[i] = static_cast<uint8_t>(i % 4 * 16 + i / 4);
      parts[i] = static_cast<uint8_t>(i % 4 << 4);
    }
  }
};
inline constexpr NibbleOrder kNibbleOrder;

template <int Q, int B>
ANNK_HD void sum_blocks(const uint8_t* const* blocks, int64_t steps, const uint8_t* tables, size_t table_stride,
                        int32_t* sums) {
  const __m512i order = _mm512_load_si512(kNibbleOrder.places), part = _mm512_load_si512(kNibbleOrder.parts);
  const __m512i low = _mm512_set1_epi8(15);
  const I32 ones{_mm512_set1_epi8(1)};
  I32 acc[Q][2 * B];
#pragma GCC unroll 8
  for (int q = 0; q < Q; ++q)
#pragma GCC unroll 4
    for (int i = 0; i < 2 * B; ++i) acc[q][i] = I32::zero();
  auto indices = [&](int64_t t, __m512i(&index)[2 * B]) __attribute__((always_inline)) {
#pragma GCC unroll 2
    for (int b = 0; b < B; ++b) {
      const __m512i codes = _mm512_permutexvar_epi8(order, _mm512_loadu_si512(blocks[b] + t * 64));
      index[2 * b] = _mm512_ternarylogic_epi32(codes, low, part, 0xea);  // codes & low | part
      index[2 * b + 1] = _mm512_ternarylogic_epi32(_mm512_srli_epi16(codes, 4), low, part, 0xea);
    }
  };
  int64_t t = 0;
  for (; t + 2 <= steps; t += 2) {
    __m512i first[2 * B], second[2 * B];
    indices(t, first);
    indices(t + 1, second);
#pragma GCC unroll 8
    for (int q = 0; q < Q; ++q) {
      const uint8_t* const table = tables + static_cast<size_t>(q) * table_stride + t * 64;
      const __m512i table0 = _mm512_loadu_si512(table), table1 = _mm512_loadu_si512(table + 64);
#pragma GCC unroll 4
      for (int i = 0; i < 2 * B; ++i) {
        const __m512i found = _mm512_permutexvar_epi8(first[i], table0);
        acc[q][i] = Codes8::step(acc[q][i], ones, {_mm512_add_epi8(found, _mm512_permutexvar_epi8(second[i], table1))});
      }
    }
  }
  if (t < steps) {
    __m512i first[2 * B];
    indices(t, first);
#pragma GCC unroll 8
    for (int q = 0; q < Q; ++q) {
      const __m512i table = _mm512_loadu_si512(tables + static_cast<size_t>(q) * table_stride + t * 64);
#pragma GCC unroll 4
      for (int i = 0; i < 2 * B; ++i) acc[q][i] = Codes8::step(acc[q][i], ones, {_mm512_permutexvar_epi8(first[i], table)});
    }
  }
#pragma GCC unroll 8
  for (int q = 0; q < Q; ++q)
#pragma GCC unroll 4
    for (int i = 0; i < 2 * B; ++i) acc[q][i].store(sums + q * kNibbleRows + i * 16);
}

// A single query takes one block after the other, and prefetches nothing: one long stream, which hardware follows (Zen
// 4, 1.6 million rows of 96 bytes: 26 GB/s; two blocks side by side 12, whatever is fetched ahead).
template <int Q>
ANNK_HD void nibble_sums(const uint8_t* const (&blocks)[2], int64_t steps, const uint8_t* tables, size_t table_stride,
                         int32_t* sums) {
  if constexpr (Q > 1) return sum_blocks<Q, 2>(blocks, steps, tables, table_stride, sums);
  for (int b = 0; b < 2; ++b) sum_blocks<Q, 1>(blocks + b, steps, tables, table_stride, sums + b * 32);
}

#else

// CodeBytes of a register of codes, looked up in one table of 16 for every 16 of them, and sums of 16 bits for the even and
// the odd bytes: `both` adds bytes in pairs, carries of even into odd bytes included, `odd` the odd ones alone. add_rows
// adds the sums of 16 rows, those of all parts of the registers, to int32; add_lanes those of 16 rows a part.
// of_rows: 16 bytes of rows 0, 16, .. a part each. repeat: 16 bytes in every part.
#if !defined(__aarch64__)
ANNK_HD __m128i load16(const uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
ANNK_HD void add_pairs(__m128i even, __m128i odd, int32_t* rows) {
  const __m128i halves[2] = {_mm_unpacklo_epi16(even, odd), _mm_unpackhi_epi16(even, odd)};
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m128i four = i % 2 == 0 ? halves[i / 2] : _mm_srli_si128(halves[i / 2], 8);
    __m128i* const to = reinterpret_cast<__m128i*>(rows + i * 4);
    _mm_storeu_si128(to, _mm_add_epi32(_mm_loadu_si128(to), _mm_cvtepu16_epi32(four)));
  }
}
#endif
#if defined(__AVX512BW__)
struct CodeBytes {
  __m512i v;
  static constexpr int kParts = 4;
  static ANNK_HD CodeBytes zero() { return {_mm512_setzero_si512()}; }
  static ANNK_HD CodeBytes load(const uint8_t* p) { return {_mm512_loadu_si512(p)}; }
  static ANNK_HD CodeBytes repeat(const uint8_t* p) { return {_mm512_broadcast_i32x4(load16(p))}; }
  template <class Rows>
  static ANNK_HD CodeBytes of_rows(const Rows& rows, int64_t at) {
    const __m512i v =
        _mm512_mask_broadcast_i32x4(_mm512_castsi128_si512(load16(rows[0] + at)), 0x00f0, load16(rows[16] + at));
    return {_mm512_mask_broadcast_i32x4(_mm512_mask_broadcast_i32x4(v, 0x0f00, load16(rows[32] + at)), 0xf000,
                                        load16(rows[48] + at))};
  }
  ANNK_HD CodeBytes unpack_low(CodeBytes other) const { return {_mm512_unpacklo_epi8(v, other.v)}; }
  ANNK_HD CodeBytes unpack_high(CodeBytes other) const { return {_mm512_unpackhi_epi8(v, other.v)}; }
  ANNK_HD CodeBytes low() const { return {_mm512_and_si512(v, _mm512_set1_epi8(15))}; }
  ANNK_HD CodeBytes high() const { return CodeBytes{_mm512_srli_epi16(v, 4)}.low(); }
  ANNK_HD CodeBytes look_up(CodeBytes table) const { return {_mm512_shuffle_epi8(table.v, v)}; }
  ANNK_HD CodeBytes odd() const { return {_mm512_srli_epi16(v, 8)}; }
  ANNK_HD CodeBytes add8(CodeBytes other) const { return {_mm512_add_epi8(v, other.v)}; }
  ANNK_HD CodeBytes add16(CodeBytes other) const { return {_mm512_add_epi16(v, other.v)}; }
  static ANNK_HD __m128i fold(__m512i x) {
    const __m256i half = _mm256_add_epi16(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));
    return _mm_add_epi16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
  }
  static ANNK_HD void add_rows(CodeBytes both, CodeBytes odd, int32_t* rows) {
    add_pairs(fold(_mm512_sub_epi16(both.v, _mm512_slli_epi16(odd.v, 8))), fold(odd.v), rows);
  }
  static ANNK_HD void add_lanes(CodeBytes both, CodeBytes odd, int32_t* rows) {
    const __m512i even = _mm512_sub_epi16(both.v, _mm512_slli_epi16(odd.v, 8));
    add_pairs(_mm512_castsi512_si128(even), _mm512_castsi512_si128(odd.v), rows);
    add_pairs(_mm512_extracti32x4_epi32(even, 1), _mm512_extracti32x4_epi32(odd.v, 1), rows + 16);
    add_pairs(_mm512_extracti32x4_epi32(even, 2), _mm512_extracti32x4_epi32(odd.v, 2), rows + 32);
    add_pairs(_mm512_extracti32x4_epi32(even, 3), _mm512_extracti32x4_epi32(odd.v, 3), rows + 48);
  }
};
#elif defined(__AVX2__)
struct CodeBytes {
  __m256i v;
  static constexpr int kParts = 2;
  static ANNK_HD CodeBytes zero() { return {_mm256_setzero_si256()}; }
  static ANNK_HD CodeBytes load(const uint8_t* p) { return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))}; }
  static ANNK_HD CodeBytes repeat(const uint8_t* p) { return {_mm256_broadcastsi128_si256(load16(p))}; }
  template <class Rows>
  static ANNK_HD CodeBytes of_rows(const Rows& rows, int64_t at) {
    return {_mm256_inserti128_si256(_mm256_castsi128_si256(load16(rows[0] + at)), load16(rows[16] + at), 1)};
  }
  ANNK_HD CodeBytes unpack_low(CodeBytes other) const { return {_mm256_unpacklo_epi8(v, other.v)}; }
  ANNK_HD CodeBytes unpack_high(CodeBytes other) const { return {_mm256_unpackhi_epi8(v, other.v)}; }
  ANNK_HD CodeBytes low() const { return {_mm256_and_si256(v, _mm256_set1_epi8(15))}; }
  ANNK_HD CodeBytes high() const { return CodeBytes{_mm256_srli_epi16(v, 4)}.low(); }
  ANNK_HD CodeBytes look_up(CodeBytes table) const { return {_mm256_shuffle_epi8(table.v, v)}; }
  ANNK_HD CodeBytes odd() const { return {_mm256_srli_epi16(v, 8)}; }
  ANNK_HD CodeBytes add8(CodeBytes other) const { return {_mm256_add_epi8(v, other.v)}; }
  ANNK_HD CodeBytes add16(CodeBytes other) const { return {add16_in_place({v}, {other.v}).v}; }
  static ANNK_HD __m128i fold(__m256i x) { return _mm_add_epi16(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1)); }
  static ANNK_HD void add_rows(CodeBytes both, CodeBytes odd, int32_t* rows) {
    add_pairs(fold(_mm256_sub_epi16(both.v, _mm256_slli_epi16(odd.v, 8))), fold(odd.v), rows);
  }
  static ANNK_HD void add_lanes(CodeBytes both, CodeBytes odd, int32_t* rows) {
    const __m256i even = _mm256_sub_epi16(both.v, _mm256_slli_epi16(odd.v, 8));
    add_pairs(_mm256_castsi256_si128(even), _mm256_castsi256_si128(odd.v), rows);
    add_pairs(_mm256_extracti128_si256(even, 1), _mm256_extracti128_si256(odd.v, 1), rows + 16);
  }
};
#elif defined(__aarch64__)
struct CodeBytes {
  uint8x16_t v;
  static constexpr int kParts = 1;
  static ANNK_HD CodeBytes zero() { return {vdupq_n_u8(0)}; }
  static ANNK_HD CodeBytes load(const uint8_t* p) { return {vld1q_u8(p)}; }
  static ANNK_HD CodeBytes repeat(const uint8_t* p) { return load(p); }
  template <class Rows>
  static ANNK_HD CodeBytes of_rows(const Rows& rows, int64_t at) {
    return load(rows[0] + at);
  }
  ANNK_HD CodeBytes unpack_low(CodeBytes other) const { return {vzip1q_u8(v, other.v)}; }
  ANNK_HD CodeBytes unpack_high(CodeBytes other) const { return {vzip2q_u8(v, other.v)}; }
  ANNK_HD CodeBytes low() const { return {vandq_u8(v, vdupq_n_u8(15))}; }
  ANNK_HD CodeBytes high() const { return {vshrq_n_u8(v, 4)}; }
  ANNK_HD CodeBytes look_up(CodeBytes table) const { return {vqtbl1q_u8(table.v, v)}; }
  ANNK_HD CodeBytes odd() const { return {vreinterpretq_u8_u16(vshrq_n_u16(vreinterpretq_u16_u8(v), 8))}; }
  ANNK_HD CodeBytes add8(CodeBytes other) const { return {vaddq_u8(v, other.v)}; }
  ANNK_HD CodeBytes add16(CodeBytes other) const {
    return {vreinterpretq_u8_u16(vaddq_u16(vreinterpretq_u16_u8(v), vreinterpretq_u16_u8(other.v)))};
  }
  static ANNK_HD void add_rows(CodeBytes both, CodeBytes odd, int32_t* rows) {
    const uint16x8_t odds = vreinterpretq_u16_u8(odd.v);
    const uint16x8_t evens = vsubq_u16(vreinterpretq_u16_u8(both.v), vshlq_n_u16(odds, 8));
    const uint16x8_t halves[2] = {vzip1q_u16(evens, odds), vzip2q_u16(evens, odds)};
    for (int i = 0; i < 4; ++i) {
      const uint16x4_t four = i % 2 == 0 ? vget_low_u16(halves[i / 2]) : vget_high_u16(halves[i / 2]);
      vst1q_s32(rows + i * 4, vaddq_s32(vld1q_s32(rows + i * 4), vreinterpretq_s32_u32(vmovl_u16(four))));
    }
  }
  static ANNK_HD void add_lanes(CodeBytes both, CodeBytes odd, int32_t* rows) { add_rows(both, odd, rows); }
};
#else
struct CodeBytes {
  __m128i v;
  static constexpr int kParts = 1;
  static ANNK_HD CodeBytes zero() { return {_mm_setzero_si128()}; }
  static ANNK_HD CodeBytes load(const uint8_t* p) { return {load16(p)}; }
  static ANNK_HD CodeBytes repeat(const uint8_t* p) { return load(p); }
  template <class Rows>
  static ANNK_HD CodeBytes of_rows(const Rows& rows, int64_t at) {
    return load(rows[0] + at);
  }
  ANNK_HD CodeBytes unpack_low(CodeBytes other) const { return {_mm_unpacklo_epi8(v, other.v)}; }
  ANNK_HD CodeBytes unpack_high(CodeBytes other) const { return {_mm_unpackhi_epi8(v, other.v)}; }
  ANNK_HD CodeBytes low() const { return {_mm_and_si128(v, _mm_set1_epi8(15))}; }
  ANNK_HD CodeBytes high() const { return CodeBytes{_mm_srli_epi16(v, 4)}.low(); }
  ANNK_HD CodeBytes look_up(CodeBytes table) const { return {_mm_shuffle_epi8(table.v, v)}; }
  ANNK_HD CodeBytes odd() const { return {_mm_srli_epi16(v, 8)}; }
  ANNK_HD CodeBytes add8(CodeBytes other) const { return {_mm_add_epi8(v, other.v)}; }
  ANNK_HD CodeBytes add16(CodeBytes other) const { return {_mm_add_epi16(v, other.v)}; }
  static ANNK_HD void add_rows(CodeBytes both, CodeBytes odd, int32_t* rows) {
    add_pairs(_mm_sub_epi16(both.v, _mm_slli_epi16(odd.v, 8)), odd.v, rows);
  }
  static ANNK_HD void add_lanes(CodeBytes both, CodeBytes odd, int32_t* rows) { add_rows(both, odd, rows); }
};
#endif

inline constexpr int64_t kFlushSteps = 128;  // 512 parts of at most 127 each fit 16 bits

// One block and Q queries, steps [from, to): adds to sums[q * 64 + r] for 32 rows. Not inlined: g++ 12 would keep the mask
// and sums in memory for what the caller holds in registers (Zen 5, AVX2, 192 parts, one query: 1.8 ns a row, where it
// took 2.05).
template <int Q>
__attribute__((noinline)) void add_nibbles(const uint8_t* block, int64_t from, int64_t to, const uint8_t* tables,
                                           size_t table_stride, int32_t* sums) {
  constexpr int kBytes = 16 * CodeBytes::kParts;
  CodeBytes both[Q][2], odd[Q][2];
#pragma GCC unroll 4
  for (int q = 0; q < Q; ++q)
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) both[q][h] = odd[q][h] = CodeBytes::zero();
  int64_t at = from * 64;
  for (; at + 2 * kBytes <= to * 64; at += 2 * kBytes) {
    const CodeBytes codes[2] = {CodeBytes::load(block + at), CodeBytes::load(block + at + kBytes)};
    const CodeBytes half[2][2] = {{codes[0].low(), codes[1].low()}, {codes[0].high(), codes[1].high()}};
#pragma GCC unroll 4
    for (int q = 0; q < Q; ++q) {
      const uint8_t* const table = tables + static_cast<size_t>(q) * table_stride + at;
      const CodeBytes table0 = CodeBytes::load(table), table1 = CodeBytes::load(table + kBytes);
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h) {
        const CodeBytes found = half[h][0].look_up(table0).add8(half[h][1].look_up(table1));
        both[q][h] = both[q][h].add16(found);
        odd[q][h] = odd[q][h].add16(found.odd());
      }
    }
  }
  if (at < to * 64) {
    const CodeBytes codes = CodeBytes::load(block + at), half[2] = {codes.low(), codes.high()};
#pragma GCC unroll 4
    for (int q = 0; q < Q; ++q) {
      const CodeBytes table = CodeBytes::load(tables + static_cast<size_t>(q) * table_stride + at);
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h) {
        const CodeBytes found = half[h].look_up(table);
        both[q][h] = both[q][h].add16(found);
        odd[q][h] = odd[q][h].add16(found.odd());
      }
    }
  }
#pragma GCC unroll 4
  for (int q = 0; q < Q; ++q)
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) CodeBytes::add_rows(both[q][h], odd[q][h], sums + q * kNibbleRows + h * 16);
}

template <int Q>
ANNK_HD void nibble_sums(const uint8_t* const (&blocks)[2], int64_t steps, const uint8_t* tables, size_t table_stride,
                         int32_t* sums) {
  constexpr int kTogether = Q < 2 ? Q : 2;  // 8 accumulators
  for (int i = 0; i < Q * kNibbleRows; ++i) sums[i] = 0;
  for (int b = 0; b < 2; ++b)
    for (int64_t from = 0; from < steps; from += kFlushSteps) {
      const int64_t to = steps - from < kFlushSteps ? steps : from + kFlushSteps;
      for (int q = 0; q < Q; q += kTogether)
        add_nibbles<kTogether>(blocks[b], from, to, tables + static_cast<size_t>(q) * table_stride, table_stride,
                               sums + q * kNibbleRows + b * 32);
    }
}

#endif

}  // namespace annk::ANNK_ISA
