// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/view.h"

namespace annk {

// Computes  for each query all base rows within `radius` (distance <= radius; inner_product: dot >= radius)
// Shapes    base (n, d), queries (m, d). radius_count writes counts into lims[1..m] and turns them into offsets:
//           lims (m + 1,), lims[0] = 0, hits of query q lie in [lims[q], lims[q + 1]). The caller then allocates
//           lims[m] entries and calls radius_fill with the same arguments.
// Numerics  Distances are pairwise's, bit for bit, in both passes. The comparison is made on reported distances.
// Order     Within a query: ascending id.
// Cost      Twice pairwise's flops (count, fill). Memory beyond the outputs: O(threads * tile); on the CPU fill holds 24
//           bytes a hit, too.
struct RadiusArgs {
  Dataset base;
  Matrix queries;
  Metric metric = Metric::sqeuclidean;
  float radius = 0;
  Filter filter;
  int64_t* lims = nullptr;
  void* distances = nullptr;   // float32; int32 for hamming; fill only
  int64_t* indices = nullptr;  // fill only
  int64_t* bad_row = nullptr;  // see ops/knn.h; count only
  Exec exec;
};

void radius_count(const RadiusArgs&);
void radius_fill(const RadiusArgs&);
int64_t radius_count_workspace(const RadiusArgs&);  // device bytes; 0 on the CPU
int64_t radius_fill_workspace(const RadiusArgs&);

}  // namespace annk
