// SPDX-License-Identifier: Apache-2.0
// Rows cut into groups of near ones (ops/nn_descent.h, nn_descent_start): leaves lie one behind the other.
#pragma once
#include "cuda/graph/build/nn_groups.h"

namespace annk::cuda {

inline constexpr int64_t kLeafRows = 128;
inline constexpr int kMostSets = 16;  // that a span is cut into at a time

// Adjacent rows of an order.
struct Span {
  int32_t first, end;
  ANNK_HD int32_t size() const { return end - first; }
  // Into how many sets it is cut: half a leaf is wanted of each, for many will be larger.
  ANNK_HD int32_t sets() const {
    const int64_t wanted = (2 * static_cast<int64_t>(size()) + kLeafRows - 1) / kLeafRows;
    return wanted < kMostSets ? static_cast<int32_t>(wanted) : kMostSets;
  }
};

struct Leaves {
  int32_t* order = nullptr;  // the caller's
  int64_t count = 0;
  int32_t* sorted = nullptr;
  uint8_t* nearest = nullptr;            // of the first rows of its span, for each row
  int32_t* span_of = nullptr;            // the open span of each position, or -1
  Span* of = nullptr;                    // the leaf of each position that has one
  Span *even = nullptr, *odd = nullptr;  // spans to be cut at even levels, and at odd ones
  int32_t* opened = nullptr;             // how many, of each level

  // A span that is cut leaves none larger than 15/16 of it; how many levels that took is not asked.
  static int64_t levels(int64_t count) {
    int64_t levels = 0;
    for (int64_t most = count; most > kLeafRows; most = most / 16 * 15) ++levels;
    return levels;
  }
  // At most, of that level.
  static int64_t most_open(int64_t count, int64_t level) {
    const int64_t all = count / (kLeafRows + 1);
    return level < 7 && int64_t{1} << (4 * level) < all ? int64_t{1} << (4 * level) : all;
  }
  ANNK_HD Span* open(int64_t level) const { return level % 2 == 0 ? even : odd; }
  void take(Workspace& workspace, int32_t* rows, int64_t rows_count);
};

// What is compared at a time, in the workspace.
struct Sizes {
  int64_t spans, positions;
};
// Enqueues the cutting; `ids` holds kMostSets of `at_a_time.spans`, groups at_a_time.positions.
void cut_leaves(const Leaves&, const RowQueries&, Groups groups, int64_t* ids, Sizes at_a_time, void* stream);

}  // namespace annk::cuda
