// SPDX-License-Identifier: Apache-2.0
// The pruning of ops/build_graph.h: candidates are found by searches or in lists, all their keys with one another are made,
// and a warp a row prunes by these.
#pragma once
#include "cuda/graph/build/row_queries.h"
#include "cuda/graph/search/beam_search.h"
#include "ops/build_graph.h"

namespace annk::cuda {

class ListPruner {
 public:
  // For at most `rows` of them.
  ListPruner(const BuildGraphArgs& args, Workspace& workspace, int64_t rows);

  // Enqueues the pruning of what searches to rows[0, count) expand and of what their lists hold. Negative for none. staged:
  // (count, degree), for lists that are written when all searches have ended.
  void prune_searches(const int64_t* rows, int64_t count, int32_t* staged) const;
  // Enqueues that of their lists and of the edges that lead to them, if edges.counts is not null.
  void prune_lists(const int64_t* rows, int64_t count, const NewEdges& edges) const;

 private:
  void prune(const int64_t* rows, int64_t count, BeamSearchArgs search, int32_t* staged) const;
  void prune_found(const int64_t* rows, int64_t count, const KeyId* near, int32_t* staged) const;

  const BuildGraphArgs& args_;
  RowQueries queries_;
  BeamSearchArgs search_;
  int64_t searched_, pruned_;  // rows at a time
  int64_t* ids_;               // (pruned_, most) and, for similarities, (pruned_,) behind them; so are these
  JoinGroup* join_groups_;
  uint32_t* sortable_keys_;  // (pruned_, most, width_)
  int64_t width_;
};

}  // namespace annk::cuda
