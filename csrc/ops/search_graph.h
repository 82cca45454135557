// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/view.h"
#include "ops/filter_plan.h"

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
//           join the buffer. Rows behind the first `expand` of the buffer are not expanded, so a search may end before all
//           of its window is: with expand below k, narrower than what it returns. With rerank_k > 0 the buffer's first
//           rerank_k take the keys of `rerank` instead, and are sorted by them. reference/search_graph.py is the definition.
// Filter    A row that is not allowed is never returned. All true: as no filter. Else `expand` is not used, and, by the
//           numbers of ops/filter_plan.h:
//             few rows are allowed    all of them are scored.
//             otherwise               rows are expanded, nearest first, whether they are allowed or not, until `window`
//                                     allowed ones stand in front of the nearest that was not expanded. Once 8 stand there,
//                                     their share of the rows there says what the filter does near the query. About as much
//                                     as elsewhere, and little: from there on a two-hop search: excluded rows are not
//                                     scored (those that wait are dropped), and their neighbors are scored in their place,
//                                     until a hop has `degree` rows. Less than half of that: the search goes on until twice
//                                     as many rows are expanded.
//             A search that does not end within its steps scores all allowed rows. A larger window expands the same rows in
//             the same order, and more of them.
// Shapes    base (n, d), queries (m, d), rerank (n, d'), rerank_queries (m, d') -> distances, indices (m, k), contiguous.
//           n < 2^31. window is lowered to n, then raised to k; expand >= 1, all of the window from there on; rerank_k lies
//           in [k, window], and is not used where it is 0.
// Numerics  Keys are those of ops/distances.h, bit for bit.
// Order     Ascending (key, id). A query's result depends on the graph, the base, the query and the instruction set: not on
//           threads, batch or position.
// Missing   As in ops/knn.h.
// Cost      About `degree` random rows a hop, and about `expand` hops; memory O(n / 8) bits a
//           thread beyond the outputs (on devices: of each block, where there is a filter).
// Errors    None: shapes, and that every neighbor is a row, are checked before.
struct SearchGraphArgs {
  GraphView graph;
  Dataset base;
  Matrix queries;
  Metric metric = Metric::sqeuclidean;
  int64_t k = 0, window = 0, expand = INT64_MAX;
  Dataset rerank;
  Matrix rerank_queries;
  int64_t rerank_k = 0;
  Filter filter;
  void* distances = nullptr;  // float32; int32 for hamming
  int64_t* indices = nullptr;
  int64_t* bad_row = nullptr;  // CPU: as in ops/knn.h, for the rows that are read; outputs may have been written
  Exec exec;
  // Null, or where scratch of searches of the same graph, base, metric and rerank is kept, null at first. Searches may share
  // the place at the same time. The owner releases what it holds at last.
  SearchScratch** kept = nullptr;
};

void search_graph(const SearchGraphArgs&);
int64_t search_graph_workspace(const SearchGraphArgs&);  // device bytes; 0 on the CPU

}  // namespace annk
