// SPDX-License-Identifier: Apache-2.0
// Sums of a query's numbers over the set bits of rows, for a few queries: nibbles of kBitSumRows rows are looked up in
// tables of what each adds. Zen 5, 384 bits in L3: by AVX-512 about 1.7 ns a row, where products of bits and numbers take
// 3.2; by AVX2 about 1.7, too, of 2.8 for a whole key, which by products takes 5.5.
#pragma once
#include "cpu/simd/nibble_sums.h"
#include "cpu/simd/pack.h"

namespace annk::ANNK_ISA {

inline constexpr int kBitTableBytes = 128;  // for each 32 bits of a row

#if defined(__AVX512VBMI__) && defined(__AVX512VNNI__)

inline constexpr int kBitSumRows = kLanes;
constexpr int64_t bit_table_bytes(int64_t words) { return words * kBitTableBytes; }

// vpermb looks the low nibbles of 4 bytes of 16 rows up at once, then the high ones. numbers: of magnitude up to 31, so that
// four fit a byte.
inline void make_bit_tables(const int8_t* numbers, int64_t words, int8_t* tables) {
  for (int64_t w = 0; w < words; ++w, numbers += 32, tables += kBitTableBytes)
    for (int nibble = 0; nibble < 8; ++nibble) {
      const int8_t* const group = numbers + nibble * 4;
      int8_t* const out = tables + nibble % 2 * 64 + nibble / 2 * 16;
      out[0] = 0;
      for (int bit = 0; bit < 4; ++bit)
        for (int i = 0; i < 1 << bit; ++i) out[i + (1 << bit)] = static_cast<int8_t>(out[i] + group[bit]);
    }
}

// Of kBitSumRows rows. Rows are read by 16 bytes.
template <class Rows>
ANNK_HD void bit_sums(Rows rows, int64_t words, const int8_t* tables, int32_t* out) {
  const __m512i part = _mm512_load_si512(kNibbleOrder.parts), low = _mm512_set1_epi8(15);
  const I32 ones{_mm512_set1_epi8(1)};
  I32 sums[2] = {I32::zero(), I32::zero()};
  for (int64_t w = 0; w < words; w += 4) {
    F32 quads[4];
    load_quads(rows, w * 4, quads);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      if (i == 2 && w + 2 == words) break;  // words come in pairs
      const __m512i bits = _mm512_castps_si512(quads[i].v);
      const __m512i index0 = _mm512_ternarylogic_epi32(bits, low, part, 0xea);  // bits & low | part
      const __m512i index1 = _mm512_ternarylogic_epi32(_mm512_srli_epi16(bits, 4), low, part, 0xea);
      const int8_t* const tables_at = tables + (w + i) * kBitTableBytes;
      sums[0] = Codes8::step(sums[0], {_mm512_permutexvar_epi8(index0, _mm512_loadu_si512(tables_at))}, ones);
      sums[1] = Codes8::step(sums[1], {_mm512_permutexvar_epi8(index1, _mm512_loadu_si512(tables_at + 64))}, ones);
    }
  }
  (sums[0] + sums[1]).store(out);
}

#else

// Codes of kBitSumRows rows are transposed, so that a byte of 16 rows lies in each part of a register and both its nibbles
// are looked up in a table each. Entries count from the least of their table, so that they are not negative.
inline constexpr int kBitSumRows = 16 * CodeBytes::kParts;
struct BitTableEnd {  // behind the tables
  int32_t least;      // the sum of what entries count from
  int32_t together;   // so many entries in a row, 2 or 4, can be added as bytes
};
constexpr int64_t bit_table_bytes(int64_t words) {
  return words * kBitTableBytes + static_cast<int64_t>(sizeof(BitTableEnd));
}

inline void make_bit_tables(const int8_t* numbers, int64_t words, int8_t* tables) {
  BitTableEnd end{0, 4};
  int most = 0;
  uint8_t* out = reinterpret_cast<uint8_t*>(tables);
  for (int64_t nibble = 0; nibble < words * 8; ++nibble, numbers += 4, out += 16) {
    int least = 0, span = 0;
    for (int bit = 0; bit < 4; ++bit) {
      least += numbers[bit] < 0 ? numbers[bit] : 0;
      span += numbers[bit] < 0 ? -numbers[bit] : numbers[bit];
    }
    out[0] = static_cast<uint8_t>(-least);
    for (int bit = 0; bit < 4; ++bit)
      for (int i = 0; i < 1 << bit; ++i) out[i + (1 << bit)] = static_cast<uint8_t>(out[i] + numbers[bit]);
    end.least += least;
    most = nibble % 4 == 0 ? span : most + span;
    if (most > 255) end.together = 2;
  }
  __builtin_memcpy(out, &end, sizeof end);
}

inline constexpr int64_t kFlushBytes = 256;  // of two entries of at most 124 each fit 16 bits

// Bytes [from, to) of the rows. Not inlined, as add_nibbles.
template <int kTogether, class Rows>
__attribute__((noinline)) void add_bits(Rows rows, int64_t from, int64_t to, const uint8_t* tables, int32_t* sums) {
  CodeBytes both = CodeBytes::zero(), odd = CodeBytes::zero();
  for (int64_t at = from; at < to; at += 16) {
    CodeBytes halves[2][8];
    Rows low = rows, high = rows;
    high += 8;
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i, low += 1, high += 1) {
      const CodeBytes first = CodeBytes::of_rows(low, at), second = CodeBytes::of_rows(high, at);
      halves[0][i] = first.unpack_low(second);
      halves[1][i] = first.unpack_high(second);
    }
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      if (at + half * 8 == to) break;  // bytes come in eights
      CodeBytes(&codes)[8] = halves[half];
#pragma GCC unroll 3
      for (int round = 0; round < 3; ++round) {
        CodeBytes next[8];
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
          next[2 * i] = codes[i].unpack_low(codes[i + 4]);
          next[2 * i + 1] = codes[i].unpack_high(codes[i + 4]);
        }
#pragma GCC unroll 8
        for (int i = 0; i < 8; ++i) codes[i] = next[i];
      }
      const uint8_t* const tables_at = tables + (at + half * 8) * 32;
#pragma GCC unroll 8
      for (int i = 0; i < 8; i += kTogether / 2) {
        const auto found = [&](int s) __attribute__((always_inline)) {
          const CodeBytes low = codes[s].low().look_up(CodeBytes::repeat(tables_at + s * 32));
          return low.add8(codes[s].high().look_up(CodeBytes::repeat(tables_at + s * 32 + 16)));
        };
        CodeBytes sum = found(i);
        if constexpr (kTogether == 4) sum = sum.add8(found(i + 1));
        both = both.add16(sum);
        odd = odd.add16(sum.odd());
      }
    }
  }
  CodeBytes::add_lanes(both, odd, sums);
}

// Of kBitSumRows rows. Rows are read by 16 bytes.
template <class Rows>
ANNK_HD void bit_sums(Rows rows, int64_t words, const int8_t* tables, int32_t* sums) {
  const uint8_t* const entries = reinterpret_cast<const uint8_t*>(tables);
  BitTableEnd end;
  __builtin_memcpy(&end, entries + words * kBitTableBytes, sizeof end);
  for (int r = 0; r < kBitSumRows; ++r) sums[r] = end.least;
  for (int64_t from = 0; from < words * 4; from += kFlushBytes) {
    const int64_t to = words * 4 - from < kFlushBytes ? words * 4 : from + kFlushBytes;
    if (end.together == 4)
      add_bits<4>(rows, from, to, entries, sums);
    else
      add_bits<2>(rows, from, to, entries, sums);
  }
}

#endif

}  // namespace annk::ANNK_ISA
