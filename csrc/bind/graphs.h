// SPDX-License-Identifier: Apache-2.0
// Graphs, built and searched: what Python passes for each operation.
#pragma once
#include "bind/operation.h"
#include "ops/build_graph.h"
#include "ops/nn_descent.h"
#include "ops/search_graph.h"

namespace annk {

inline GraphView graph(uintptr_t neighbors, int64_t rows, int64_t degree, int64_t stride, uintptr_t entries,
                       int64_t entry_count) {
  return {pointer<const int32_t>(neighbors), pointer<const int32_t>(entries), rows, degree, stride, entry_count};
}

template <>
struct FromPython<SearchGraphArgs> {
  static constexpr const char* names[] = {"graph",  "base",      "queries", "metric",         "k",
                                          "window", "expand",    "rerank",  "rerank_queries", "rerank_k",
                                          "filter", "distances", "indices", "bad_row",        "exec"};
  static SearchGraphArgs make(GraphView graph, Dataset base, Matrix queries, const std::string& metric, int64_t k,
                              int64_t window, int64_t expand, Dataset rerank, Matrix rerank_queries, int64_t rerank_k,
                              Filter filter, uintptr_t distances, uintptr_t indices, uintptr_t bad_row, Exec where) {
    return {graph,
            base,
            queries,
            metric_from_name(metric),
            k,
            window,
            expand,
            rerank,
            rerank_queries,
            rerank_k,
            filter,
            pointer<void>(distances),
            pointer<int64_t>(indices),
            pointer<int64_t>(bad_row),
            where};
  }
};

// order: address, rows that are entries, first row and count of the batch. sizes: window, candidates of a pruning, degree,
// room. lists: addresses of both arrays, and of the number of those that outgrow; then that number.
template <>
struct FromPython<BuildGraphArgs> {
  static constexpr const char* names[] = {"base", "metric", "order", "sizes", "alpha", "lists", "bad_row", "exec"};
  static BuildGraphArgs make(Dataset base, const std::string& metric, std::tuple<uintptr_t, int64_t, int64_t, int64_t> order,
                             std::tuple<int64_t, int64_t, int64_t, int64_t> sizes, float alpha,
                             std::tuple<uintptr_t, uintptr_t, uintptr_t, int64_t> lists, uintptr_t bad_row, Exec where) {
    const auto [rows, entry_count, first, count] = order;
    const auto [window, most, degree, room] = sizes;
    const auto [neighbors, state, outgrown, pruned] = lists;
    return {base,
            metric_from_name(metric),
            pointer<const int32_t>(rows),
            entry_count,
            first,
            count,
            degree,
            room,
            window,
            most,
            alpha,
            pointer<int32_t>(neighbors),
            pointer<int32_t>(state),
            pointer<int64_t>(outgrown),
            pruned,
            pointer<int64_t>(bad_row),
            where};
  }
};

// order: its address and length. lists: their address, width, how many of them a round samples, and whether they are empty.
// graph: degree, address.
template <>
struct FromPython<NnDescentArgs> {
  static constexpr const char* names[] = {"base", "metric", "order", "lists", "graph", "still_new", "bad_row", "exec"};
  static NnDescentArgs make(Dataset base, const std::string& metric, std::pair<uintptr_t, int64_t> order,
                            std::tuple<uintptr_t, int64_t, int64_t, bool> lists, std::pair<int64_t, uintptr_t> graph,
                            uintptr_t still_new, uintptr_t bad_row, Exec where) {
    const auto [rows, count] = order;
    const auto [entries, width, sample, empties] = lists;
    const auto [degree, neighbors] = graph;
    return {base,
            metric_from_name(metric),
            pointer<int32_t>(rows),
            count,
            width,
            sample,
            degree,
            pointer<uint64_t>(entries),
            empties,
            pointer<int32_t>(neighbors),
            pointer<int64_t>(still_new),
            pointer<int64_t>(bad_row),
            where};
  }
};

}  // namespace annk
