// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/platform.h"

namespace annk {

// `dims` dimensions cut into `parts` runs, the first dims % parts of which are one longer: numpy.array_split's rule.
struct Parts {
  int64_t dims = 0, parts = 1;

  ANNK_HD int64_t first(int64_t part) const {
    const int64_t longer = dims % parts;
    return part * (dims / parts) + (part < longer ? part : longer);
  }
  ANNK_HD int64_t width(int64_t part) const { return dims / parts + (part < dims % parts ? 1 : 0); }
  ANNK_HD int64_t widest() const { return (dims + parts - 1) / parts; }
};

}  // namespace annk
