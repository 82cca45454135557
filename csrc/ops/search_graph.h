// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/view.h"

namespace annk {

// A directed graph over n rows. Row i's neighbours are the first entries of neighbors[i * stride ...], at most `degree` of
// them; -1 ends a shorter list. Searches begin at the entries, of which there is at least one where n > 0.
struct GraphView {
  const int32_t* neighbors = nullptr;
  const int32_t* entries = nullptr;
  int64_t rows = 0, degree = 0, stride = 0, entry_count = 0;

  ANNK_HD const int32_t* row(int64_t i) const { return neighbors + i * stride; }
};

// Candidates that are reranked where nobody says how many.
constexpr int64_t default_rerank_k(int64_t k) { return k + (k > 20 ? k : 20); }

// What the CPU may keep from one search to the next, so that a query on its own need not allocate and clear it.
struct SearchScratch {
  void (*release)(SearchScratch*);
};

// Computes  for each query the k rows of smallest key among those that a best-first walk of the graph meets. The walk keeps
//           a pool of the `window` smallest (key, id) met so far, the entries first; it expands the smallest that it has not
//           expanded yet, until there is none: the neighbours not met before get their keys and join the pool.
//           With rerank_k > 0 the pool's first rerank_k take the keys of `rerank` instead, and are put in order by them.
//           reference/search_graph.py is the definition.
// Filter    Let p be the share of rows that pass. A row that fails is never returned.
//             p n small (kExact...)    all rows that pass are compared
//             p below kPlainShare      failing rows are not scored: the walk looks through them at their neighbours, until
//                                      it has `degree` rows for the hop
//             otherwise                as without a filter, with a window of window / p
//           Where the walk finds fewer than k although more pass, all rows that pass are compared. All true: as no filter.
// Shapes    base (n, d), queries (m, d), rerank (n, d'), rerank_queries (m, d') -> distances, indices (m, k), contiguous.
//           n < 2^31. window is lowered to n, then raised to k; rerank_k lies in [k, window], and is not used where it is 0.
// Numerics  Keys are those of ops/distances.h, bit for bit.
// Order     Ascending (key, id). A query's result depends on the graph, the base, the query and the instruction set: not on
//           threads, batch or position.
// Missing   As in ops/knn.h.
// Cost      About `degree` random rows a hop, and as many hops as the window is wide, plus a few; memory O(n / 8) bits a
//           thread beyond the outputs (on devices: of each block, where there is a filter).
// Errors    None: shapes, and that every neighbour is a row, are checked before.
struct SearchGraphArgs {
  GraphView graph;
  Base base;
  Matrix queries;
  Metric metric = Metric::sqeuclidean;
  int64_t k = 0, window = 0;
  Base rerank;
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
inline constexpr double kPlainShare = 0.6;  // of rows that pass: from here on, failing rows are scored like all others
inline constexpr int64_t kExactRows =
    128;  // rows that pass for each slot of the window: up to here all of them are compared

struct FilterPlan {
  bool exact = false, looks_through = false;
  int64_t window = 0;
};
ANNK_HD constexpr FilterPlan plan_filter(int64_t passing, int64_t rows, int64_t window) {
  if (passing >= rows) return {false, false, window};
  if (passing <= kExactRows * window) return {true, false, window};
  const bool looks_through = static_cast<double>(passing) / static_cast<double>(rows) < kPlainShare;
  return {false, looks_through, looks_through ? window : (window * rows + passing - 1) / passing};
}

}  // namespace annk
