// SPDX-License-Identifier: Apache-2.0
// Plain NumPy arrays read and made by NumPy's C API: pybind11's own classes and an attribute look-up from Python cost more
// than a small kernel. "Plain" is what kernels take as it is: of class ndarray itself, in native byte order, aligned, with
// adjacent elements in each row.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "core/view.h"

namespace annk::plain {

namespace numpy = pybind11::detail;
using Api = numpy::npy_api;

// The type objects of arrays in native byte order; any other descriptor is not plain.
struct Types {
  PyObject *f32, *f16, *i8, *u8, *i32, *i64;
};
inline const Types& types() {
  static const Types known = [] {
    const auto of = [](int type) { return Api::get().PyArray_DescrFromType_(type); };
    constexpr int kHalf = 23;  // NPY_HALF, which pybind11 does not name
    return Types{of(Api::NPY_FLOAT_), of(kHalf),           of(Api::NPY_INT8_),
                 of(Api::NPY_UINT8_), of(Api::NPY_INT32_), of(Api::NPY_INT64_)};
  }();
  return known;
}

// A plain array of `type`; null where it is anything else.
inline const numpy::PyArray_Proxy* array(PyObject* x) {
  if (Py_TYPE(x) != Api::get().PyArray_Type_) return nullptr;
  const numpy::PyArray_Proxy* const seen = numpy::array_proxy(x);
  return (seen->flags & Api::NPY_ARRAY_ALIGNED_) != 0 ? seen : nullptr;
}
inline bool adjacent(const numpy::PyArray_Proxy& x, int axis, int64_t itemsize) {
  return x.dimensions[axis] == 1 || x.strides[axis] == itemsize;
}

inline bool element_type(PyObject* descriptor, DType* out) {
  const Types& known = types();
  if (descriptor == known.f32) return *out = DType::f32, true;
  if (descriptor == known.f16) return *out = DType::f16, true;
  if (descriptor == known.i8) return *out = DType::i8, true;
  if (descriptor == known.u8) return *out = DType::u8, true;
  return false;
}

// At least one row and one column.
inline bool matrix(PyObject* x, Matrix* out) {
  const numpy::PyArray_Proxy* const seen = array(x);
  DType type{};
  if (seen == nullptr || seen->nd != 2 || !element_type(seen->descr, &type)) return false;
  if (seen->dimensions[0] < 1 || seen->dimensions[1] < 1) return false;
  if (!adjacent(*seen, 1, kDTypeBits[static_cast<int>(type)] / 8)) return false;
  *out = {seen->data, seen->dimensions[0], seen->dimensions[1], seen->strides[0], type};
  return true;
}

// A table (m, n) of `type`: its address, shape, and elements from row to row.
struct Table {
  void* data = nullptr;
  int64_t rows = 0, columns = 0, stride = 0;
};
inline bool table(PyObject* x, PyObject* type, int64_t itemsize, Table* out) {
  const numpy::PyArray_Proxy* const seen = array(x);
  if (seen == nullptr || seen->nd != 2 || seen->descr != type || !adjacent(*seen, 1, itemsize)) return false;
  if (seen->dimensions[0] < 1 || seen->dimensions[1] < 1 || seen->strides[0] % itemsize != 0) return false;
  *out = {seen->data, seen->dimensions[0], seen->dimensions[1], seen->strides[0] / itemsize};
  return true;
}

// A new array, not initialised; null with MemoryError set.
inline PyObject* create(PyObject* type, std::initializer_list<Py_intptr_t> shape) {
  const Api& api = Api::get();
  Py_INCREF(type);  // which the call takes over
  return api.PyArray_NewFromDescr_(api.PyArray_Type_, type, static_cast<int>(shape.size()), shape.begin(), nullptr, nullptr,
                                   0, nullptr);
}
inline void* data_of(PyObject* array) { return numpy::array_proxy(array)->data; }

// A plain int of at least `least`; `missing` for None. -1: it is neither, or too large.
inline int64_t integer(PyObject* x, int64_t least, int64_t missing) {
  if (x == Py_None) return missing;
  if (!PyLong_CheckExact(x)) return -1;
  int overflow = 0;
  const int64_t value = PyLong_AsLongLongAndOverflow(x, &overflow);
  return overflow != 0 || value < least ? -1 : value;
}

}  // namespace annk::plain
