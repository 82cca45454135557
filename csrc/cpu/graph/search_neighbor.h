// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/numeric.h"
#include "core/view.h"

namespace annk::ANNK_ISA {

// A row visited, as one number that sorts as (key, id); the lowest bit says that it was expanded.
struct SearchNeighbor {
  uint64_t value;
  static ANNK_HD SearchNeighbor of(float key, int64_t id) {
    return {static_cast<uint64_t>(sortable_bits(key)) << 32 | static_cast<uint64_t>(id) << 1};
  }
  ANNK_HD float key() const { return key_of_bits(static_cast<uint32_t>(value >> 32)); }
  ANNK_HD int64_t id() const { return static_cast<int64_t>(value >> 1 & 0x7fffffffu); }
  ANNK_HD bool expanded() const { return value & 1u; }
  friend ANNK_HD bool operator<(SearchNeighbor a, SearchNeighbor b) { return a.value < b.value; }
};

}  // namespace annk::ANNK_ISA
