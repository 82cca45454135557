// SPDX-License-Identifier: Apache-2.0
// The edges of a batch, turned around: by the rows that they lead to (ops/build_graph.h, link_graph).
#pragma once
#include "cuda/device/workspace.h"
#include "cuda/graph/growth.h"
#include "ops/build_graph.h"

namespace annk::cuda {

// Enqueues rows (count,): those of the batch.
void name_batch(const BuildGraphArgs&, int64_t* rows);

// Enqueues edges.counts, and how many lists these edges make longer than `room`.
void count_new_edges(const BuildGraphArgs&, const NewEdges& edges, int64_t* outgrown);

// All of the edges.
struct Turning {
  NewEdges edges;
  int64_t* targets = nullptr;             // (pruned,): the rows of lists that outgrow their room, in any order
  unsigned long long* cursors = nullptr;  // places given, in segments and among the targets

  void take(Workspace& workspace, const BuildGraphArgs& args);
};
// Enqueues the turning, and the adding to lists that have room.
void turn_edges(const BuildGraphArgs&, const Turning& turning);

// Enqueues rows (n,), whose lists are longer than `degree`, in any order; -1 behind them. cursor: one number.
void find_long_lists(const BuildGraphArgs&, int64_t* rows, unsigned long long* cursor);

inline GraphLists lists_of(const BuildGraphArgs& args) {
  return {args.neighbors, reinterpret_cast<ListState*>(args.state), args.base.rows, args.room};
}
void fill_bytes(void* from, int byte, int64_t bytes, void* stream);

}  // namespace annk::cuda
