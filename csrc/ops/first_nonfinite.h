// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/view.h"

namespace annk {

// Computes  *row = the smallest i such that x[i] holds NaN or infinity, or -1
// Shapes    x (n, d) of f32, f16 or bf16; other types hold no such value and give -1. `row` lies in the backend's memory.
// Cost      n d elements read.
struct FirstNonfiniteArgs {
  Matrix x;
  int64_t* row = nullptr;
  Exec exec;
};

void first_nonfinite(const FirstNonfiniteArgs&);

}  // namespace annk
