// SPDX-License-Identifier: Apache-2.0
// What walks of a graph under construction can reach (ops/build_graph.h, finish_graph), as kernels see it.
#pragma once
#include "core/view.h"

namespace annk::cuda {

struct ListState {
  int32_t length, kept;  // as csrc/ops/build_graph.h has them
};

// Rows within reach of the entries, and through which edges first: these are never taken away. In the order in which a queue
// comes to them.
struct Reach {
  int32_t* neighbors = nullptr;  // (rows, degree)
  ListState* states = nullptr;
  int64_t rows = 0, degree = 0;
  const int32_t* entries = nullptr;
  int64_t entry_count = 0;
  int32_t* parents = nullptr;  // (rows,); -1: out of reach
  int32_t* queue = nullptr;    // (rows,)
  uint32_t* claims = nullptr;  // (rows,), all ones at first
  int64_t* counts = nullptr;   // rows in the queue; rows of the base that were asked whether they are lost
  int64_t* lost = nullptr;     // some rows out of reach, ascending; -1 behind them
  int64_t most_lost = 0;

  ANNK_HD int32_t* list(int64_t row) const { return neighbors + row * degree; }
};

}  // namespace annk::cuda
