// SPDX-License-Identifier: Apache-2.0
// Groups of rows whose members are compared with one another (ops/nn_descent.h), some positions at a time: the members of a
// group lie one behind the other, and each is compared with those in front of it that are queries.
#pragma once
#include "cuda/device/key_id.cuh"
#include "cuda/graph/build/row_queries.h"
#include "ops/nn_descent.h"

namespace annk::cuda {

// What is known of some positions, in the workspace.
struct Groups {
  int64_t* ids = nullptr;
  JoinGroup* join_groups = nullptr;
  uint32_t* sortable_keys = nullptr;  // (positions, width), as JoinArgs has them
  uint32_t* next = nullptr;           // where the same row stands again, or kNoLink
  uint32_t* heads = nullptr;          // of each row of the base: the first of its positions; kNoLink between batches
  int64_t positions = 0, width = 0;

  static int64_t bytes(int64_t width) { return 8 + static_cast<int64_t>(sizeof(JoinGroup)) + 4 * width + 4; }
  void take(Workspace& workspace, int64_t rows, int64_t most_positions, int64_t most_width);
  JoinArgs keys() const { return {{}, ids, join_groups, positions, width, sortable_keys}; }
};

// Enqueues the chains of the positions of each row, to be called when ids are there.
void link_positions(const Groups&, void* stream);
// Enqueues the updates of all members' lists by one another, and ends the chains.
void merge_updates(const Groups&, KeyId* lists, int64_t list_width, void* stream);

}  // namespace annk::cuda
