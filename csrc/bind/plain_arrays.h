// SPDX-License-Identifier: Apache-2.0
// Plain NumPy arrays read and made by NumPy's C API: pybind11's own classes and an attribute look-up from Python cost more
// than a small kernel. "Plain" is what kernels take as it is: of class ndarray itself, in native byte order, aligned, with
// adjacent elements in each row.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>

#include "core/view.h"

namespace annk::plain {

namespace numpy = pybind11::detail;
using Api = numpy::npy_api;

// The type objects of arrays in native byte order; any other descriptor is not plain.
struct Types {
  PyObject *f32, *f16, *i8, *u8, *i32, *i64, *b1, *u32;
};
inline const Types& types() {
  static const Types known = [] {
    const auto of = [](int type) { return Api::get().PyArray_DescrFromType_(type); };
    constexpr int kHalf = 23;  // NPY_HALF, which pybind11 does not name
    return Types{of(Api::NPY_FLOAT_), of(kHalf),           of(Api::NPY_INT8_), of(Api::NPY_UINT8_),
                 of(Api::NPY_INT32_), of(Api::NPY_INT64_), of(Api::NPY_BOOL_), of(Api::NPY_UINT32_)};
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

// A table (parts, m, n) of `type`, whose lengths are 1 or more: its address, shape, and elements from row to row and from
// part to part. A stride of axes that are not there is zero.
struct Table {
  void* data = nullptr;
  int64_t parts = 1, rows = 1, columns = 0, stride = 0, part_stride = 0;
};
inline bool table(PyObject* x, int axes, PyObject* type, int64_t itemsize, Table* out) {
  const numpy::PyArray_Proxy* const seen = array(x);
  if (seen == nullptr || seen->nd != axes || seen->descr != type || !adjacent(*seen, axes - 1, itemsize)) return false;
  for (int axis = 0; axis < axes; ++axis)
    if (seen->dimensions[axis] < 1 || (axis + 1 < axes && seen->strides[axis] % itemsize != 0)) return false;
  *out = {seen->data, 1, 1, seen->dimensions[axes - 1]};
  if (axes > 1) out->rows = seen->dimensions[axes - 2], out->stride = seen->strides[axes - 2] / itemsize;
  if (axes > 2) out->parts = seen->dimensions[0], out->part_stride = seen->strides[0] / itemsize;
  return true;
}

// The first byte of a plain array, and the first after its last.
struct Extent {
  uintptr_t first = 0, end = 0;
};
inline bool overlap(Extent a, Extent b) { return a.first < b.end && b.first < a.end; }
inline Extent extent(PyObject* x, int64_t itemsize) {
  const numpy::PyArray_Proxy* const seen = numpy::array_proxy(x);
  const uintptr_t start = reinterpret_cast<uintptr_t>(seen->data);
  Extent found{start, start + static_cast<uintptr_t>(itemsize)};
  for (int axis = 0; axis < seen->nd; ++axis) {
    const int64_t span = (seen->dimensions[axis] - 1) * seen->strides[axis];
    (span < 0 ? found.first : found.end) += static_cast<uintptr_t>(span);
  }
  return found;
}

// Of this type and shape, contiguous and writable.
inline bool is_result(PyObject* x, PyObject* type, std::initializer_list<Py_intptr_t> shape) {
  const numpy::PyArray_Proxy* const seen = array(x);
  constexpr int kNeeded = Api::NPY_ARRAY_C_CONTIGUOUS_ | Api::NPY_ARRAY_WRITEABLE_;
  if (seen == nullptr || seen->descr != type || seen->nd != static_cast<int>(shape.size())) return false;
  return (seen->flags & kNeeded) == kNeeded && std::equal(shape.begin(), shape.end(), seen->dimensions);
}

// A new array, not initialised; null with MemoryError set.
inline PyObject* create(PyObject* type, std::initializer_list<Py_intptr_t> shape) {
  const Api& api = Api::get();
  Py_INCREF(type);  // which the call takes over
  return api.PyArray_NewFromDescr_(api.PyArray_Type_, type, static_cast<int>(shape.size()), shape.begin(), nullptr, nullptr,
                                   0, nullptr);
}
inline void* data_of(PyObject* array) { return numpy::array_proxy(array)->data; }

// An integer of at least `least`; `missing` for None. -1: it is neither, or too large.
inline int64_t integer(PyObject* x, int64_t least, int64_t missing) {
  if (x == Py_None) return missing;
  if (!PyLong_CheckExact(x)) {  // one of NumPy's
    PyObject* const number = PyIndex_Check(x) ? PyNumber_Index(x) : nullptr;
    if (number == nullptr) return PyErr_Clear(), -1;
    const int64_t value = PyLong_CheckExact(number) ? integer(number, least, missing) : -1;
    Py_DECREF(number);
    return value;
  }
  int overflow = 0;
  const int64_t value = PyLong_AsLongLongAndOverflow(x, &overflow);
  return overflow != 0 || value < least ? -1 : value;
}

}  // namespace annk::plain
