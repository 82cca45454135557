// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/view.h"

namespace annk {

// Computes  rows [first, first + x.rows) of a compressed store: the codes of x (and what belongs to them)
// Shapes    x (r, d), floats or 8-bit integers; store (n, d) with first + r <= n, its arrays as store/<kind>.h describes,
//           those that fit() has made (a mean, a codebook) filled, those of the rows written here.
// Numerics  float32 as written in store/<kind>.h, without fused operations: the same codes on every backend and level.
// Order     A row's code depends on the row and on what was fitted alone.
// Cost      x is read once, the codes are written once.
// Errors    *bad_row, in the backend's memory: the smallest row of x that holds NaN or infinity, or a value that the store
//           cannot hold, or -1. The codes of such a row have no meaning.
struct EncodeArgs {
  Matrix x;
  Dataset store;
  int64_t first = 0;
  int64_t* bad_row = nullptr;
  Exec exec;
};

void encode(const EncodeArgs&);

}  // namespace annk
