// SPDX-License-Identifier: Apache-2.0
// What direct calls run by and return with.
#pragma once
#include <array>
#include <initializer_list>
#include <new>

#include "bind/direct_arguments.h"
#include "bind/gil.h"
#include "ops/first_nonfinite.h"
#include "ops/pairwise.h"

namespace annk::direct {

// What is not plain, or not as it should be: the Python layer takes over.
inline PyObject* not_plain() {
  PyErr_Clear();
  Py_RETURN_NONE;
}

template <class T>
T* data_of(const py::object& array) {
  return static_cast<T*>(plain::data_of(array.ptr()));
}
inline PyObject* type_of_distances(Metric metric) { return is_int_metric(metric) ? plain::types().i32 : plain::types().f32; }

// A new array, or the one of out=, if that is as it should be; else null.
inline py::object result(PyObject* given, PyObject* type, std::initializer_list<Py_intptr_t> shape) {
  if (given == Py_None) return py::reinterpret_steal<py::object>(plain::create(type, shape));
  return plain::is_result(given, type, shape) ? py::reinterpret_borrow<py::object>(given) : py::object();
}

// The two results of a search, of which out= may give either.
struct Pair {
  py::object first, second;
  explicit operator bool() const { return first && second; }
};
inline Pair results(PyObject* out, PyObject* type, std::initializer_list<Py_intptr_t> shape) {
  PyObject* given[2] = {Py_None, Py_None};
  if (PyTuple_CheckExact(out) || PyList_CheckExact(out)) {
    if (PySequence_Fast_GET_SIZE(out) != 2) return {};
    for (int i = 0; i < 2; ++i) given[i] = PySequence_Fast_GET_ITEM(out, i);
  } else if (out != Py_None) {
    return {};
  }
  Pair made{result(given[0], type, shape), {}};
  if (made.first) made.second = result(given[1], plain::types().i64, shape);
  return made;
}

// Whether results of out= share no memory with what `inputs` says, or with one another.
template <class Inputs>
bool apart(PyObject* out, const Pair& made, const Inputs& inputs) {
  if (out == Py_None) return true;
  const plain::Extent first = plain::extent(made.first.ptr(), 4), second = plain::extent(made.second.ptr(), 8);
  return !inputs(first) && !inputs(second) && !plain::overlap(first, second);
}

// body() without the GIL. An exception of C++ becomes one of Python's, and false.
template <class Body>
bool without_gil(Body&& body) {
  try {
    const WithoutGil released;
    body();
    return true;
  } catch (const Interrupted&) {
    if (!PyErr_Occurred()) PyErr_SetNone(PyExc_KeyboardInterrupt);
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::invalid_argument& raised) {
    PyErr_SetString(PyExc_ValueError, raised.what());
  } catch (const std::exception& raised) {
    PyErr_SetString(PyExc_RuntimeError, raised.what());
  }
  return false;
}

enum class Outcome { done, not_finite, raised };

// What a body is run with: rows whose queries are projected and checked, and where it notes a row that is not finite.
struct Running {
  const Operands& operands;
  const Exec exec;
  const bool check_finite;
  int64_t bad_row = -1;

  // What the arguments of every search begin with.
  template <class Args>
  Args arguments(const Rows& rows) {
    Args args;
    args.base = rows.base;
    args.queries = rows.queries;
    args.metric = operands.metric;
    args.exec = exec;
    if (check_finite && !rows.finite) args.bad_row = &bad_row;
    return args;
  }
  bool finite(const Matrix& rows) {
    if (check_finite) first_nonfinite({rows, &bad_row, exec});
    return bad_row < 0;
  }
};

// The queries times the projection of a level.
inline void project(Rows* rows, const Exec& exec) {
  const Matrix* const projection = rows->projection();
  if (projection == nullptr) return;
  const int64_t m = rows->queries.rows, d = projection->rows;
  rows->projected.reset(new float[static_cast<size_t>(m * d)]);
  pairwise({rows->queries, *projection, Metric::inner_product, rows->projected.get(), nullptr, exec});
  rows->queries = {rows->projected.get(), m, d, d * static_cast<int64_t>(sizeof(float)), DType::f32};
}

// Levels of LeanVec share one projection.
inline void project_fine(Operands* operands, const Exec& exec) {
  const Matrix* const first = operands->base.projection();
  const Matrix* const second = operands->fine.projection();
  if (first == nullptr || second == nullptr || first->data != second->data) return project(&operands->fine, exec);
  operands->fine.queries = operands->base.queries;
}

// body(Running&), which may read `operands`. Queries, and the base rows that are read, are checked for NaN and infinity
// where that is asked for.
template <class Body>
Outcome run(Operands& operands, const Options& options, Body&& body) {
  Running running{operands, exec_of(options.threads), options.check_finite};
  const bool ended = without_gil([&] {
    project(&operands.base, running.exec);
    if (operands.reranks) project_fine(&operands, running.exec);
    if (!running.finite(operands.base.queries)) return;
    if (operands.reranks && operands.fine.queries.data != operands.base.queries.data &&
        !running.finite(operands.fine.queries))
      return;
    body(running);
  });
  return !ended ? Outcome::raised : running.bad_row >= 0 ? Outcome::not_finite : Outcome::done;
}

// The results of a call that ended so; owns what was made for it.
inline PyObject* finish(Outcome outcome, std::initializer_list<py::object> results) {
  if (outcome == Outcome::raised) return nullptr;
  if (outcome == Outcome::not_finite) return not_plain();
  if (results.size() == 1) return results.begin()->inc_ref().ptr();
  PyObject* const tuple = PyTuple_New(static_cast<Py_ssize_t>(results.size()));
  if (tuple == nullptr) return nullptr;
  Py_ssize_t place = 0;
  for (const py::object& result : results) PyTuple_SET_ITEM(tuple, place++, result.inc_ref().ptr());
  return tuple;
}

}  // namespace annk::direct
