// SPDX-License-Identifier: Apache-2.0
#include "bind/direct.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <utility>

#include "bind/direct_exact.h"
#include "bind/direct_graphs.h"
#include "bind/direct_select.h"

namespace annk {

using namespace direct;

namespace {

// A direct call by name, with its parameters in order.
#define ANNK_DIRECT_CALLS_OF(X)                                                                                   \
  X(knn_direct, base, queries, k, metric, filter, rerank, rerank_k, threads, out, check_finite)                   \
  X(assign_direct, x, centroids, metric, threads, check_finite)                                                   \
  X(pairwise_direct, queries, base, metric, threads, out, check_finite)                                           \
  X(distances_direct, base, queries, ids, metric, threads, out, check_finite)                                     \
  X(radius_direct, base, queries, r, metric, filter, threads, check_finite)                                       \
  X(select_k_direct, values, k, largest, ids, threads, out)                                                       \
  X(merge_topk_direct, distances, ids, k, metric, offsets, threads, out)                                          \
  X(search_graph_direct, plan, store, queries, k, window, expand, metric, rerank, rerank_k, filter, threads, out, \
    check_finite)

template <size_t kCount>
PyObject* checked(const char* name, PyObject* (*call)(const std::array<PyObject*, kCount>&), PyObject* const* given,
                  Py_ssize_t count) {
  if (count != static_cast<Py_ssize_t>(kCount))
    return PyErr_Format(PyExc_TypeError, "%s: expected %zd arguments, got %zd", name, static_cast<Py_ssize_t>(kCount),
                        count);
  std::array<PyObject*, kCount> arguments;
  std::copy_n(given, kCount, arguments.begin());
  return call(arguments);
}

}  // namespace

void add_direct_calls(py::module_& module) {
  py::class_<StoreLevel>(module, "StoreLevel", py::module_local())
      .def(py::init([](const Dataset& rows, const Matrix& projection, Memory memory) {
             return StoreLevel{rows, projection, std::move(memory)};
           }),
           py::arg("rows"), py::arg("projection"), py::arg("memory"));
  py::class_<GraphPlan>(module, "GraphPlan", py::module_local())
      .def(py::init([](const GraphView& graph, Memory memory) { return GraphPlan{graph, std::move(memory), nullptr}; }),
           py::arg("graph"), py::arg("memory"));
  const py::object module_name = module.attr("__name__");
#define ANNK_ROW(name, ...)                                                                                           \
  {                                                                                                                   \
    const auto call = [](PyObject*, PyObject* const* given, Py_ssize_t count) {                                       \
      return checked(#name, &name, given, count);                                                                     \
    };                                                                                                                \
    static PyMethodDef method = {#name, reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(+call)), METH_FASTCALL, \
                                 #name "(*arguments: object) -> object\n\n" #__VA_ARGS__};                            \
    module.attr(#name) = py::reinterpret_steal<py::object>(PyCFunction_NewEx(&method, nullptr, module_name.ptr()));   \
  }
  ANNK_DIRECT_CALLS_OF(ANNK_ROW)
#undef ANNK_ROW
}

}  // namespace annk
