// SPDX-License-Identifier: Apache-2.0
// A graph under construction (ops/build_graph.h) as kernels see it: its lists, the edges of a batch, what is pruned, and
// what searches reach.
#pragma once
#include "cuda/device/key_id.cuh"

namespace annk::cuda {

struct ListState {
  int32_t length, kept;  // as csrc/ops/build_graph.h has them
};

struct GraphLists {
  int32_t* neighbors = nullptr;  // (rows, room)
  ListState* states = nullptr;
  int64_t rows = 0, room = 0;

  ANNK_HD int32_t* of(int64_t row) const { return neighbors + row * room; }
};

// The edges of a batch by the row that they lead to. Segments lie in any order.
struct NewEdges {
  uint32_t* counts = nullptr;          // (rows,)
  unsigned long long* ends = nullptr;  // (rows,): of a row's segment
  int32_t* sources = nullptr;
};

// The candidates of some prunings: what a row's list holds, and the last that a search to it expands or, where `listed`, the
// nearest of those that lead to it.
struct Candidates {
  const int64_t* rows = nullptr;  // negative for none
  KeyId* near = nullptr;          // (m, most) by ascending (key, id), kNoKeyId behind the last
  int64_t most = 0;
  bool listed = false;
  GraphLists lists;
  NewEdges edges;  // none where counts is null
};

// Rows within reach of the entry points, and through which edges first: these are never taken away. In the order in which a
// queue comes to them.
struct Reach {
  GraphLists lists;  // none longer than `degree`
  int64_t degree = 0;
  const int32_t* entry_points = nullptr;
  int64_t entry_point_count = 0;
  int32_t* parents = nullptr;  // (rows,); -1: out of reach
  int32_t* queue = nullptr;    // (rows,)
  uint32_t* claims = nullptr;  // (rows,), all ones at first
  int64_t* counts = nullptr;   // rows in the queue; rows of the base that were asked whether they are lost
  int64_t* lost = nullptr;     // some rows out of reach, ascending; -1 behind them
  int64_t most_lost = 0;
};

}  // namespace annk::cuda
