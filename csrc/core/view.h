// SPDX-License-Identifier: Apache-2.0
// Plain views of the caller's memory, host or device: what every operation takes. Nothing here owns anything.
#pragma once
#include "core/kinds.h"

namespace annk {

// rows x dims elements; row i starts at data + i * stride bytes. Elements of a row are adjacent. The stride may be
// zero or negative, and need not be a multiple of anything beyond the element's own size.
struct Matrix {
  const void* data = nullptr;
  int64_t rows = 0;
  int64_t dims = 0;  // elements; bits where dtype is `bits` (then a multiple of 8)
  int64_t stride = 0;
  DType dtype = DType::f32;

  ANNK_HD const unsigned char* row(int64_t i) const { return static_cast<const unsigned char*>(data) + i * stride; }
};

// What is searched: a matrix, or a compressed store of as many rows and dims. What a store's arrays and numbers are, in
// which order, stands in store/<kind>.h, and under the same names in annkern/stores/<kind>.py.
struct Dataset : Matrix {
  static constexpr int kMostArrays = 8, kMostNumbers = 8;
  StoreKind kind = StoreKind::array;
  void* arrays[kMostArrays] = {};
  int64_t numbers[kMostNumbers] = {};

  Dataset() = default;
  ANNK_HD Dataset(const Matrix& matrix) : Matrix(matrix) {}
  template <class T>
  ANNK_HD T* array(int i) const {
    return static_cast<T*>(arrays[i]);
  }
};

// Which base rows a query may return. bytes: one byte a row, nonzero = may; bits: row i is bit i % 32 of word i / 32.
// Query q's filter starts at data + q * query_stride bytes; a stride of zero shares one filter among all queries.
struct Filter {
  enum class Kind : int32_t { none, bytes, bits };
  const void* data = nullptr;
  int64_t query_stride = 0;
  Kind kind = Kind::none;

  ANNK_HD bool shared() const { return query_stride == 0; }
  ANNK_HD bool is_allowed(int64_t query, int64_t row) const {
    if (kind == Kind::none) return true;
    const unsigned char* allowed = static_cast<const unsigned char*>(data) + query * query_stride;
    if (kind == Kind::bytes) return allowed[row] != 0;
    return (reinterpret_cast<const uint32_t*>(allowed)[row >> 5] >> (row & 31)) & 1u;
  }
};

// Where and how an operation runs.
struct Exec {
  int threads = 0;            // CPU: 0 = the pool's default
  void* stream = nullptr;     // CUDA: a cudaStream_t; everything is enqueued there and nothing waits
  void* workspace = nullptr;  // CUDA: device memory of the size that <op>_workspace() named, 256-byte aligned
  int64_t workspace_bytes = 0;
  bool (*interrupted)() = nullptr;  // CPU: asked between blocks, by the calling thread; true stops with Interrupted
};

}  // namespace annk
