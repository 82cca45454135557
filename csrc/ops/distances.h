// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/view.h"

namespace annk {

// Computes  distances[q, i] = metric(queries[q], base[ids[q, i]]): the rows that each query names
// Shapes    base (n, d), queries (m, d), ids (m, c) int64, row-major, in [0, n) or negative -> (m, c), contiguous.
// Numerics  pairwise's, bit for bit.
// Missing   A negative id: +inf (-inf for inner_product; INT32_MAX for hamming).
// Cost      m c rows are read, in the order of the ids.
// Errors    None: shapes and ids are checked before.
struct DistancesArgs {
  Dataset base;
  Matrix queries;
  Metric metric = Metric::sqeuclidean;
  const int64_t* ids = nullptr;
  int64_t width = 0;
  void* distances = nullptr;   // float32; int32 for hamming
  int64_t* bad_row = nullptr;  // CPU: as in ops/knn.h, but outputs may have been written
  Exec exec;
};

void distances(const DistancesArgs&);
int64_t distances_workspace(const DistancesArgs&);  // device bytes; 0 on the CPU

}  // namespace annk
