// SPDX-License-Identifier: Apache-2.0
// Queries in the integer form that CodeTiles multiplies with LVQ codes. The codes of a row are read in the order in which
// they lie in memory, low nibbles of a block before high ones; position p of that order is dimension
//   block * 512 / bits + byte / 4 + 16 * (byte % 4 * 8 / bits + high)
#pragma once
#include "cpu/simd/vec.h"
#include "store/lvq.h"

namespace annk::ANNK_ISA {

template <int kBits>
inline constexpr int64_t kTurboBlock = 512 / kBits;  // positions in a block

// max |v[j]|; NaN is passed over.
ANNK_HD float largest(const float* v, int64_t count) {
  F32 most = F32::zero();
  int64_t j = 0;
  for (; j + kLanes <= count; j += kLanes) most = larger(absolute(F32::load(v + j)), most);
  float lanes[kLanes], largest = 0.0f;
  most.store(lanes);
  for (int i = 0; i < kLanes; ++i) largest = larger(lanes[i], largest);
  for (; j < count; ++j) largest = larger(absolute(v[j]), largest);
  return largest;
}

// out[p] = rint(v steps), clamped to +-127, in the order of positions; returns the sum. v ends in zeros up to whole blocks.
template <int kBits, class Query>
ANNK_HD int32_t query_codes(const float* v, int64_t positions, float steps, Query* out) {
  constexpr int kHalves = 8 / kBits, kBlock = static_cast<int>(kTurboBlock<kBits>);
  int32_t total = 0;
  for (int64_t first = 0; first < positions; first += kBlock) {
    int32_t codes[kBlock];
    for (int j = 0; j < kBlock; ++j) {
      const float a = __builtin_rintf(v[first + j] * steps);
      codes[j] = static_cast<int32_t>(a > 127.0f ? 127.0f : a < -127.0f ? -127.0f : a);
    }
    for (int j = 0; j < kBlock; ++j) total += codes[j];
    for (int half = 0; half < kHalves; ++half) {
      const int32_t* const from = codes + 16 * half;
      uint32_t words[16];
      for (int i = 0; i < 16; ++i)
        words[i] = (static_cast<uint32_t>(from[i]) & 255u) | (static_cast<uint32_t>(from[i + 16 * kHalves]) & 255u) << 8 |
                   (static_cast<uint32_t>(from[i + 32 * kHalves]) & 255u) << 16 |
                   (static_cast<uint32_t>(from[i + 48 * kHalves]) & 255u) << 24;
      int8_t bytes[kTurboBytes];
      __builtin_memcpy(bytes, words, sizeof bytes);
      Query* const to = out + first + half * kTurboBytes;
      for (int i = 0; i < kTurboBytes; ++i) to[i] = bytes[i];
    }
  }
  return total;
}

// The same for a row of the store itself: out[p] = rint(low + step code).
template <int kBits, class Query>
ANNK_HD int32_t row_codes(const uint8_t* row, int64_t bytes, float low, float step, Query* out) {
  int32_t total = 0;
  for (int64_t first = 0; first < bytes; first += kTurboBytes)
    for (int half = 0; half < 8 / kBits; ++half) {
      Query* const to = out + first * (8 / kBits) + half * kTurboBytes;
      int32_t sum = 0;
      for (int i = 0; i < kTurboBytes; ++i) {
        const int32_t code = row[first + i] >> (half * kBits) & ((1 << kBits) - 1);
        const int32_t a = static_cast<int32_t>(__builtin_rintf(low + step * static_cast<float>(code)));
        to[i] = static_cast<Query>(a);
        sum += a;
      }
      total += sum;
    }
  return total;
}

}  // namespace annk::ANNK_ISA
