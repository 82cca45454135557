// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/view.h"

namespace annk {

// Computes  distances[q, i] = metric(queries[q], base[i])
// Shapes    queries (m, d), base (n, d) -> (m, n), row-major, contiguous. Any m, n, d >= 0; d is the same for both.
//           queries.dtype is base.dtype or f32; bits for hamming and jaccard, and only for them.
//           i8 and u8: d <= 32,768, where int32 sums of 8-bit products could overflow (255^2 * 33,025 > 2^31).
// Numerics  f32, f16, bf16, or any base under an f32 query: elements widen to float32 exactly; each pair is a sum
//           of chains of fused multiply-adds over d in ascending order (metric/metric.h: chain_dims), one up to 64
//           dimensions. |error| <= d * 2^-24 * sum_j |term_j|, and no cancellation in the squared distance, which sums
//           (q_j - x_j)^2. i8 by i8, u8 by u8: exact int32, rounded once to float32.
//           hamming: exact. cosine = 1 - dot / (|q| |x|), and 1 where either vector is zero.
// Order     A pair's bits depend on d, the dtypes and the instruction set only: never on threads, m, n or position.
// Missing   None: every pair has a value. A value that overflows is inf; NaN counts as inf (-inf for inner_product).
// Cost      2 m n d flops; (n + m) d elements read, 4 m n bytes written.
// Errors    None: shapes and types are checked before.
struct PairwiseArgs {
  Matrix queries;
  Dataset base;
  Metric metric = Metric::sqeuclidean;
  void* distances = nullptr;   // float32; int32 for hamming
  int64_t* bad_row = nullptr;  // CPU: see ops/knn.h; here distances written before the row was read stay
  Exec exec;
};

void pairwise(const PairwiseArgs&);
int64_t pairwise_workspace(const PairwiseArgs&);  // device bytes; 0 on the CPU

}  // namespace annk
