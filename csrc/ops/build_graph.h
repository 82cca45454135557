// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cmath>

#include "core/view.h"

namespace annk {

// Computes  a Vamana graph (Subramanya et al., NeurIPS 2019), built by batches that each search the graph as it was before
//           them (Manohar et al., PPoPP 2024), so that the result does not depend on which comes first. The rows come in the
//           order of `order`; the caller cuts it into batches, and of each calls first one, then the other, with the same
//           arguments; once it has come through the order it can do so again, over the graph that is there:
//             build_graph  Each row p of order[first, first + count) searches the graph with a buffer of `window`, from the
//                          first `entry_point_count` rows of the order, which are in it. What the search expanded, but for
//                          p, and what p's list holds is pruned to `degree` neighbors; of what was expanded the last, so
//                          that these are `most` at most. All rows search before a list is written. No entry points: no
//                          neighbors.
//             link_graph   p becomes a neighbor of its neighbors, where it is not one. A list that outgrows `room` is
//                          pruned to `degree`: what it held, and of the new ones the nearest by (key, id), `most` together
//                          at most.
//           finish_graph prunes the lists that are longer than `degree`, and gives every row that no search from the entry
//           points reaches an edge from a near row that is reached.
// Pruning   Candidates of p by ascending (key, id). A candidate c is kept unless a kept s is so near to it that
//             alpha key(s, c) < key(p, c);      for similarities   alpha min(1, |p| / |s|) <s, c> > <p, c>
//           until `degree` are kept; of those as near as the nearest, half of `degree` at most. Keys under euclidean are
//           those of sqeuclidean. A longer s counts as if it were as long as p: else a few long rows would be nearer to
//           everything than p is, and lists would end after two. reference/build_graph.py defines it.
// Shapes    base (n, d); order (n,) int32, a permutation; neighbors (n, room) int32, -1 behind each list; state (n, 2) int32
//           zeroed before the first batch: the length of each list, and how many of its first entries the last pruning
//           left. n < 2^31, degree <= room <= most. alpha may change only so that less is occluded.
// Numerics  Keys between rows take one of them, decoded, as a query: as ops/distances.h.
// Order     The lists depend on the inputs and the instruction set: not on threads.
// Cost      O(window degree) keys a row; on devices O(most^2) for each pruning. Memory beyond the arrays: O(n) bits a thread
//           and 8 bytes for each edge of a batch; on devices 20 n at most, 4 for each edge of a batch, 8 for each row of
//           one, and up to `batch_bytes` for what is compared and as much for what searches hold.
// Devices   Nothing waits, so link_graph must know how many lists it will prune: build_graph writes that to `outgrown`,
//           and the caller hands it back as `pruned`. The CPU reads and writes neither.
// Errors    *bad_row (CPU): the smallest row with NaN or infinity that was read, or -1; the graph then has no meaning.
struct BuildGraphArgs {
  Dataset base;
  Metric metric = Metric::sqeuclidean;
  const int32_t* order = nullptr;
  int64_t entry_point_count = 0, first = 0, count = 0;
  int64_t degree = 0, room = 0, window = 0, most = 0;
  float alpha = 1.0f;
  int32_t* neighbors = nullptr;
  int32_t* state = nullptr;
  int64_t* outgrown = nullptr;
  int64_t pruned = 0;
  int64_t* bad_row = nullptr;
  Exec exec;
  int64_t batch_bytes = int64_t{256} << 20;  // devices: of what is compared at a time, if that is enough for one row
};

// What keys with a kept row are multiplied by; for similarities `own` and `kept` are the keys that the pruned row and the
// kept one have with themselves: -|p|^2 and -|s|^2.
ANNK_HD float occluding_scale(float alpha, float key, float kept) { return kept < key ? alpha * sqrtf(key / kept) : alpha; }

void build_graph(const BuildGraphArgs&);
void link_graph(const BuildGraphArgs&);
void finish_graph(const BuildGraphArgs&);
int64_t build_graph_workspace(const BuildGraphArgs&);  // device bytes; 0 on the CPU
int64_t link_graph_workspace(const BuildGraphArgs&);
int64_t finish_graph_workspace(const BuildGraphArgs&);

}  // namespace annk
