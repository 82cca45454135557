// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/view.h"

namespace annk {

// A directed graph over n rows. Row i's neighbors are the first entries of neighbors[i * stride ...], at most `degree` of
// them; -1 ends a shorter list. Searches begin at the entry points, of which there is at least one where n > 0.
struct GraphView {
  const int32_t* neighbors = nullptr;
  const int32_t* entry_points = nullptr;
  int64_t rows = 0, degree = 0, stride = 0, entry_point_count = 0;

  ANNK_HD const int32_t* row(int64_t i) const { return neighbors + i * stride; }
};

// How many candidates are reranked by default.
constexpr int64_t default_rerank_k(int64_t k) { return k + (k > 20 ? k : 20); }

// What the CPU may keep from one search to the next, so that a query on its own need not allocate and clear it.
struct SearchScratch {
  void (*release)(SearchScratch*);
};

// Computes  for each query the k rows of smallest key among those that a best-first search of the graph visits. The search
//           keeps a buffer of the `window` smallest (key, id) visited so far, the entry points first. It expands the
//           smallest that it has not expanded yet, until there is none: the neighbors that are new to it get their keys and
//           join the buffer. With rerank_k > 0 the buffer's first rerank_k take the keys of `rerank` instead, and are sorted
//           by them. reference/search_graph.py is the definition.
// Filter    Let p be the share of allowed rows. A row that is not allowed is never returned.
//             p n small (kExact...)    all allowed rows are compared
//             p below kPlainShare      two-hop search: excluded rows are not scored; their neighbors are scored in their
//                                      place, until a hop has `degree` rows
//             otherwise                as without a filter, with a window of window / p
//           Where the search finds fewer than k although more are allowed, all allowed rows are compared. All true: as no
//           filter.
// Shapes    base (n, d), queries (m, d), rerank (n, d'), rerank_queries (m, d') -> distances, indices (m, k), contiguous.
//           n < 2^31. window is lowered to n, then raised to k; rerank_k lies in [k, window], and is not used where it is 0.
// Numerics  Keys are those of ops/distances.h, bit for bit.
// Order     Ascending (key, id). A query's result depends on the graph, the base, the query and the instruction set: not on
//           threads, batch or position.
// Missing   As in ops/knn.h.
// Cost      About `degree` random rows a hop, and as many hops as the window is wide, plus a few; memory O(n / 8) bits a
//           thread beyond the outputs (on devices: of each block, where there is a filter).
// Errors    None: shapes, and that every neighbor is a row, are checked before.
struct SearchGraphArgs {
  GraphView graph;
  Dataset base;
  Matrix queries;
  Metric metric = Metric::sqeuclidean;
  int64_t k = 0, window = 0;
  Dataset rerank;
  Matrix rerank_queries;
  int64_t rerank_k = 0;
  Filter filter;
  void* distances = nullptr;  // float32; int32 for hamming
  int64_t* indices = nullptr;
  int64_t* bad_row = nullptr;  // CPU: as in ops/knn.h, for the rows that are read
  Exec exec;
  // Null, or where scratch of searches of the same graph, base, metric and rerank is kept, null at first. Searches may share
  // the place at the same time. The owner releases what it holds at last.
  SearchScratch** kept = nullptr;
};

void search_graph(const SearchGraphArgs&);
int64_t search_graph_workspace(const SearchGraphArgs&);  // device bytes; 0 on the CPU

// What a filter does to a search.
inline constexpr double kPlainShare = 0.6;  // of allowed rows: from here on, excluded rows are scored like all others
inline constexpr int64_t kExactRows = 128;  // allowed rows for each slot of the window: up to here all of them are compared

struct FilterPlan {
  bool exact = false, two_hop = false;
  int64_t window = 0;
};
ANNK_HD constexpr FilterPlan plan_filter(int64_t allowed, int64_t rows, int64_t window) {
  if (allowed >= rows) return {false, false, window};
  if (allowed <= kExactRows * window) return {true, false, window};
  const bool two_hop = static_cast<double>(allowed) / static_cast<double>(rows) < kPlainShare;
  return {false, two_hop, two_hop ? window : (window * rows + allowed - 1) / allowed};
}

}  // namespace annk
