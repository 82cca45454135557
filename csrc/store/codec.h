// SPDX-License-Identifier: Apache-2.0
// What encode and decode ask of a store: one row at a time. Calls are virtual, as a row is hundreds of cycles.
#pragma once
#include "core/view.h"

namespace annk::ANNK_ISA {

class Codec {
 public:
  int64_t scratch_floats = 0;  // room for the caller to lend
  virtual ~Codec() = default;
  // Writes the row's codes. False: the store cannot hold these numbers.
  virtual bool encode(const float* x, int64_t row, float* scratch) const = 0;
  // dims floats.
  virtual void decode(int64_t row, float* out, float* scratch) const = 0;
};

}  // namespace annk::ANNK_ISA
