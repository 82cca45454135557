// SPDX-License-Identifier: Apache-2.0
#include "bind/direct.h"

#include <algorithm>
#include <utility>

#include "bind/direct_arguments.h"
#include "ops/distances.h"
#include "ops/knn.h"
#include "ops/merge_topk.h"
#include "ops/pairwise.h"
#include "ops/radius.h"
#include "ops/select_k.h"

namespace annk {

using namespace direct;

namespace {

using Arguments = PyObject* const*;
using Call = PyObject* (*)(PyObject*, Arguments, Py_ssize_t);

Outcome nearest(const Operands& operands, const Options& options, int64_t k, const py::object& distances,
                const py::object& indices) {
  KnnArgs args = arguments_of<KnnArgs>(operands, options);
  args.k = k;
  args.distances = data_of<void>(distances);
  args.indices = data_of<int64_t>(indices);
  return run(knn, args, operands, options);
}

// (base, queries, k, metric, threads, check_finite) -> (distances, indices)
PyObject* knn_direct(PyObject*, Arguments given, Py_ssize_t) {
  Operands operands;
  Options options;
  const int64_t k = plain::integer(given[2], 1, -1);
  if (k < 0 || !read_options(given[4], given[5], &options)) return not_plain();
  if (!read_operands(given[0], given[1], given[3], &operands) || k > operands.base.rows) return not_plain();
  const py::object distances = new_distances(operands.metric, {operands.queries.rows, k});
  const py::object indices = distances ? new_array(plain::types().i64, {operands.queries.rows, k}) : py::object();
  if (!indices) return nullptr;
  return finish(nearest(operands, options, k, distances, indices), {distances, indices});
}

// (x, centroids, metric, threads, check_finite) -> (labels, distances)
PyObject* assign_direct(PyObject*, Arguments given, Py_ssize_t) {
  Operands operands;
  Options options;
  if (!read_options(given[3], given[4], &options)) return not_plain();
  if (!read_operands(given[1], given[0], given[2], &operands)) return not_plain();
  const py::object distances = new_distances(operands.metric, {operands.queries.rows});
  const py::object labels = distances ? new_array(plain::types().i64, {operands.queries.rows}) : py::object();
  if (!labels) return nullptr;
  return finish(nearest(operands, options, 1, distances, labels), {labels, distances});
}

// (queries, base, metric, threads, check_finite) -> distances
PyObject* pairwise_direct(PyObject*, Arguments given, Py_ssize_t) {
  Operands operands;
  Options options;
  if (!read_options(given[3], given[4], &options)) return not_plain();
  if (!read_operands(given[1], given[0], given[2], &operands)) return not_plain();
  const py::object distances = new_distances(operands.metric, {operands.queries.rows, operands.base.rows});
  if (!distances) return nullptr;
  PairwiseArgs args = arguments_of<PairwiseArgs>(operands, options);
  args.distances = data_of<void>(distances);
  return finish(run(pairwise, args, operands, options), {distances});
}

// (base, queries, ids, metric, threads, check_finite) -> distances
PyObject* distances_direct(PyObject*, Arguments given, Py_ssize_t) {
  Operands operands;
  Options options;
  plain::Table ids;
  if (!read_options(given[4], given[5], &options)) return not_plain();
  if (!read_operands(given[0], given[1], given[3], &operands)) return not_plain();
  if (!plain::table(given[2], plain::types().i64, 8, &ids) || ids.rows != operands.queries.rows) return not_plain();
  if (ids.rows > 1 && ids.stride != ids.columns) return not_plain();
  const int64_t* const rows = static_cast<const int64_t*>(ids.data);
  for (int64_t i = 0; i < ids.rows * ids.columns; ++i)
    if (rows[i] >= operands.base.rows) return not_plain();
  const py::object distances_out = new_distances(operands.metric, {ids.rows, ids.columns});
  if (!distances_out) return nullptr;
  DistancesArgs args = arguments_of<DistancesArgs>(operands, options);
  args.ids = rows;
  args.width = ids.columns;
  args.distances = data_of<void>(distances_out);
  return finish(run(distances, args, operands, options), {distances_out});
}

// (base, queries, r, metric, threads, check_finite) -> (lims, distances, indices)
PyObject* radius_direct(PyObject*, Arguments given, Py_ssize_t) {
  Operands operands;
  Options options;
  if (!read_options(given[4], given[5], &options) || !PyFloat_CheckExact(given[2])) return not_plain();
  if (!read_operands(given[0], given[1], given[3], &operands)) return not_plain();
  const float radius = static_cast<float>(PyFloat_AS_DOUBLE(given[2]));
  if (std::isnan(radius)) return not_plain();
  const py::object lims = new_array(plain::types().i64, {operands.queries.rows + 1});
  if (!lims) return nullptr;
  RadiusArgs args = arguments_of<RadiusArgs>(operands, options);
  args.radius = radius;
  args.lims = data_of<int64_t>(lims);
  const Outcome counted = run(radius_count, args, operands, options);
  if (counted != Outcome::done) return finish(counted, {});
  const int64_t hits = args.lims[operands.queries.rows];
  const py::object distances = new_distances(operands.metric, {hits});
  const py::object indices = distances ? new_array(plain::types().i64, {hits}) : py::object();
  if (!indices) return nullptr;
  args.distances = data_of<void>(distances);
  args.indices = data_of<int64_t>(indices);
  args.bad_row = nullptr;
  const bool filled = hits == 0 || without_gil([&] { radius_fill(args); });
  return finish(filled ? Outcome::done : Outcome::raised, {lims, distances, indices});
}

// (values, k, largest, ids, threads) -> (values, ids)
PyObject* select_k_direct(PyObject*, Arguments given, Py_ssize_t) {
  plain::Table values, ids;
  Options options;
  const int64_t k = plain::integer(given[1], 1, -1);
  if (!read_options(given[4], given[2], &options) || !plain::table(given[0], plain::types().f32, 4, &values))
    return not_plain();
  if (k < 0 || k > values.columns) return not_plain();
  if (given[3] != Py_None &&
      (!plain::table(given[3], plain::types().i64, 8, &ids) || ids.rows != values.rows || ids.columns != values.columns))
    return not_plain();
  const py::object best = new_array(plain::types().f32, {values.rows, k});
  const py::object best_ids = best ? new_array(plain::types().i64, {values.rows, k}) : py::object();
  if (!best_ids) return nullptr;
  SelectKArgs args;
  args.values = static_cast<const float*>(values.data);
  args.m = values.rows;
  args.n = values.columns;
  args.row_stride = values.stride;
  args.ids = static_cast<const int64_t*>(ids.data);
  args.ids_row_stride = ids.stride;
  args.k = k;
  args.largest = given[2] == Py_True;
  args.out_values = data_of<float>(best);
  args.out_ids = data_of<int64_t>(best_ids);
  args.exec = exec_of(options.threads);
  return finish(without_gil([&] { select_k(args); }) ? Outcome::done : Outcome::raised, {best, best_ids});
}

// (distances, ids, k, metric, threads) -> (distances, ids)
PyObject* merge_topk_direct(PyObject*, Arguments given, Py_ssize_t) {
  const plain::numpy::PyArray_Proxy* const found = plain::array(given[0]);
  const plain::numpy::PyArray_Proxy* const names = plain::array(given[1]);
  Options options;
  Metric metric = Metric::sqeuclidean;
  const int64_t k = plain::integer(given[2], 1, -1);
  if (found == nullptr || names == nullptr || k < 0 || k > INT32_MAX) return not_plain();
  if (!read_options(given[4], Py_True, &options)) return not_plain();
  if (given[3] != Py_None && !read_metric(given[3], &metric)) return not_plain();
  constexpr int kContiguous = plain::Api::NPY_ARRAY_C_CONTIGUOUS_;
  const bool integers = found->descr == plain::types().i32;
  if (found->nd != 3 || names->nd != 3 || names->descr != plain::types().i64) return not_plain();
  if ((!integers && found->descr != plain::types().f32) || (found->flags & names->flags & kContiguous) == 0)
    return not_plain();
  for (int axis = 0; axis < 3; ++axis)
    if (found->dimensions[axis] < 1 || found->dimensions[axis] != names->dimensions[axis]) return not_plain();
  const int64_t parts = found->dimensions[0], m = found->dimensions[1], width = found->dimensions[2];
  const py::object best = new_array(found->descr, {m, k});
  const py::object best_ids = best ? new_array(plain::types().i64, {m, k}) : py::object();
  if (!best_ids) return nullptr;
  MergeTopkArgs args;
  args.distances = found->data;
  args.integers = integers;
  args.parts = parts;
  args.m = m;
  args.width = width;
  args.part_stride = args.ids_part_stride = m * width;
  args.row_stride = args.ids_row_stride = width;
  args.ids = reinterpret_cast<const int64_t*>(names->data);
  args.k = k;
  args.largest = is_similarity(metric);
  args.out_distances = data_of<void>(best);
  args.out_ids = data_of<int64_t>(best_ids);
  args.exec = exec_of(options.threads);
  return finish(without_gil([&] { merge_topk(args); }) ? Outcome::done : Outcome::raised, {best, best_ids});
}

// The scratch that the plan keeps for this base, rerank and metric. Called with the GIL held.
std::shared_ptr<GraphPlan::Kept> kept_for(GraphPlan& plan, const Operands& operands, const Operands& fine) {
  const std::shared_ptr<GraphPlan::Kept>& last = plan.kept;
  if (last && last->base.is(operands.native) && last->rerank.is(fine.native) && last->metric == operands.metric) return last;
  const auto kept = std::make_shared<GraphPlan::Kept>();
  kept->base = operands.native;
  kept->rerank = fine.native;
  kept->metric = operands.metric;
  return plan.kept = kept;
}

// (plan, store, queries, k, window, metric, rerank, rerank_k, threads, check_finite, expand) -> (distances, indices)
PyObject* search_graph_direct(PyObject*, Arguments given, Py_ssize_t) {
  Operands operands, fine;
  Options options;
  py::detail::make_caster<GraphPlan> caster;
  const int64_t k = plain::integer(given[3], 1, -1), window = plain::integer(given[4], 1, -1);
  const int64_t expand = plain::integer(given[10], 1, INT64_MAX);
  if (k < 0 || window < 0 || expand < 0 || !read_options(given[8], given[9], &options)) return not_plain();
  if (!caster.load(given[0], false) || !read_operands(given[1], given[2], given[5], &operands)) return not_plain();
  GraphPlan& plan = py::detail::cast_op<GraphPlan&>(caster);
  if (plan.graph.rows != operands.base.rows || k > operands.base.rows || is_bit_metric(operands.metric)) return not_plain();
  const bool reranks = given[6] != Py_None;
  if (reranks && (!read_operands(given[6], given[2], given[5], &fine) || fine.base.rows != operands.base.rows))
    return not_plain();
  const int64_t rerank_k = plain::integer(given[7], k, default_rerank_k(k));
  if (rerank_k < 0 || (!reranks && given[7] != Py_None)) return not_plain();
  const py::object distances = new_array(plain::types().f32, {operands.queries.rows, k});
  const py::object indices = distances ? new_array(plain::types().i64, {operands.queries.rows, k}) : py::object();
  if (!indices) return nullptr;
  SearchGraphArgs args = arguments_of<SearchGraphArgs>(operands, options);
  args.graph = plan.graph;
  args.k = k;
  args.window = std::max(k, std::min(window, operands.base.rows));
  args.expand = expand;
  if (reranks) {
    args.rerank = fine.base;
    args.rerank_queries = fine.queries;
    args.rerank_k = std::min(rerank_k, args.window);
  }
  args.distances = data_of<void>(distances);
  args.indices = data_of<int64_t>(indices);
  // Only the scratch of stores is kept: what an array's address held may be another's tomorrow.
  std::shared_ptr<GraphPlan::Kept> kept;
  if (operands.native && (!reranks || fine.native)) {
    kept = kept_for(plan, operands, fine);
    args.kept = &kept->scratch;
  }
  return finish(run(search_graph, args, operands, options), {distances, indices});
}

// The number of arguments is part of the table, so that a body may index them.
struct Entry {
  const char* name;
  Call call;
  Py_ssize_t count;
  const char* doc;  // its signature, as pybind11 would say it: stubs and their test read it
};
constexpr Entry kEntries[] = {
    {"knn_direct", knn_direct, 6,
     "knn_direct(base: object, queries: object, k: object, metric: object, threads: object, check_finite: object) -> "
     "object"},
    {"assign_direct", assign_direct, 5,
     "assign_direct(x: object, centroids: object, metric: object, threads: object, check_finite: object) -> object"},
    {"pairwise_direct", pairwise_direct, 5,
     "pairwise_direct(queries: object, base: object, metric: object, threads: object, check_finite: object) -> object"},
    {"distances_direct", distances_direct, 6,
     "distances_direct(base: object, queries: object, ids: object, metric: object, threads: object, check_finite: object) "
     "-> object"},
    {"radius_direct", radius_direct, 6,
     "radius_direct(base: object, queries: object, r: object, metric: object, threads: object, check_finite: object) -> "
     "object"},
    {"select_k_direct", select_k_direct, 5,
     "select_k_direct(values: object, k: object, largest: object, ids: object, threads: object) -> object"},
    {"merge_topk_direct", merge_topk_direct, 5,
     "merge_topk_direct(distances: object, ids: object, k: object, metric: object, threads: object) -> object"},
    {"search_graph_direct", search_graph_direct, 11,
     "search_graph_direct(plan: object, store: object, queries: object, k: object, window: object, metric: object, rerank: "
     "object, rerank_k: object, threads: object, check_finite: object, expand: object) -> object"},
};

template <size_t I>
PyObject* checked(PyObject* self, Arguments given, Py_ssize_t count) {
  constexpr const Entry& entry = kEntries[I];
  if (count != entry.count)
    return PyErr_Format(PyExc_TypeError, "%s: expected %zd arguments, got %zd", entry.name, entry.count, count);
  return entry.call(self, given, count);
}

template <size_t... I>
void add_all(py::module_& module, std::index_sequence<I...>) {
  static PyMethodDef methods[] = {{kEntries[I].name, reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(&checked<I>)),
                                   METH_FASTCALL, kEntries[I].doc}...};
  const py::object name = module.attr("__name__");
  for (PyMethodDef& method : methods)
    module.attr(method.ml_name) = py::reinterpret_steal<py::object>(PyCFunction_NewEx(&method, nullptr, name.ptr()));
}

}  // namespace

void add_direct_calls(py::module_& module) {
  py::class_<GraphPlan>(module, "GraphPlan", py::module_local())
      .def(py::init([](const GraphView& graph) { return GraphPlan{graph, nullptr}; }), py::arg("graph"));
  add_all(module, std::make_index_sequence<std::size(kEntries)>());
}

}  // namespace annk
