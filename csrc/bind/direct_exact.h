// SPDX-License-Identifier: Apache-2.0
// Direct calls of searches over all rows.
#pragma once
#include <cmath>

#include "bind/direct_results.h"
#include "ops/distances.h"
#include "ops/knn.h"
#include "ops/radius.h"
#include "ops/select_k.h"

namespace annk::direct {

// The k nearest, or the candidates that the finer form puts in order, as annkern/ops/rerank.py does. Where distances and
// indices are results of out=, nothing is written to them before all rows are known to be finite.
inline void search(Running& running, int64_t k, int64_t candidates, void* distances, int64_t* indices) {
  const Operands& operands = running.operands;
  KnnArgs args = running.arguments<KnnArgs>(operands.base);
  args.filter = operands.filter;
  args.k = operands.reranks ? candidates : k;
  args.distances = distances;
  args.indices = indices;
  if (!operands.reranks) return knn(args);
  const int64_t m = operands.m();
  const size_t all = static_cast<size_t>(m * candidates);
  const std::unique_ptr<int64_t[]> ids(new int64_t[all]);
  const std::unique_ptr<float[]> keys(new float[all]);
  args.distances = keys.get();
  args.indices = ids.get();
  knn(args);
  if (running.bad_row >= 0) return;
  DistancesArgs finer = running.arguments<DistancesArgs>(operands.fine);
  finer.ids = ids.get();
  finer.width = candidates;
  finer.distances = keys.get();
  annk::distances(finer);
  if (running.bad_row >= 0) return;
  SelectKArgs best;
  best.values = keys.get();
  best.m = m;
  best.n = best.row_stride = best.ids_row_stride = candidates;
  best.ids = ids.get();
  best.k = k;
  best.largest = is_similarity(operands.metric);
  best.out_values = static_cast<float*>(distances);
  best.out_ids = indices;
  best.exec = running.exec;
  select_k(best);
}

// (base, queries, k, metric, filter, rerank, rerank_k, threads, out, check_finite) -> (distances, indices)
inline PyObject* knn_direct(const std::array<PyObject*, 10>& given) {
  const auto [base, queries, k_given, metric, filter, rerank, rerank_k, threads, out, check_finite] = given;
  Operands operands;
  Options options;
  const int64_t k = read_count(k_given);
  if (k < 0 || !read_options(threads, check_finite, &options)) return not_plain();
  if (!read_operands(base, queries, metric, rerank, Levels::both, &operands) || !read_filter(filter, &operands))
    return not_plain();
  if (!operands.reranks && rerank_k != Py_None) return not_plain();
  const int64_t candidates = operands.reranks ? plain::integer(rerank_k, k, default_candidates(k)) : k;
  if (candidates < 0) return not_plain();
  const Pair found = results(out, type_of_distances(operands.metric), {operands.m(), k});
  if (!found || !apart(out, found, [&](plain::Extent memory) { return operands.overlap(memory); })) return not_plain();
  const Outcome outcome = run(operands, options, [&](Running& running) {
    search(running, k, std::min(candidates, operands.n()), data_of<void>(found.first), data_of<int64_t>(found.second));
  });
  return finish(outcome, {found.first, found.second});
}

// (x, centroids, metric, threads, check_finite) -> (labels, distances)
inline PyObject* assign_direct(const std::array<PyObject*, 5>& given) {
  const auto [x, centroids, metric, threads, check_finite] = given;
  Operands operands;
  Options options;
  if (!read_options(threads, check_finite, &options)) return not_plain();
  if (!read_operands(centroids, x, metric, Py_None, Levels::both, &operands)) return not_plain();
  const Pair found = results(Py_None, type_of_distances(operands.metric), {operands.m()});
  if (!found) return not_plain();
  const Outcome outcome = run(operands, options, [&](Running& running) {
    search(running, 1, std::min(default_candidates(1), operands.n()), data_of<void>(found.first),
           data_of<int64_t>(found.second));
  });
  return finish(outcome, {found.second, found.first});
}

// (queries, base, metric, threads, out, check_finite) -> distances
inline PyObject* pairwise_direct(const std::array<PyObject*, 6>& given) {
  const auto [queries, base, metric, threads, out, check_finite] = given;
  Operands operands;
  Options options;
  if (!read_options(threads, check_finite, &options)) return not_plain();
  if (!read_operands(base, queries, metric, Py_None, Levels::finest, &operands)) return not_plain();
  const py::object found = result(out, type_of_distances(operands.metric), {operands.m(), operands.n()});
  if (!found || (out != Py_None && operands.overlap(plain::extent(out, 4)))) return not_plain();
  const Outcome outcome = run(operands, options, [&](Running& running) {
    // Distances are written while the base is read: where the memory is the caller's, the base is checked before.
    if (out != Py_None && !operands.base.finite && !running.finite(operands.base.base)) return;
    PairwiseArgs args = running.arguments<PairwiseArgs>(operands.base);
    args.distances = data_of<void>(found);
    pairwise(args);
  });
  return finish(outcome, {found});
}

// (base, queries, ids, metric, threads, out, check_finite) -> distances
inline PyObject* distances_direct(const std::array<PyObject*, 7>& given) {
  const auto [base, queries, ids_given, metric, threads, out, check_finite] = given;
  Operands operands;
  Options options;
  plain::Table ids;
  if (!read_options(threads, check_finite, &options)) return not_plain();
  if (!read_operands(base, queries, metric, Py_None, Levels::finest, &operands)) return not_plain();
  if (!plain::table(ids_given, 2, plain::types().i64, 8, &ids) || ids.rows != operands.m()) return not_plain();
  if (ids.rows > 1 && ids.stride != ids.columns) return not_plain();
  const int64_t* const rows = static_cast<const int64_t*>(ids.data);
  for (int64_t i = 0; i < ids.rows * ids.columns; ++i)
    if (rows[i] >= operands.n()) return not_plain();
  operands.other_extent = plain::extent(ids_given, 8);
  const py::object found = result(out, type_of_distances(operands.metric), {ids.rows, ids.columns});
  if (!found || (out != Py_None && operands.overlap(plain::extent(out, 4)))) return not_plain();
  const Outcome outcome = run(operands, options, [&](Running& running) {
    DistancesArgs args = running.arguments<DistancesArgs>(operands.base);
    args.ids = rows;
    args.width = ids.columns;
    args.distances = data_of<void>(found);
    distances(args);
  });
  return finish(outcome, {found});
}

// (base, queries, r, metric, filter, threads, check_finite) -> (lims, distances, indices)
inline PyObject* radius_direct(const std::array<PyObject*, 7>& given) {
  const auto [base, queries, r, metric, filter, threads, check_finite] = given;
  Operands operands;
  Options options;
  if (!read_options(threads, check_finite, &options) || !(PyFloat_Check(r) || PyLong_Check(r))) return not_plain();
  if (!read_operands(base, queries, metric, Py_None, Levels::finest, &operands) || !read_filter(filter, &operands))
    return not_plain();
  const float radius = static_cast<float>(PyFloat_AsDouble(r));
  if (std::isnan(radius) || PyErr_Occurred()) return not_plain();
  const py::object lims = result(Py_None, plain::types().i64, {operands.m() + 1});
  if (!lims) return not_plain();
  RadiusArgs args;
  const Outcome counted = run(operands, options, [&](Running& running) {
    args = running.arguments<RadiusArgs>(operands.base);
    args.radius = radius;
    args.filter = operands.filter;
    args.lims = data_of<int64_t>(lims);
    radius_count(args);
  });
  if (counted != Outcome::done) return finish(counted, {});
  const int64_t hits = args.lims[operands.m()];
  const Pair found = results(Py_None, type_of_distances(operands.metric), {hits});
  if (!found) return nullptr;
  args.distances = data_of<void>(found.first);
  args.indices = data_of<int64_t>(found.second);
  args.bad_row = nullptr;
  const bool filled = hits == 0 || without_gil([&] { radius_fill(args); });
  return finish(filled ? Outcome::done : Outcome::raised, {lims, found.first, found.second});
}

}  // namespace annk::direct
