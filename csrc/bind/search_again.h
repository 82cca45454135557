// SPDX-License-Identifier: Apache-2.0
// A search of the same graph over the same stores, asked again (annkern/graphs/search_plan.py): a function of plain CPython,
// for pybind11's way of calling one, with 14 arguments, costs as much as half of a query's search.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>

#include "core/check.h"
#include "ops/first_nonfinite.h"
#include "ops/search_graph.h"

namespace annk {

// What was found when these objects were checked. The stores are not kept alive: their weak references say that they live.
struct SearchAgain {
  PyObject *neighbors, *entries;  // owned
  PyObject *store, *rerank;       // weak references, owned; rerank may be None
  PyObject* metric;               // owned; None or a name
  SearchGraphArgs args;
  SearchScratch* kept = nullptr;

  SearchAgain(const SearchAgain&) = delete;
  SearchAgain& operator=(const SearchAgain&) = delete;
  SearchAgain(PyObject* own_neighbors, PyObject* own_entries, PyObject* own_store, PyObject* own_rerank,
              PyObject* own_metric, const SearchGraphArgs& known)
      : neighbors(own_neighbors),
        entries(own_entries),
        store(own_store),
        rerank(own_rerank),
        metric(own_metric),
        args(known) {
    for (PyObject* each : {neighbors, entries, store, rerank, metric}) Py_INCREF(each);
    args.kept = &kept;
  }
  ~SearchAgain() {
    for (PyObject* each : {neighbors, entries, store, rerank, metric}) Py_DECREF(each);
    if (kept != nullptr) kept->release(kept);
  }
};

namespace again {

constexpr const char* kCapsule = "annkern.search_again";

inline bool refers_to(PyObject* reference, PyObject* object) {
  if (reference == Py_None || object == Py_None) return reference == object;
#if PY_VERSION_HEX >= 0x030d0000
  PyObject* target = nullptr;
  const bool same = PyWeakref_GetRef(reference, &target) > 0 && target == object;
  Py_XDECREF(target);
  return same;
#else
  return PyWeakref_GetObject(reference) == object;
#endif
}

// Attribute `name` of `object` is `expected`.
inline bool has(PyObject* object, PyObject* name, PyObject* expected) {
  PyObject* const found = PyObject_GetAttr(object, name);
  Py_XDECREF(found);
  if (found == nullptr) PyErr_Clear();
  return found == expected;
}

inline bool same_name(PyObject* a, PyObject* b) {
  if (a == b) return true;
  return PyUnicode_Check(a) && PyUnicode_Check(b) && PyUnicode_Compare(a, b) == 0;
}

// A plain int of at least `least`; `missing` for None. -1: it is neither.
inline int64_t number(PyObject* x, int64_t least, int64_t missing) {
  if (x == Py_None) return missing;
  if (!PyLong_CheckExact(x)) return -1;
  int overflow = 0;
  const int64_t value = PyLong_AsLongLongAndOverflow(x, &overflow);
  return overflow != 0 || value < least ? -1 : value;
}

// Queries that the kernels read as they are: (m, dims) float32, contiguous, of NumPy itself and no class of its own.
inline bool matrix_of(PyObject* queries, int64_t dims, Matrix* out) {
  namespace numpy = pybind11::detail;
  const numpy::npy_api& api = numpy::npy_api::get();
  static PyObject* const floats = api.PyArray_DescrFromType_(numpy::npy_api::NPY_FLOAT_);
  if (Py_TYPE(queries) != api.PyArray_Type_) return false;
  const numpy::PyArray_Proxy* const x = numpy::array_proxy(queries);
  constexpr int kPlain = numpy::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | numpy::npy_api::NPY_ARRAY_ALIGNED_;
  if (x->descr != floats || x->nd != 2 || (x->flags & kPlain) != kPlain) return false;
  if (x->dimensions[0] < 1 || x->dimensions[1] != dims) return false;
  *out = {x->data, x->dimensions[0], dims, dims * static_cast<int64_t>(sizeof(float)), DType::f32};
  return true;
}

// An array (m, k), not initialised; null with an exception set.
inline PyObject* new_array(int type, int64_t m, int64_t k) {
  const pybind11::detail::npy_api& api = pybind11::detail::npy_api::get();
  const Py_intptr_t shape[] = {m, k};
  return api.PyArray_NewFromDescr_(api.PyArray_Type_, api.PyArray_DescrFromType_(type), 2, shape, nullptr, nullptr, 0,
                                   nullptr);
}
inline void* data_of(PyObject* array) { return pybind11::detail::array_proxy(array)->data; }

// False: queries or rows hold NaN or infinity.
inline bool run(SearchGraphArgs& args, bool check_finite) {
  const pybind11::gil_scoped_release released;
  int64_t bad_row = -1;
  if (check_finite) {
    first_nonfinite({args.queries, &bad_row, args.exec});
    if (bad_row >= 0) return false;
    args.bad_row = &bad_row;
  }
  search_graph(args);
  return bad_row < 0;
}

// (graph, store, queries, k, window, metric, rerank, rerank_k, threads, check_finite) -> (distances, indices), or None
// where something is not as it was or not as it should be: then the caller checks everything anew, and knows what to say.
inline PyObject* search(PyObject* self, PyObject* const* given, Py_ssize_t count) {
  SearchAgain* const own = static_cast<SearchAgain*>(PyCapsule_GetPointer(self, kCapsule));
  if (own == nullptr) return nullptr;
  if (count != 10) return PyErr_Format(PyExc_TypeError, "expected 10 arguments, got %zd", count);
  static PyObject* const neighbors = PyUnicode_InternFromString("neighbors");
  static PyObject* const entries = PyUnicode_InternFromString("entries");
  SearchGraphArgs args = own->args;
  const int64_t k = number(given[3], 1, -1), window = number(given[4], 1, -1), rerank_k = number(given[7], k, 0),
                threads = number(given[8], 1, 0);
  const int64_t depth = given[7] == Py_None ? default_rerank_k(k) : rerank_k;
  const bool reranks = args.rerank_k > 0;
  const bool fits = has(given[0], neighbors, own->neighbors) && has(given[0], entries, own->entries) &&
                    refers_to(own->store, given[1]) && refers_to(own->rerank, given[6]) &&
                    same_name(own->metric, given[5]) && matrix_of(given[2], args.queries.dims, &args.queries) && k > 0 &&
                    k <= INT32_MAX && window > 0 && rerank_k >= 0 && threads >= 0 && threads <= INT32_MAX &&
                    (reranks || rerank_k == 0) && PyBool_Check(given[9]);
  if (!fits) Py_RETURN_NONE;
  PyObject* const distances = new_array(pybind11::detail::npy_api::NPY_FLOAT_, args.queries.rows, k);
  PyObject* const indices =
      distances == nullptr ? nullptr : new_array(pybind11::detail::npy_api::NPY_INT64_, args.queries.rows, k);
  PyObject* result = indices == nullptr ? nullptr : PyTuple_Pack(2, distances, indices);
  if (result != nullptr) {
    args.k = k;
    args.window = std::max(std::min(window, args.graph.rows), k);
    if (reranks) args.rerank_k = depth < args.window ? depth : args.window;
    args.rerank_queries = args.queries;
    args.distances = data_of(distances);
    args.indices = static_cast<int64_t*>(data_of(indices));
    args.exec.threads = static_cast<int>(threads);
    bool finite = false;
    try {
      finite = run(args, given[9] == Py_True);
    } catch (const Interrupted&) {
      if (!PyErr_Occurred()) PyErr_SetNone(PyExc_KeyboardInterrupt);
    } catch (const std::bad_alloc&) {
      PyErr_NoMemory();
    } catch (const std::invalid_argument& raised) {
      PyErr_SetString(PyExc_ValueError, raised.what());
    } catch (const std::exception& raised) {
      PyErr_SetString(PyExc_RuntimeError, raised.what());
    }
    if (!finite) {
      Py_CLEAR(result);
      if (!PyErr_Occurred()) result = Py_NewRef(Py_None);
    }
  }
  Py_XDECREF(distances);
  Py_XDECREF(indices);
  return result;
}
}  // namespace again
}  // namespace annk
