// SPDX-License-Identifier: Apache-2.0
// An entry of a result, a distance (float or int32_t) and its id, as one number: what merge_topk compares on every backend.
#pragma once
#include <type_traits>

#include "core/numeric.h"

namespace annk::ANNK_ISA {

// Ascends as (distance, id) does, best first. The distance's own bits come last, so that equal keys are equal entries, and
// the order in which entries came cannot show.
struct ResultKey {
  unsigned __int128 value;
  ANNK_HD uint32_t key_bits() const { return static_cast<uint32_t>(value >> 96); }
  ANNK_HD int64_t id() const { return static_cast<int64_t>(static_cast<uint64_t>(value >> 32)); }
  template <class T>
  ANNK_HD T distance() const {
    if constexpr (std::is_same_v<T, float>)
      return float_of_bits(static_cast<uint32_t>(value));
    else
      return static_cast<T>(static_cast<uint32_t>(value));
  }
  friend ANNK_HD bool operator<(ResultKey a, ResultKey b) { return a.value < b.value; }
};
// A missing entry: behind all others, whose ids are not negative.
ANNK_HD ResultKey no_result() { return {~static_cast<unsigned __int128>(0)}; }

template <class T>
ANNK_HD T missing_result(bool largest) {
  if constexpr (std::is_same_v<T, float>)
    return largest ? -INFINITY : INFINITY;
  else
    return largest ? INT32_MIN : INT32_MAX;
}

// Ascends as distances do, best first. NaN comes behind infinity.
template <class T>
ANNK_HD uint32_t result_bits(T distance, bool largest) {
  if constexpr (std::is_same_v<T, float>) {
    return distance == distance ? sortable_bits(largest ? -distance : distance) : ~0u;
  } else {
    const uint32_t bits = static_cast<uint32_t>(distance) ^ 0x80000000u;
    return largest ? ~bits : bits;
  }
}

// The offset is added without a sign, which cannot overflow: a sum that has no id is missing.
template <class T>
ANNK_HD ResultKey result_key(T distance, int64_t id, int64_t offset, bool largest) {
  const uint64_t shifted = static_cast<uint64_t>(id) + static_cast<uint64_t>(offset);
  if (id < 0 || shifted >> 63 != 0 || distance == missing_result<T>(largest)) return no_result();
  uint32_t bits;
  if constexpr (std::is_same_v<T, float>)
    bits = bits_of_float(distance);
  else
    bits = static_cast<uint32_t>(distance);
  const uint64_t high = static_cast<uint64_t>(result_bits(distance, largest)) << 32 | shifted >> 32;
  return {static_cast<unsigned __int128>(high) << 64 | shifted << 32 | bits};
}

}  // namespace annk::ANNK_ISA
