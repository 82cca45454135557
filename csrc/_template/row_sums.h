// SPDX-License-Identifier: Apache-2.0
// An operation to copy: this file to csrc/ops/<name>.h, row_sums.cpp to a room of csrc/cpu/, row_sums.cu to one of
// csrc/cuda/.
#pragma once
#include "core/view.h"

namespace annk {

// Computes  sums[i] = sum_j x[i, j]
// Shapes    x (n, d) of f32, any stride -> sums (n,) float32, contiguous. Any n, d >= 0.
// Numerics  One chain of additions over d in ascending order: |error| <= d * 2^-24 * sum_j |x[i, j]|.
// Order     A sum's bits depend on d alone: never on threads, n or position.
// Missing   None. A sum that overflows is inf.
// Cost      n d additions; 4 n d bytes read, 4 n written.
// Errors    None: shapes and types are checked before.
struct RowSumsArgs {
  Matrix x;
  float* sums = nullptr;
  Exec exec;
};

void row_sums(const RowSumsArgs&);

}  // namespace annk
