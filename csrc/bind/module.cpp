// SPDX-License-Identifier: Apache-2.0
// The one binding source: compiled three times, against the implementations in cpu/, cuda/ and (the same, emulated) emu.
// Arrays arrive as addresses that annkern/arrays/views.py has checked; nothing is decided here.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bind/arguments.h"
#include "bind/direct.h"
#include "ops/backend.h"
#include "ops/build_graph.h"
#include "ops/cluster_sums.h"
#include "ops/decode.h"
#include "ops/distances.h"
#include "ops/encode.h"
#include "ops/first_nonfinite.h"
#include "ops/knn.h"
#include "ops/merge_topk.h"
#include "ops/nn_descent.h"
#include "ops/pairwise.h"
#include "ops/radius.h"
#include "ops/search_graph.h"
#include "ops/select_k.h"

namespace py = pybind11;
using namespace pybind11::literals;

namespace annk {
namespace {

PairwiseArgs pairwise_args(Matrix queries, Dataset base, const std::string& metric, uintptr_t distances, uintptr_t bad_row,
                           Exec where) {
  return {queries, base, metric_from_name(metric), pointer<void>(distances), pointer<int64_t>(bad_row), where};
}

KnnArgs knn_args(Dataset base, Matrix queries, const std::string& metric, int64_t k, Filter filter, uintptr_t distances,
                 uintptr_t indices, uintptr_t bad_row, Exec where) {
  return {base,
          queries,
          metric_from_name(metric),
          k,
          filter,
          pointer<void>(distances),
          pointer<int64_t>(indices),
          pointer<int64_t>(bad_row),
          where};
}

// What a search in blocks keeps between its calls.
struct Carry {
  KnnCarry* kept = nullptr;
  Carry() = default;
  Carry(const Carry&) = delete;
  ~Carry() {
    if (kept != nullptr) kept->release(kept);
  }
};

KnnArgs knn_block_args(Dataset base, Matrix queries, const std::string& metric, int64_t k, Filter filter,
                       uintptr_t distances, uintptr_t indices, uintptr_t bad_row, Carry& carry, int64_t first_id, bool last,
                       Exec where) {
  KnnArgs args = knn_args(base, queries, metric, k, filter, distances, indices, bad_row, where);
  args.carry = &carry.kept;
  args.first_id = first_id;
  args.last = last;
  return args;
}

RadiusArgs radius_args(Dataset base, Matrix queries, const std::string& metric, float radius, Filter filter, uintptr_t lims,
                       uintptr_t distances, uintptr_t indices, uintptr_t bad_row, Exec where) {
  return {base,
          queries,
          metric_from_name(metric),
          radius,
          filter,
          pointer<int64_t>(lims),
          pointer<void>(distances),
          pointer<int64_t>(indices),
          pointer<int64_t>(bad_row),
          where};
}

DistancesArgs distances_args(Dataset base, Matrix queries, const std::string& metric, uintptr_t ids, int64_t width,
                             uintptr_t distances, uintptr_t bad_row, Exec where) {
  return {base,
          queries,
          metric_from_name(metric),
          pointer<const int64_t>(ids),
          width,
          pointer<void>(distances),
          pointer<int64_t>(bad_row),
          where};
}

EncodeArgs encode_args(Matrix x, Dataset store, int64_t first, uintptr_t bad_row, Exec where) {
  return {x, store, first, pointer<int64_t>(bad_row), where};
}

DecodeArgs decode_args(Dataset store, uintptr_t ids, int64_t count, uintptr_t out, Exec where) {
  return {store, pointer<const int64_t>(ids), count, pointer<float>(out), where};
}

// labels: int64 where parts = 1, else codes of a byte.
ClusterSumsArgs cluster_sums_args(Matrix x, uintptr_t labels, int64_t parts, bool bytes, int64_t clusters, uintptr_t sums,
                                  uintptr_t counts, Exec where) {
  return {x,
          bytes ? nullptr : pointer<const int64_t>(labels),
          bytes ? pointer<const uint8_t>(labels) : nullptr,
          parts,
          clusters,
          pointer<double>(sums),
          pointer<int64_t>(counts),
          where};
}

GraphView graph(uintptr_t neighbors, int64_t rows, int64_t degree, int64_t stride, uintptr_t entries, int64_t entry_count) {
  return {pointer<const int32_t>(neighbors), pointer<const int32_t>(entries), rows, degree, stride, entry_count};
}

SearchGraphArgs search_graph_args(GraphView graph, Dataset base, Matrix queries, const std::string& metric, int64_t k,
                                  int64_t window, Dataset rerank, Matrix rerank_queries, int64_t rerank_k, Filter filter,
                                  uintptr_t distances, uintptr_t indices, uintptr_t bad_row, Exec where) {
  return {graph,
          base,
          queries,
          metric_from_name(metric),
          k,
          window,
          rerank,
          rerank_queries,
          rerank_k,
          filter,
          pointer<void>(distances),
          pointer<int64_t>(indices),
          pointer<int64_t>(bad_row),
          where};
}

// order: address, rows that are entries, first row and count of the batch. sizes: window, candidates of a pruning, degree,
// room. lists: addresses of both arrays, and of the number of those that outgrow; then that number.
BuildGraphArgs build_graph_args(Dataset base, const std::string& metric,
                                std::tuple<uintptr_t, int64_t, int64_t, int64_t> order,
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

// order: its address and length. lists: their address, width, how many of them a round samples, and whether they are empty.
// graph: degree, address.
NnDescentArgs nn_descent_args(Dataset base, const std::string& metric, std::pair<uintptr_t, int64_t> order,
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

// parts, m, n as in ops/select_k.h; strides in elements.
SelectKArgs select_k_args(uintptr_t values, std::tuple<int64_t, int64_t, int64_t> shape, std::pair<int64_t, int64_t> strides,
                          uintptr_t ids, std::pair<int64_t, int64_t> ids_strides, int64_t k, bool largest,
                          uintptr_t out_values, uintptr_t out_ids, Exec where) {
  const auto [parts, m, n] = shape;
  return {pointer<const float>(values),
          parts,
          m,
          n,
          strides.first,
          strides.second,
          pointer<const int64_t>(ids),
          ids_strides.first,
          ids_strides.second,
          k,
          largest,
          pointer<float>(out_values),
          pointer<int64_t>(out_ids),
          where};
}

// parts, m, width as in ops/merge_topk.h; strides in elements. offsets: 0, or the address of one a part.
MergeTopkArgs merge_topk_args(uintptr_t distances, bool integers, std::tuple<int64_t, int64_t, int64_t> shape,
                              std::pair<int64_t, int64_t> strides, uintptr_t ids, std::pair<int64_t, int64_t> ids_strides,
                              uintptr_t offsets, int64_t k, bool largest, uintptr_t out_distances, uintptr_t out_ids,
                              Exec where) {
  const auto [parts, m, width] = shape;
  return {pointer<const void>(distances),
          integers,
          parts,
          m,
          width,
          strides.first,
          strides.second,
          pointer<const int64_t>(ids),
          ids_strides.first,
          ids_strides.second,
          pointer<const int64_t>(offsets),
          k,
          largest,
          pointer<void>(out_distances),
          pointer<int64_t>(out_ids),
          where};
}

// def_op(module, "knn", knn_args, knn, knn_workspace, names...): <op>(...) runs it without the GIL, and
// <op>_workspace(...) says how many bytes of device memory the same call wants.
template <class Args, class... In, class... Names>
void def_op(py::module_& m, const char* name, Args (*make)(In...), void (*run)(const Args&), const Names&... names) {
  m.def(
      name,
      [make, run](In... in) {
        const Args args = make(in...);
        py::gil_scoped_release released;
        run(args);
      },
      names...);
}

template <class Args, class... In, class... Names>
void def_workspace(py::module_& m, const char* name, Args (*make)(In...), int64_t (*bytes)(const Args&),
                   const Names&... names) {
  m.def(name, [make, bytes](In... in) { return bytes(make(in...)); }, names...);
}

}  // namespace

PYBIND11_MODULE(ANNK_MODULE, m) {
  require_loadable();
  m.doc() = "annkern's kernels; called by the Python layer, which checks and allocates.";
  py::register_local_exception_translator([](std::exception_ptr raised) {
    try {
      if (raised) std::rethrow_exception(raised);
    } catch (const Interrupted&) {
      // The signal handler has already set the exception, KeyboardInterrupt or the program's own.
      if (!PyErr_Occurred()) PyErr_SetNone(PyExc_KeyboardInterrupt);
    }
  });

  // Local to the module: each of _cpu, _cuda and _emu registers its own of the same name.
  py::class_<Exec>(m, "Exec", py::module_local())
      .def(py::init(&exec), "threads"_a = 0, "stream"_a = 0, "workspace"_a = 0, "workspace_bytes"_a = 0);
  py::class_<Matrix>(m, "Matrix", py::module_local())
      .def(py::init(&matrix), "data"_a, "rows"_a, "dims"_a, "stride"_a, "dtype"_a);
  py::class_<Dataset>(m, "Base", py::module_local())
      .def(py::init([](const Matrix& matrix) { return Dataset(matrix); }), "matrix"_a)
      .def(py::init(&store), "kind"_a, "rows"_a, "dims"_a, "arrays"_a, "numbers"_a);
  py::implicitly_convertible<Matrix, Dataset>();
  py::class_<Filter>(m, "Filter", py::module_local())
      .def(py::init<>())
      .def(py::init(&filter), "data"_a, "query_stride"_a, "packed"_a);

  py::class_<GraphView>(m, "Graph", py::module_local())
      .def(py::init(&graph), "neighbors"_a, "rows"_a, "degree"_a, "stride"_a, "entries"_a, "entry_count"_a);

  m.def("backend_info", [] {
    const BackendInfo info = backend_info();
    return py::dict("name"_a = info.name, "isa"_a = info.isa, "built"_a = info.built, "runnable"_a = info.runnable,
                    "threads"_a = info.threads, "device"_a = info.device, "available"_a = info.available);
  });
  py::dict metrics;
  for (size_t i = 0; i < std::size(kMetricNames); ++i) {
    const Metric metric = static_cast<Metric>(i);
    metrics[kMetricNames[i]] = py::dict("bits"_a = is_bit_metric(metric), "integer"_a = is_int_metric(metric),
                                        "similarity"_a = is_similarity(metric));
  }
  m.attr("metrics") = metrics;
  m.attr("stores") = std::vector<std::string>(std::begin(kStoreNames) + 1, std::end(kStoreNames));
#ifdef ANNK_DIRECT_CALLS
  add_direct_calls(m);
#endif
  m.attr("dtypes") = std::vector<std::string>(std::begin(kDTypeNames), std::end(kDTypeNames));

  def_op(m, "pairwise", pairwise_args, pairwise, "queries"_a, "base"_a, "metric"_a, "distances"_a, "bad_row"_a, "exec"_a);
  def_workspace(m, "pairwise_workspace", pairwise_args, pairwise_workspace, "queries"_a, "base"_a, "metric"_a, "distances"_a,
                "bad_row"_a, "exec"_a);
  def_op(m, "knn", knn_args, knn, "base"_a, "queries"_a, "metric"_a, "k"_a, "filter"_a, "distances"_a, "indices"_a,
         "bad_row"_a, "exec"_a);
  def_workspace(m, "knn_workspace", knn_args, knn_workspace, "base"_a, "queries"_a, "metric"_a, "k"_a, "filter"_a,
                "distances"_a, "indices"_a, "bad_row"_a, "exec"_a);
  py::class_<Carry>(m, "KnnCarry", py::module_local()).def(py::init<>());
  def_op(m, "knn_block", knn_block_args, knn, "base"_a, "queries"_a, "metric"_a, "k"_a, "filter"_a, "distances"_a,
         "indices"_a, "bad_row"_a, "carry"_a, "first_id"_a, "last"_a, "exec"_a);
  def_workspace(m, "knn_block_workspace", knn_block_args, knn_workspace, "base"_a, "queries"_a, "metric"_a, "k"_a,
                "filter"_a, "distances"_a, "indices"_a, "bad_row"_a, "carry"_a, "first_id"_a, "last"_a, "exec"_a);
  def_op(m, "radius_count", radius_args, radius_count, "base"_a, "queries"_a, "metric"_a, "radius"_a, "filter"_a, "lims"_a,
         "distances"_a, "indices"_a, "bad_row"_a, "exec"_a);
  def_op(m, "radius_fill", radius_args, radius_fill, "base"_a, "queries"_a, "metric"_a, "radius"_a, "filter"_a, "lims"_a,
         "distances"_a, "indices"_a, "bad_row"_a, "exec"_a);
  def_workspace(m, "radius_workspace", radius_args, radius_workspace, "base"_a, "queries"_a, "metric"_a, "radius"_a,
                "filter"_a, "lims"_a, "distances"_a, "indices"_a, "bad_row"_a, "exec"_a);
  def_op(m, "distances", distances_args, distances, "base"_a, "queries"_a, "metric"_a, "ids"_a, "width"_a, "distances"_a,
         "bad_row"_a, "exec"_a);
  def_workspace(m, "distances_workspace", distances_args, distances_workspace, "base"_a, "queries"_a, "metric"_a, "ids"_a,
                "width"_a, "distances"_a, "bad_row"_a, "exec"_a);
  def_op(m, "encode", encode_args, encode, "x"_a, "store"_a, "first"_a, "bad_row"_a, "exec"_a);
  def_op(m, "decode", decode_args, decode, "store"_a, "ids"_a, "count"_a, "out"_a, "exec"_a);
  def_op(m, "cluster_sums", cluster_sums_args, cluster_sums, "x"_a, "labels"_a, "parts"_a, "bytes"_a, "clusters"_a, "sums"_a,
         "counts"_a, "exec"_a);
  def_op(m, "search_graph", search_graph_args, search_graph, "graph"_a, "base"_a, "queries"_a, "metric"_a, "k"_a, "window"_a,
         "rerank"_a, "rerank_queries"_a, "rerank_k"_a, "filter"_a, "distances"_a, "indices"_a, "bad_row"_a, "exec"_a);
  def_workspace(m, "search_graph_workspace", search_graph_args, search_graph_workspace, "graph"_a, "base"_a, "queries"_a,
                "metric"_a, "k"_a, "window"_a, "rerank"_a, "rerank_queries"_a, "rerank_k"_a, "filter"_a, "distances"_a,
                "indices"_a, "bad_row"_a, "exec"_a);
  m.def("default_rerank_k", default_rerank_k, "k"_a);
  const auto def_build = [&m](const char* name, void (*run)(const BuildGraphArgs&),
                              int64_t (*bytes)(const BuildGraphArgs&)) {
    def_op(m, name, build_graph_args, run, "base"_a, "metric"_a, "order"_a, "sizes"_a, "alpha"_a, "lists"_a, "bad_row"_a,
           "exec"_a);
    def_workspace(m, (std::string(name) + "_workspace").c_str(), build_graph_args, bytes, "base"_a, "metric"_a, "order"_a,
                  "sizes"_a, "alpha"_a, "lists"_a, "bad_row"_a, "exec"_a);
  };
  def_build("build_graph", build_graph, build_graph_workspace);
  def_build("link_graph", link_graph, link_graph_workspace);
  def_build("finish_graph", finish_graph, finish_graph_workspace);
  def_op(m, "nn_descent_start", nn_descent_args, nn_descent_start, "base"_a, "metric"_a, "order"_a, "lists"_a, "graph"_a,
         "untaken"_a, "bad_row"_a, "exec"_a);
  def_workspace(m, "nn_descent_start_workspace", nn_descent_args, nn_descent_start_workspace, "base"_a, "metric"_a,
                "order"_a, "lists"_a, "graph"_a, "untaken"_a, "bad_row"_a, "exec"_a);
  def_op(m, "nn_descent_round", nn_descent_args, nn_descent_round, "base"_a, "metric"_a, "order"_a, "lists"_a, "graph"_a,
         "untaken"_a, "bad_row"_a, "exec"_a);
  def_workspace(m, "nn_descent_round_workspace", nn_descent_args, nn_descent_round_workspace, "base"_a, "metric"_a,
                "order"_a, "lists"_a, "graph"_a, "untaken"_a, "bad_row"_a, "exec"_a);
  def_op(m, "nn_descent_prune", nn_descent_args, nn_descent_prune, "base"_a, "metric"_a, "order"_a, "lists"_a, "graph"_a,
         "untaken"_a, "bad_row"_a, "exec"_a);
  def_workspace(m, "nn_descent_prune_workspace", nn_descent_args, nn_descent_prune_workspace, "base"_a, "metric"_a,
                "order"_a, "lists"_a, "graph"_a, "untaken"_a, "bad_row"_a, "exec"_a);
  def_op(m, "select_k", select_k_args, select_k, "values"_a, "shape"_a, "strides"_a, "ids"_a, "ids_strides"_a, "k"_a,
         "largest"_a, "out_values"_a, "out_ids"_a, "exec"_a);
  def_workspace(m, "select_k_workspace", select_k_args, select_k_workspace, "values"_a, "shape"_a, "strides"_a, "ids"_a,
                "ids_strides"_a, "k"_a, "largest"_a, "out_values"_a, "out_ids"_a, "exec"_a);
  def_op(m, "merge_topk", merge_topk_args, merge_topk, "distances"_a, "integers"_a, "shape"_a, "strides"_a, "ids"_a,
         "ids_strides"_a, "offsets"_a, "k"_a, "largest"_a, "out_distances"_a, "out_ids"_a, "exec"_a);
  def_workspace(m, "merge_topk_workspace", merge_topk_args, merge_topk_workspace, "distances"_a, "integers"_a, "shape"_a,
                "strides"_a, "ids"_a, "ids_strides"_a, "offsets"_a, "k"_a, "largest"_a, "out_distances"_a, "out_ids"_a,
                "exec"_a);
  m.def(
      "first_nonfinite",
      [](Matrix x, uintptr_t row, Exec where) {
        py::gil_scoped_release released;
        first_nonfinite({x, pointer<int64_t>(row), where});
      },
      "x"_a, "row"_a, "exec"_a);
}

}  // namespace annk
