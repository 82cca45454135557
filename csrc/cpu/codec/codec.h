// SPDX-License-Identifier: Apache-2.0
// What encode and decode ask of a store. Calls are virtual, as a row is hundreds of cycles.
#pragma once
#include <memory>

#include "core/view.h"

namespace annk::ANNK_ISA {

class Codec {
 public:
  int64_t scratch_floats = 0;  // room for the caller to lend
  int rows_together = 1;  // encode_rows takes so many, a divisor of 256: those whose numbers over it have the same quotient
  virtual ~Codec() = default;
  // Writes the row's codes. False: the store cannot hold these numbers.
  virtual bool encode(const float* x, int64_t row, float* scratch) const = 0;
  // Rows [row, row + count), x (count, dims). The first that the store cannot hold, or count.
  virtual int encode_rows(const float* x, int count, int64_t row, float* scratch) const {
    return count == 0 || encode(x, row, scratch) ? count : 0;
  }
  // dims floats.
  virtual void decode(int64_t row, float* out, float* scratch) const = 0;
};

// Each in a source of its own, <kind>_codec.cpp.
#define ANNK_ROW(name, ...) std::unique_ptr<const Codec> make_##name##_codec(const Dataset& store);
ANNK_CODED_STORES(ANNK_ROW)
#undef ANNK_ROW
// The codes of a compressed store (codecs.cpp); null for a plain array.
std::unique_ptr<const Codec> make_codec(const Dataset& store);

}  // namespace annk::ANNK_ISA
