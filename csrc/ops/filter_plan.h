// SPDX-License-Identifier: Apache-2.0
// How a filter is searched (csrc/ops/search_graph.h), by the number of rows that it allows and by what it does near a query.
#pragma once
#include <cstdint>

#include "core/platform.h"

namespace annk {

inline constexpr int64_t kExactRows = 128;   // allowed rows for each place of the window: up to here all of them are scored
inline constexpr int64_t kRowsAStep = 32;    // allowed rows that are scored in the time of one step of a search
inline constexpr int64_t kMostSteps = 4096;  // or four times the window
inline constexpr int64_t kSample = 8;        // the allowed rows by which the share near a query is judged
inline constexpr double kPlainShare = 0.2;   // of allowed rows: from here on, scoring the excluded ones as well costs less

struct FilterPlan {
  bool filtered = false, exact = false;
  int64_t allowed = 0, rows = 0;
  int64_t window = 0;  // without a filter: the rows kept. With one: the allowed rows that end a search
  int64_t steps = 0;   // rows kept and expanded, at most; then all allowed rows are scored

  // Of the nearest `place` rows, kSample are allowed: fewer than half as many as of all rows.
  ANNK_HD constexpr bool is_sparse(int64_t place) const { return place * allowed > 2 * kSample * rows; }
  // From here on excluded rows are not scored: their neighbors are, in their place.
  ANNK_HD constexpr bool is_two_hop(int64_t place) const {
    return !is_sparse(place) && static_cast<double>(kSample) < kPlainShare * static_cast<double>(place);
  }
  // So many rows are to be expanded: the last of a few thousand nearest are found by a search that goes further than them.
  ANNK_HD constexpr int64_t least(int64_t place) const { return is_sparse(place) ? 2 * place : 0; }
  // Fewer than kSample rows are allowed among the nearest `place`, and `least` could no longer be reached.
  ANNK_HD constexpr bool is_hopeless(int64_t place) const { return 2 * place > steps; }
};

ANNK_HD constexpr FilterPlan plan_filter(int64_t allowed, int64_t rows, int64_t window) {
  if (allowed >= rows) return {false, false, allowed, rows, window, window};
  const int64_t wanted = window > kSample ? window : kSample, most = 4 * wanted > kMostSteps ? 4 * wanted : kMostSteps;
  const int64_t steps = allowed / kRowsAStep < most ? allowed / kRowsAStep : most;
  const bool exact = allowed <= kExactRows * wanted || 2 * kSample * rows > steps * allowed;
  return {true, exact, allowed, rows, wanted, steps};
}

// The most rows that a search under any filter keeps.
constexpr int64_t widest_filter_plan(int64_t rows, int64_t window) {
  const int64_t steps = plan_filter(rows - 1, rows, window).steps;
  return steps > window ? steps : window;
}

}  // namespace annk
