// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/view.h"

namespace annk {

// Computes  sums[c, j] = the sum of x[i, j] over the rows i whose label is c; counts[p, c] = how many rows these are. The
//           columns may be cut into `parts` (core/parts.h), each with labels of its own: k-means in many subspaces at once.
// Shapes    x (n, d); labels (n,) int64 where parts = 1, or codes (n, parts) uint8; all in [0, clusters). d >= parts.
//           -> sums (clusters, d) float64, counts (parts, clusters) int64, contiguous.
// Numerics  Each sum is one float64 chain in ascending order of rows.
// Order     The result does not depend on threads: they share out the columns.
// Cost      x is read once. Each thread keeps clusters x (16 columns or more) sums.
// Errors    None: labels are checked before.
struct ClusterSumsArgs {
  Matrix x;
  const int64_t* labels = nullptr;
  const uint8_t* codes = nullptr;  // where labels is null
  int64_t parts = 1;
  int64_t clusters = 0;
  double* sums = nullptr;
  int64_t* counts = nullptr;
  Exec exec;
};

void cluster_sums(const ClusterSumsArgs&);

}  // namespace annk
