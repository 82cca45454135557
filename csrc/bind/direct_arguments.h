// SPDX-License-Identifier: Apache-2.0
// What direct calls read their arguments with, run by and return with: bind/direct.cpp.
#pragma once
#include <cmath>
#include <iterator>

#include "bind/arguments.h"
#include "bind/plain_arrays.h"
#include "ops/first_nonfinite.h"

namespace annk::direct {

namespace py = pybind11;

// What is not plain, or not as it should be: the Python layer takes over.
inline PyObject* not_plain() { Py_RETURN_NONE; }

// base, queries and metric of an operation.
struct Operands {
  Dataset base;
  Matrix queries;
  Metric metric = Metric::sqeuclidean;
  bool stored = false;  // the rows of a compressed store, which are finite
  py::object native;    // a store's form for the kernels
};

// The attribute, or null without an exception.
inline py::object attribute(PyObject* x, PyObject* name) {
  PyObject* const found = PyObject_GetAttr(x, name);
  if (found == nullptr) PyErr_Clear();
  return py::reinterpret_steal<py::object>(found);
}

inline bool read_metric(PyObject* name, Metric* out) {
  if (!PyUnicode_Check(name)) return false;
  static PyObject* const* const interned = [] {
    static PyObject* names[std::size(kMetricNames)];
    for (size_t i = 0; i < std::size(kMetricNames); ++i) names[i] = PyUnicode_InternFromString(kMetricNames[i]);
    return names;
  }();
  for (size_t i = 0; i < std::size(kMetricNames); ++i)
    if (name == interned[i] || PyUnicode_Compare(name, interned[i]) == 0) return *out = static_cast<Metric>(i), true;
  return false;
}

// A plain array, or a store of one level that has been called before: annkern/ops/dataset.py leaves its form for the kernels
// in `direct`; or that form itself.
inline bool read_base(PyObject* x, PyObject* metric, Operands* out) {
  static PyObject* const direct = PyUnicode_InternFromString("direct");
  static PyObject* const own_metric = PyUnicode_InternFromString("metric");
  Matrix matrix;
  if (plain::matrix(x, &matrix)) {
    out->base = matrix;
    return metric == Py_None || read_metric(metric, &out->metric);
  }
  if (Py_TYPE(x) == plain::Api::get().PyArray_Type_) return false;
  out->native = attribute(x, direct);
  if (!out->native) out->native = py::reinterpret_borrow<py::object>(x);  // that form itself
  py::detail::make_caster<Dataset> caster;
  if (!out->native || out->native.is_none() || !caster.load(out->native, false)) return false;
  out->base = py::detail::cast_op<Dataset&>(caster);
  out->stored = out->base.kind != StoreKind::array;
  if (metric != Py_None) return read_metric(metric, &out->metric);
  const py::object own = attribute(x, own_metric);
  return own && read_metric(own.ptr(), &out->metric);
}

inline bool read_queries(PyObject* x, Operands* out) {
  Matrix& queries = out->queries;
  Dataset& base = out->base;
  if (!plain::matrix(x, &queries) || queries.dims != base.dims || base.rows < 1) return false;
  if (is_bit_metric(out->metric)) {
    if (out->stored || base.dtype != DType::u8 || queries.dtype != DType::u8 || 8 * base.dims > kMostBits) return false;
    base.dims *= 8;
    queries.dims *= 8;
    base.dtype = queries.dtype = DType::bits;
    return true;
  }
  if (out->stored) return true;
  if (queries.dtype != base.dtype) return queries.dtype == DType::f32;
  return (base.dtype != DType::i8 && base.dtype != DType::u8) || base.dims <= kMostDims8Bit;
}

inline bool read_operands(PyObject* base, PyObject* queries, PyObject* metric, Operands* out) {
  return read_base(base, metric, out) && read_queries(queries, out);
}

// threads and check_finite, as every call has them.
struct Options {
  int threads = 0;
  bool check_finite = true;
};
inline bool read_options(PyObject* threads, PyObject* check_finite, Options* out) {
  const int64_t count = plain::integer(threads, 1, 0);
  if (count < 0 || count > INT32_MAX || !PyBool_Check(check_finite)) return false;
  *out = {static_cast<int>(count), check_finite == Py_True};
  return true;
}
inline Exec exec_of(int threads) { return {threads, nullptr, nullptr, 0, interrupted}; }

// What the arguments of every search begin with.
template <class Args>
Args arguments_of(const Operands& operands, const Options& options) {
  Args args;
  args.base = operands.base;
  args.queries = operands.queries;
  args.metric = operands.metric;
  args.exec = exec_of(options.threads);
  return args;
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

// The operation. Queries, and the base rows that it reads, are checked for NaN and infinity where that is asked for.
template <class Args>
Outcome run(void (*op)(const Args&), Args& args, const Operands& operands, const Options& options) {
  int64_t bad_row = -1;
  const bool ended = without_gil([&] {
    if (options.check_finite) {
      first_nonfinite({operands.queries, &bad_row, args.exec});
      if (bad_row >= 0) return;
      if (!operands.stored) args.bad_row = &bad_row;
    }
    op(args);
  });
  return !ended ? Outcome::raised : bad_row >= 0 ? Outcome::not_finite : Outcome::done;
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

inline py::object new_array(PyObject* type, std::initializer_list<Py_intptr_t> shape) {
  return py::reinterpret_steal<py::object>(plain::create(type, shape));
}
inline py::object new_distances(Metric metric, std::initializer_list<Py_intptr_t> shape) {
  return new_array(is_int_metric(metric) ? plain::types().i32 : plain::types().f32, shape);
}
template <class T>
T* data_of(const py::object& array) {
  return static_cast<T*>(plain::data_of(array.ptr()));
}

}  // namespace annk::direct
