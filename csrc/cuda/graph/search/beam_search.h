// SPDX-License-Identifier: Apache-2.0
// Searches of a graph: what the kernels are given, and their launches, a source for each way of making keys.
#pragma once
#include "cuda/device/emit.cuh"
#include "cuda/distance/prepare.h"
#include "cuda/graph/growth.h"
#include "ops/search_graph.h"

namespace annk::cuda {

// A search that several blocks share, between two launches. While `open`, each of its blocks makes the keys of the neighbors
// of one row that was not expanded yet, chosen[slot], ahead of the search; the last block to end takes them over as the
// search comes to them, in the search's own order. So the result is that of a single block.
struct SharedSearch {
  int32_t open, begun;  // begun: the buffer counts; else the search is left to a block of its own
  int32_t size, capacity;
  unsigned arrived;
  KeyId chosen[kSearchSlots];
  int32_t counts[kSearchSlots];  // of keys; -1: not there yet
};

enum class SearchStage : int32_t {
  complete,    // one block a query, from the entry points to the result
  start,       // the entry points, and the first rows whose neighbors' keys blocks make ahead
  finish,      // goes on from where the blocks have come to, to the result
  attach,      // one block for all queries, rows out of reach, which are given an edge each
  candidates,  // one block a query, a row, whose candidates for a pruning are found
};

struct BeamSearchArgs {
  GraphView graph;
  Filter filter;
  const int32_t* allowed = nullptr;       // (filters, kAllowedParts): allowed rows
  int64_t query_begin = 0, m = 0;         // of this launch
  int32_t expand = INT32_MAX;             // without a filter: rows behind so many of the buffer are not expanded
  int64_t window = 0, k = 0, wanted = 0;  // wanted: results of a query, k or what is reranked
  NeighborOut out;                        // from the launch's first query on
  int64_t* found = nullptr;               // (m, wanted): ids alone, where they are reranked

  SearchStage stage = SearchStage::complete;
  int32_t blocks = 0;
  int32_t room = 0;                // the largest buffer
  KeyId* buffers = nullptr;        // of a query where searches are shared, else of a block, or null: in shared memory
  int32_t table_bits = 0;          // of the table of rows visited: 2^bits
  uint32_t* visited = nullptr;     // a bit a row, of each block
  int32_t* excluded = nullptr;     // `degree` rows, of each block
  SharedSearch* shared = nullptr;  // of each query
  uint32_t* tables = nullptr;      // of each query
  KeyId* ahead = nullptr;          // (m, kSearchSlots, degree)
  int64_t visited_words = 0;

  Reach reach;            // of SearchStage::attach
  Candidates candidates;  // of SearchStage::candidates
};

// Launches `a`.stage for every query, or, with `ahead`, one round of every shared search.
struct BeamSearchLaunch {
  const ScanPlan& plan;
  const ScanArgs& scan;
  void* stream;
};
// A source for each way of making keys; those of stores stand in StoreScan.
void beam_search(const BeamSearchLaunch&, const BeamSearchArgs&, bool ahead);
void beam_search_floats(const BeamSearchLaunch&, const BeamSearchArgs&, bool ahead);
void beam_search_codes(const BeamSearchLaunch&, const BeamSearchArgs&, bool ahead);
void beam_search_decoded(const BeamSearchLaunch&, const BeamSearchArgs&, bool ahead);

}  // namespace annk::cuda
