// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/view.h"

namespace annk {

// Computes  for each row the k smallest (largest) values and their ids
// Shapes    values: `parts` blocks of (m, n) float32. Row r of part p starts at values + p * part_stride + r * row_stride
//           (elements). ids: null (the id of a value is p * n + column), or int64 with the same layout and its own strides;
//           ids_row_stride = 0 shares one row of ids. -> out_values (m, k), out_ids (m, k), contiguous. Any m, n, k >= 0.
// Order     Ascending (value, id), descending value and ascending id where `largest`: ties go to the smaller id.
// Missing   A negative id is skipped. Where fewer than k remain: id -1, value +inf (-inf where `largest`).
//           NaN ranks behind everything, infinities included, and comes back as it is.
// Cost      4 m n bytes read once or twice; the work is bandwidth until k nears n.
// Errors    None: shapes and types are checked before.
struct SelectKArgs {
  const float* values = nullptr;
  int64_t parts = 1, m = 0, n = 0;
  int64_t part_stride = 0, row_stride = 0;
  const int64_t* ids = nullptr;
  int64_t ids_part_stride = 0, ids_row_stride = 0;
  int64_t k = 0;
  bool largest = false;
  float* out_values = nullptr;
  int64_t* out_ids = nullptr;
  Exec exec;
};

void select_k(const SelectKArgs&);
int64_t select_k_workspace(const SelectKArgs&);

}  // namespace annk
