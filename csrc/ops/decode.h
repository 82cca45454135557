// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/view.h"

namespace annk {

// Computes  out[i] = row ids[i] of a compressed store, as float32: what distances to the row are distances to
// Shapes    store (n, d); ids (count,) int64 in [0, n), or null for rows 0 .. count - 1 -> out (count, d), contiguous.
// Numerics  float32 as written in store/<kind>.h, without fused operations: the same bits on every backend and level.
// Cost      The codes are read once, 4 count d bytes written.
// Errors    None: ids are checked before.
struct DecodeArgs {
  Dataset store;
  const int64_t* ids = nullptr;
  int64_t count = 0;
  float* out = nullptr;
  Exec exec;
};

void decode(const DecodeArgs&);

}  // namespace annk
