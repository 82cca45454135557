// SPDX-License-Identifier: Apache-2.0
// What direct calls read their arguments with: plain arrays, levels of stores, metrics, filters and options.
#pragma once
#include <algorithm>
#include <iterator>
#include <memory>

#include "bind/arguments.h"
#include "bind/direct.h"
#include "bind/plain_arrays.h"

namespace annk::direct {

namespace py = pybind11;

// The rows of a plain array, or of a level of a store, and the queries in the form that they take them in.
struct Rows {
  Dataset base;
  Matrix queries;
  py::object level;                    // a store's; null of an array
  const StoreLevel* of = nullptr;      // the same
  bool finite = false;                 // known to be
  plain::Extent extent;                // of an array
  std::unique_ptr<float[]> projected;  // the queries, where there is a projection

  const Matrix* projection() const { return of != nullptr && of->projection.rows > 0 ? &of->projection : nullptr; }
};

inline bool overlap(const Memory& memory, plain::Extent result) {
  return std::any_of(memory.begin(), memory.end(),
                     [&](const auto& part) { return plain::overlap(result, {part.first, part.second}); });
}

// base, queries and metric of an operation; the same rows in a finer form where it reranks by one; what may be returned.
struct Operands {
  Rows base, fine;
  bool reranks = false;
  Metric metric = Metric::sqeuclidean;
  Filter filter;
  plain::Extent query_extent, other_extent;  // of the queries; of filters or ids

  int64_t n() const { return base.base.rows; }
  int64_t m() const { return base.queries.rows; }
  bool overlap(plain::Extent result) const {
    const auto shared = [&](const Rows& rows) {
      return rows.of == nullptr ? plain::overlap(result, rows.extent) : direct::overlap(rows.of->memory, result);
    };
    return plain::overlap(result, query_extent) || plain::overlap(result, other_extent) || shared(base) ||
           (reranks && shared(fine));
  }
};

// Of a store of two levels an operation searches the first and reranks by the second, or reads the second alone.
enum class Levels { both, finest };

inline bool read_metric(PyObject* name, Metric* out) {
  struct Name {
    PyObject* text;
    Metric metric;
  };
  constexpr size_t kNames = std::size(kMetricNames), kAll = kNames + std::size(kMetricAliases);
  static const Name* const known = [] {
    static Name all[kAll];
    for (size_t i = 0; i < kNames; ++i) all[i] = {PyUnicode_InternFromString(kMetricNames[i]), static_cast<Metric>(i)};
    for (size_t i = kNames; i < kAll; ++i)
      all[i] = {PyUnicode_InternFromString(kMetricAliases[i - kNames].alias), kMetricAliases[i - kNames].metric};
    return all;
  }();
  if (!PyUnicode_CheckExact(name)) return false;
  for (size_t i = 0; i < kAll; ++i)
    if (name == known[i].text) return *out = known[i].metric, true;
  for (size_t i = 0; i < kAll; ++i)
    if (PyUnicode_Compare(name, known[i].text) == 0) return *out = known[i].metric, true;
  return false;
}

// The attribute, or null without an exception.
inline py::object attribute(PyObject* x, PyObject* name) {
  PyObject* const found = PyObject_GetAttr(x, name);
  if (found == nullptr) PyErr_Clear();
  return py::reinterpret_steal<py::object>(found);
}

// One level of a store, as `direct` of annkern/ops/dataset.py gives it.
inline bool read_level(py::object level, Rows* out) {
  py::detail::make_caster<StoreLevel> caster;
  if (!caster.load(level, false)) return false;
  out->of = &py::detail::cast_op<const StoreLevel&>(caster);
  out->base = out->of->rows;
  out->finite = out->base.kind != StoreKind::array || out->projection() != nullptr;
  out->level = std::move(level);
  return true;
}

// The rows of `x`, and of a store of two levels those of the second where there is a `second` to read them into.
inline bool read_rows(PyObject* x, Rows* out, Rows* second) {
  if (plain::matrix(x, &out->base)) {
    out->extent = plain::extent(x, kDTypeBits[static_cast<int>(out->base.dtype)] / 8);
    return true;
  }
  if (Py_TYPE(x) == plain::Api::get().PyArray_Type_) return false;
  static PyObject* const direct = PyUnicode_InternFromString("direct");
  py::object levels = attribute(x, direct);
  if (!levels) return false;
  if (!PyTuple_CheckExact(levels.ptr())) return read_level(std::move(levels), out);
  if (PyTuple_GET_SIZE(levels.ptr()) != 2) return false;  // of an object that is no store
  const auto level = [&](int i) { return py::reinterpret_borrow<py::object>(PyTuple_GET_ITEM(levels.ptr(), i)); };
  if (second == nullptr) return read_level(level(1), out);
  return read_level(level(0), out) && read_level(level(1), second);
}

// Whether these rows take such queries as they are.
inline bool take_queries(Matrix queries, Metric metric, Rows* out) {
  Dataset& base = out->base;
  const Matrix* const projection = out->projection();
  if (base.rows < 1 || queries.dims != (projection == nullptr ? base.dims : projection->dims)) return false;
  out->queries = queries;
  if (is_bit_metric(metric)) {
    if (out->finite || base.dtype != DType::u8 || queries.dtype != DType::u8 || 8 * base.dims > kMostBits) return false;
    base.dims *= 8;
    out->queries.dims *= 8;
    base.dtype = out->queries.dtype = DType::bits;
    return true;
  }
  if (projection != nullptr) return queries.dtype == DType::f32 && from_dot(metric);
  if (out->finite) return true;
  if (queries.dtype != base.dtype) return queries.dtype == DType::f32;
  return (base.dtype != DType::i8 && base.dtype != DType::u8) || base.dims <= kMostDims8Bit;
}

// rerank: None, or the same rows in a finer form.
inline bool read_operands(PyObject* base, PyObject* queries, PyObject* metric, PyObject* rerank, Levels levels,
                          Operands* out) {
  Matrix given;
  if (!plain::matrix(queries, &given)) return false;
  out->query_extent = plain::extent(queries, kDTypeBits[static_cast<int>(given.dtype)] / 8);
  if (!read_rows(base, &out->base, levels == Levels::both ? &out->fine : nullptr)) return false;
  if (rerank != Py_None) {
    out->fine = Rows();
    if (!read_rows(rerank, &out->fine, nullptr)) return false;
  }
  out->reranks = rerank != Py_None || out->fine.of != nullptr;
  if (metric != Py_None) {
    if (!read_metric(metric, &out->metric)) return false;
  } else if (out->base.of != nullptr) {
    static PyObject* const name = PyUnicode_InternFromString("metric");
    const py::object store_metric = attribute(base, name);
    if (!store_metric || !read_metric(store_metric.ptr(), &out->metric)) return false;
  }
  if (!take_queries(given, out->metric, &out->base)) return false;
  if (!out->reranks) return true;
  return !is_bit_metric(out->metric) && take_queries(given, out->metric, &out->fine) &&
         out->fine.base.rows == out->base.base.rows;
}

// None; or booleans (n,) or (m, n), or the same packed into words of 32 bits.
inline bool read_filter(PyObject* x, Operands* out) {
  if (x == Py_None) return true;
  const plain::numpy::PyArray_Proxy* const seen = plain::array(x);
  if (seen == nullptr) return false;
  const bool packed = seen->descr == plain::types().u32;
  const int64_t itemsize = packed ? 4 : 1;
  plain::Table table;
  if (!plain::table(x, seen->nd == 1 ? 1 : 2, packed ? plain::types().u32 : plain::types().b1, itemsize, &table))
    return false;
  if (table.columns != (packed ? (out->n() + 31) / 32 : out->n()) || (seen->nd == 2 && table.rows != out->m())) return false;
  out->filter = filter(reinterpret_cast<uintptr_t>(table.data), seen->nd == 2 ? table.stride * itemsize : 0, packed);
  out->other_extent = plain::extent(x, itemsize);
  return true;
}

// How many results are wanted, at most 2^31 - 1: the Python layer takes over where it is more. -1: it is no such number.
inline int64_t read_count(PyObject* k) {
  const int64_t count = plain::integer(k, 1, -1);
  return count > INT32_MAX ? -1 : count;
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

}  // namespace annk::direct
