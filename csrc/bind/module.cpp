// SPDX-License-Identifier: Apache-2.0
// The one binding source: compiled three times, against the implementations in cpu/, cuda/ and (the same, emulated) emu.
// Arrays arrive as addresses that annkern/arrays/views.py has checked; nothing is decided here. Each family of operations
// says in a header of its own what Python passes.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bind/arguments.h"
#include "bind/direct.h"
#include "bind/exact.h"
#include "bind/graphs.h"
#include "bind/lists.h"
#include "bind/select.h"
#include "bind/stores.h"
#include "ops/backend.h"
#include "ops/ops.h"

namespace py = pybind11;
using namespace pybind11::literals;

namespace annk {
namespace {

void def_views(py::module_& m) {
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
  py::class_<ListsView>(m, "Lists", py::module_local())
      .def(py::init(&lists), "offsets"_a, "ids"_a, "places"_a, "count"_a, "rows"_a, "copies"_a);
}

void def_registry(py::module_& m) {
#define ANNK_ROW(name, ...) Metric::name,
  static constexpr Metric kAsMessagesNameThem[] = {ANNK_SQUARES_METRICS(ANNK_ROW) ANNK_PRODUCT_METRICS(ANNK_ROW)
                                                       ANNK_STEP_METRICS(ANNK_ROW) ANNK_BIT_METRICS(ANNK_ROW)};
#undef ANNK_ROW
  py::dict metrics;
  for (const Metric metric : kAsMessagesNameThem)
    metrics[kMetricNames[static_cast<int>(metric)]] =
        py::dict("bits"_a = is_bit_metric(metric), "integer"_a = is_int_metric(metric),
                 "similarity"_a = is_similarity(metric), "from_dot"_a = from_dot(metric));
  m.attr("metrics") = metrics;
  py::dict aliases;
  for (const MetricAlias& row : kMetricAliases) aliases[row.alias] = kMetricNames[static_cast<int>(row.metric)];
  m.attr("metric_aliases") = aliases;
  m.attr("stores") = std::vector<std::string>(std::begin(kStoreNames) + 1, std::end(kStoreNames));
  m.attr("dtypes") = std::vector<std::string>(std::begin(kDTypeNames), std::end(kDTypeNames));
  m.attr("most_dims_8bit") = kMostDims8Bit;
  m.attr("most_bits") = kMostBits;
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

  def_views(m);
  def_registry(m);
  m.def("backend_info", [] {
    const BackendInfo info = backend_info();
    return py::dict("name"_a = info.name, "isa"_a = info.isa, "built"_a = info.built, "runnable"_a = info.runnable,
                    "threads"_a = info.threads, "device"_a = info.device, "available"_a = info.available,
                    "note"_a = info.note);
  });
  def_knn_blocks(m);
#define ANNK_ROW(op, Args) def_operation<FromPython<Args>, Args>(m, #op, op);
  ANNK_OPS(ANNK_ROW)
#undef ANNK_ROW
#define ANNK_ROW(op, Args) def_operation<FromPython<Args>, Args>(m, #op "_workspace", op##_workspace);
  ANNK_SIZED_OPS(ANNK_ROW)
#undef ANNK_ROW
  m.def("default_candidates", default_candidates, "k"_a);
  m.def("default_rerank_k", default_rerank_k, "k"_a);
#ifdef ANNK_DIRECT_CALLS
  add_direct_calls(m);
#endif
}

}  // namespace annk
