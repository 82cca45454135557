// SPDX-License-Identifier: Apache-2.0
// Direct calls of searches of graphs.
#pragma once
#include "bind/direct_results.h"

namespace annk::direct {

// The scratch that the plan keeps for this base, rerank and metric. Called with the GIL held.
inline std::shared_ptr<GraphPlan::Kept> kept_for(GraphPlan& plan, const Operands& operands) {
  const std::shared_ptr<GraphPlan::Kept>& last = plan.kept;
  const py::object &base = operands.base.level, &rerank = operands.fine.level;
  if (last && last->base.is(base) && last->rerank.is(rerank) && last->metric == operands.metric) return last;
  const auto kept = std::make_shared<GraphPlan::Kept>();
  kept->base = base;
  kept->rerank = rerank;
  kept->metric = operands.metric;
  return plan.kept = kept;
}

// (plan, store, queries, k, window, expand, metric, rerank, rerank_k, filter, threads, out, check_finite) -> (distances,
// indices)
inline PyObject* search_graph_direct(const std::array<PyObject*, 13>& given) {
  const auto [plan_given, store, queries, k_given, window_given, expand_given, metric, rerank, rerank_k_given, filter,
              threads, out, check_finite] = given;
  Operands operands;
  Options options;
  py::detail::make_caster<GraphPlan> caster;
  const int64_t k = read_count(k_given), window = plain::integer(window_given, 1, -1);
  const int64_t expand = plain::integer(expand_given, 1, INT64_MAX);
  if (k < 0 || window < 0 || expand < 0 || !read_options(threads, check_finite, &options)) return not_plain();
  if (!caster.load(plan_given, false)) return not_plain();
  if (!read_operands(store, queries, metric, rerank, Levels::both, &operands) || !read_filter(filter, &operands))
    return not_plain();
  GraphPlan& plan = py::detail::cast_op<GraphPlan&>(caster);
  if (plan.graph.rows != operands.n()) return not_plain();
  const int64_t rerank_k = plain::integer(rerank_k_given, k, default_rerank_k(k));
  if (rerank_k < 0 || (!operands.reranks && rerank_k_given != Py_None)) return not_plain();
  const Pair found = results(out, type_of_distances(operands.metric), {operands.m(), k});
  if (!found ||
      !apart(out, found, [&](plain::Extent memory) { return operands.overlap(memory) || overlap(plan.memory, memory); }))
    return not_plain();
  // Only the scratch of stores is kept: what an array's address held may be another's tomorrow.
  std::shared_ptr<GraphPlan::Kept> kept;
  if (operands.base.level && (!operands.reranks || operands.fine.level)) kept = kept_for(plan, operands);
  const Outcome outcome = run(operands, options, [&](Running& running) {
    SearchGraphArgs args = running.arguments<SearchGraphArgs>(operands.base);
    args.graph = plan.graph;
    args.k = k;
    args.window = std::max(k, std::min(window, operands.n()));
    args.expand = expand;
    if (operands.reranks) {
      args.rerank = operands.fine.base;
      args.rerank_queries = operands.fine.queries;
      args.rerank_k = std::min(rerank_k, args.window);
    }
    args.filter = operands.filter;
    args.distances = data_of<void>(found.first);
    args.indices = data_of<int64_t>(found.second);
    if (kept) args.kept = &kept->scratch;
    search_graph(args);
  });
  return finish(outcome, {found.first, found.second});
}

}  // namespace annk::direct
