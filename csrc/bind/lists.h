// SPDX-License-Identifier: Apache-2.0
// Lists of rows, searched: what Python passes.
#pragma once
#include "bind/operation.h"
#include "ops/search_lists.h"

namespace annk {

inline ListsView lists(uintptr_t offsets, uintptr_t ids, uintptr_t places, int64_t count, int64_t rows, int64_t copies) {
  return {pointer<const int64_t>(offsets), pointer<const int32_t>(ids), pointer<const int32_t>(places), count, rows, copies};
}

// order: centroids, queries, metric. taken: probes, depth, width. base and rerank: rows, queries, whether they are in list
// order. counts: k, rerank_k.
template <>
struct FromPython<SearchListsArgs> {
  using Rows = std::tuple<Dataset, Matrix, bool>;
  static constexpr const char* names[] = {"lists",  "order",  "taken",     "base",    "metric",  "rerank",
                                          "counts", "filter", "distances", "indices", "bad_row", "exec"};
  static SearchListsArgs make(ListsView lists, const std::tuple<Dataset, Matrix, std::string>& order,
                              std::tuple<int64_t, int64_t, int64_t> taken, const Rows& base, const std::string& metric,
                              const Rows& rerank, std::pair<int64_t, int64_t> counts, Filter filter, uintptr_t distances,
                              uintptr_t indices, uintptr_t bad_row, Exec where) {
    const auto& [centroids, centroid_queries, order_metric] = order;
    const auto [probes, depth, width] = taken;
    const auto& [rows, queries, in_order] = base;
    const auto& [fine, fine_queries, fine_in_order] = rerank;
    return {lists,
            centroids,
            centroid_queries,
            metric_from_name(order_metric),
            probes,
            depth,
            width,
            rows,
            queries,
            in_order,
            metric_from_name(metric),
            counts.first,
            fine,
            fine_queries,
            fine_in_order,
            counts.second,
            filter,
            pointer<void>(distances),
            pointer<int64_t>(indices),
            pointer<int64_t>(bad_row),
            where};
  }
};

}  // namespace annk
