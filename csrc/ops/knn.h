// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/view.h"

namespace annk {

// Computes  for each query the k base rows of smallest key, among those that its filter allows
// Shapes    base (n, d), queries (m, d) -> distances (m, k), indices (m, k), row-major, contiguous. Any m, n, d, k >= 0.
//           Types as in ops/pairwise.h.
// Numerics  Distances are pairwise's, bit for bit.
// Order     Ascending (key, id): keys are smaller-is-better (-dot for inner_product, the distance otherwise), ties go to
//           the smaller id. The result is a function of the inputs and the instruction set alone.
// Missing   Where fewer than k rows pass: index -1, distance +inf (-inf for inner_product; INT32_MAX for hamming).
// Cost      2 m n d flops; memory beyond the outputs O(m k + threads * tile), the (m, n) matrix never exists.
// Blocks    Where `carry` is not null, the base is one of several blocks that are searched one after another, one call each:
//           ascending rows of one matrix or store (what does not belong to a row is the same in each), row 0 having the id
//           `first_id`. queries, metric, k, threads and outputs are the same in each call; a filter is the block's. After
//           the call that is `last`, whose base may be empty, the outputs hold the very result of one call over all rows;
//           before it they have no meaning. 24 k + 4 d bytes a query are kept between calls; on devices nothing but the
//           outputs.
// Errors    None: shapes and types are checked before.

// What the CPU keeps of a search in blocks.
struct KnnCarry {
  void (*release)(KnnCarry*);
};

struct KnnArgs {
  Dataset base;
  Matrix queries;
  Metric metric = Metric::sqeuclidean;
  int64_t k = 0;
  Filter filter;
  void* distances = nullptr;  // float32; int32 for hamming
  int64_t* indices = nullptr;
  // CPU, where not null: the scan also looks for NaN and infinity in the base rows that it reads, and sets *bad_row to
  // the smallest such row or -1. With a bad row the outputs are left as they were. It rides on the load because a pass
  // of its own would double the time of a single query. Devices leave it alone: ops/first_nonfinite.h.
  int64_t* bad_row = nullptr;
  Exec exec;
  // Null, or the place of the carry, which holds null before the first block. The owner releases what it holds at last.
  // After an error it is of no further use.
  KnnCarry** carry = nullptr;
  int64_t first_id = 0;
  bool last = true;
};

// How many candidates are put in order by a finer form of the rows, by default.
constexpr int64_t default_candidates(int64_t k) { return k + (3 * k > 32 ? 3 * k : 32); }

void knn(const KnnArgs&);
int64_t knn_workspace(const KnnArgs&);  // device bytes; 0 on the CPU

}  // namespace annk
