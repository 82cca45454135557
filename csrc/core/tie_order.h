// SPDX-License-Identifier: Apache-2.0
// The order of rows that are equally near to a row.
#pragma once
#include "core/platform.h"

namespace annk::ANNK_ISA {

// As if by chance, and for each row another: were it the same for all, as by number, a few rows would take the places in all
// lists, and the others be in none. A place is a permutation of 31 bits, of the number and a multiple of the row's.
struct TieOrder {
  ANNK_HD static uint32_t place(int64_t row, int64_t id) {
    uint32_t x = (static_cast<uint32_t>(id) + offset(row)) & kBits;
    x = folded(x) * 0x21f0aaadu & kBits;
    return folded(x) * 0x735a2d97u & kBits;
  }
  ANNK_HD static int64_t id(int64_t row, uint32_t place) {
    uint32_t x = folded(place * 0x97132227u & kBits);
    x = folded(x * 0x333c4925u & kBits);
    return (x - offset(row)) & kBits;
  }

 private:
  static constexpr uint32_t kBits = 0x7fffffff;
  ANNK_HD static uint32_t offset(int64_t row) { return static_cast<uint32_t>(row) * 0x9e3779b9u; }
  ANNK_HD static uint32_t folded(uint32_t x) { return x ^ x >> 16; }  // its own inverse below 2^32
};

}  // namespace annk::ANNK_ISA
