// SPDX-License-Identifier: Apache-2.0
// Walks of a graph: what the kernels are given, and their launches, a source for each way of making keys.
#pragma once
#include "cuda/device/emit.cuh"
#include "cuda/distance/prepare.h"
#include "cuda/graph/growth.h"
#include "ops/search_graph.h"

namespace annk::cuda {

// A walk that several blocks share, between two launches. While `open`, each of its blocks makes the keys of the neighbours
// of one row that was not expanded yet, chosen[slot], ahead of the walk; the last block to end takes them over as the walk
// comes to them, in the walk's own order. So the result is that of a single block.
struct SharedWalk {
  int32_t open, begun;  // begun: the pool counts; else the walk is left to a block of its own
  int32_t size, capacity;
  unsigned arrived;
  Entry chosen[kWalkSlots];
  int32_t counts[kWalkSlots];  // of keys; -1: not there yet
};

enum class WalkStage : int32_t {
  whole,       // one block a query, from the entries to the result
  start,       // the entries, and the first rows that blocks are to look at ahead
  finish,      // goes on from where the blocks have come to, to the result
  attach,      // one block for all queries, rows out of reach, which are given an edge each
  candidates,  // one block a query, a row, whose candidates for a pruning are found
};

struct WalkArgs {
  GraphView graph;
  Filter filter;
  const int32_t* passing = nullptr;       // (filters, kPassingParts): rows that pass
  int64_t query_begin = 0, m = 0;         // of this launch
  int64_t window = 0, k = 0, wanted = 0;  // wanted: results of a query, k or what is reranked
  NeighbourOut out;                       // from the launch's first query on
  int64_t* found = nullptr;               // (m, wanted): ids alone, where they are reranked

  WalkStage stage = WalkStage::whole;
  int32_t blocks = 0;
  int32_t room = 0;              // the largest pool
  Entry* pools = nullptr;        // of a query where walks are shared, else of a block, or null: in shared memory
  int32_t table_bits = 0;        // of the table of rows met: 2^bits
  uint32_t* visited = nullptr;   // a bit a row, of each block
  int32_t* failing = nullptr;    // `degree` rows, of each block
  SharedWalk* shared = nullptr;  // of each query
  uint32_t* tables = nullptr;    // of each query
  Entry* ahead = nullptr;        // (m, kWalkSlots, degree)
  int64_t visited_words = 0;

  Reach reach;            // of WalkStage::attach
  Candidates candidates;  // of WalkStage::candidates
};

// Launches `a`.stage for every query, or, with `ahead`, one round of every shared walk.
struct WalkLaunch {
  const ScanPlan& plan;
  const ScanArgs& scan;
  void* stream;
};
// By the store's own way of making keys:
void walk(const WalkLaunch&, const WalkArgs&, bool ahead);
void walk_floats(const WalkLaunch&, const WalkArgs&, bool ahead);
void walk_codes(const WalkLaunch&, const WalkArgs&, bool ahead);
void walk_stores(const WalkLaunch&, const WalkArgs&, bool ahead);
void walk_decoded(const WalkLaunch&, const WalkArgs&, bool ahead);

}  // namespace annk::cuda
