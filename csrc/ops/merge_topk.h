// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/view.h"

namespace annk {

// Computes  for each query the k best of the entries that several parts found
// Shapes    distances and ids: `parts` blocks of (m, width), float32 (int32 where `integers`) and int64. Row r of part p
//           starts at p * part_stride + r * row_stride (elements); both arrays have strides of their own. offsets: null, or
//           (parts,) int64, added to the ids of a part. -> out_distances (m, k), out_ids (m, k), contiguous. Any parts, m,
//           width, k >= 0.
// Order     Ascending (distance, id), descending distance and ascending id where `largest`: ties go to the smaller id. NaN
//           ranks behind every number, and comes back as it is. An id that comes twice is kept twice. The order in which
//           entries and parts come does not show.
// Missing   An entry is missing where its id is negative, or its distance is the missing one, whatever its id: +inf, -inf
//           where `largest`; of integers INT32_MAX, INT32_MIN where `largest`. Where fewer than k remain: id -1 and that
//           distance.
// Cost      12 parts m width bytes read. Where the parts of a query are sorted (best first, missing entries last, as
//           searches return them), k log2(parts) comparisons a query; on devices up to k parts log2(width). Otherwise a
//           selection. Memory beyond the outputs: 80 parts + 32 k bytes a thread, none on devices.
// Errors    None: shapes and types are checked before.
struct MergeTopkArgs {
  const void* distances = nullptr;
  bool integers = false;
  int64_t parts = 0, m = 0, width = 0;
  int64_t part_stride = 0, row_stride = 0;
  const int64_t* ids = nullptr;
  int64_t ids_part_stride = 0, ids_row_stride = 0;
  const int64_t* offsets = nullptr;
  int64_t k = 0;
  bool largest = false;
  void* out_distances = nullptr;
  int64_t* out_ids = nullptr;
  Exec exec;
};

void merge_topk(const MergeTopkArgs&);
int64_t merge_topk_workspace(const MergeTopkArgs&);  // device bytes: 0

}  // namespace annk
