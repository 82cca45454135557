// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/view.h"

namespace annk {

// Rows cut into lists. The members of list l are ids[offsets[l] .. offsets[l + 1]), ascending; a row is in one list or more,
// in `copies` at most.
struct ListsView {
  const int64_t* offsets = nullptr;  // (count + 1,)
  const int32_t* ids = nullptr;      // (offsets[count],)
  const int32_t* places = nullptr;   // (rows,) where a row first stands in ids; null where nothing asks for it
  int64_t count = 0, rows = 0, copies = 1;
};

// Computes  for each query the k rows of smallest key among the members of some lists. Lists are taken in the order of
//           their centroids' (key, number) under `order_metric`, until they hold as many rows that the filter passes as the
//           first `probes` of them hold rows, or copies x k where that is more; a row counts in each of its lists. With
//           rerank_k > 0 the rerank_k rows of smallest key among them take the keys of `rerank` instead, and are sorted by
//           them. reference/search_lists.py is the definition, without rerank.
// Shapes    centroids (count, d), centroid_queries (m, d); base (n, d'), queries (m, d'): row i is that of id i or, where
//           `base_in_order`, of place i, n being then offsets[count]; rerank and rerank_queries likewise -> distances,
//           indices (m, k), contiguous. n < 2^31; 1 <= probes <= count; rerank_k is 0 or no less than k. No metric of bits.
// Numerics  Keys are those of ops/distances.h, bit for bit. A row has the same key in each of its lists.
// Order     Ascending (key, id). A query's result depends on the lists, the centroids, the base, the query and the
//           instruction set: not on threads, batch or position.
// Missing   As in ops/knn.h.
// Cost      The lists that are taken are read once for each block of up to kBlockQueries queries; memory O(m k), and on
//           devices `width` entries for each query of a launch.
// Devices   Nothing waits, so the caller says what a query may take at most: `depth` lists, and `width` places.
// Errors    *bad_row (CPU): as in ops/knn.h, for the rows that are read. Shapes and ids are checked before.
struct SearchListsArgs {
  ListsView lists;
  Dataset centroids;
  Matrix centroid_queries;
  Metric order_metric = Metric::sqeuclidean;
  int64_t probes = 1, depth = 0, width = 0;
  Dataset base;
  Matrix queries;
  bool base_in_order = false;
  Metric metric = Metric::sqeuclidean;
  int64_t k = 0;
  Dataset rerank;
  Matrix rerank_queries;
  bool rerank_in_order = false;
  int64_t rerank_k = 0;
  Filter filter;
  void* distances = nullptr;  // float32
  int64_t* indices = nullptr;
  int64_t* bad_row = nullptr;
  Exec exec;
};

void search_lists(const SearchListsArgs&);
int64_t search_lists_workspace(const SearchListsArgs&);  // device bytes; 0 on the CPU

}  // namespace annk
