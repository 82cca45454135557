// SPDX-License-Identifier: Apache-2.0
// Rows of any element type as float32: by registers, whole, and with their norms.
#pragma once
#include "cpu/simd/vec.h"
#include "metric/all.h"

namespace annk::ANNK_ISA {

// f(const T*) with the element type of `m` and the address of one of its rows.
template <class F>
ANNK_HD auto visit_elements(DType dtype, const void* row, F&& f) {
  switch (dtype) {
    case DType::f32:
      return f(static_cast<const float*>(row));
    case DType::f16:
      return f(static_cast<const Half*>(row));
    case DType::bf16:
      return f(static_cast<const Bfloat16*>(row));
    case DType::i8:
      return f(static_cast<const int8_t*>(row));
    case DType::u8:
      return f(static_cast<const uint8_t*>(row));
    case DType::bits:
      break;  // has kernels of its own
  }
  __builtin_trap();
}

// kLanes elements from p, of which the first `count` exist; the others read as zero.
template <class T>
ANNK_HD F32 load_part(const T* p, int64_t count) {
  if (count >= kLanes) [[likely]]
    return load_widened(p);
  T copy[kLanes] = {};
  __builtin_memcpy(copy, p, static_cast<size_t>(count) * sizeof(T));
  return load_widened(copy);
}

// `check` gathers 0 * x, which is NaN where x is NaN or infinite.
ANNK_HD bool finite(F32 check) { return below(check, F32::zero()) == 0; }

template <class T>
bool row_has_nan(const T* x, int64_t dims) {
  bool found = false;
  for (int64_t j = 0; j < dims; ++j) found = found || widen(x[j]) != widen(x[j]);
  return found;
}
template <class T>
bool row_is_finite(const T* x, int64_t dims) {
  F32 check = F32::zero();
  for (int64_t j = 0; j < dims; j += kLanes) check = multiply_add(load_part(x + j, dims - j), F32::zero(), check);
  return finite(check);
}

inline float inverse_norm_of_row(const Matrix& m, int64_t row) {
  return visit_elements(m.dtype, m.row(row), [&](auto x) {
    double sum = 0;
    for (int64_t j = 0; j < m.dims; ++j) sum += static_cast<double>(widen(x[j])) * static_cast<double>(widen(x[j]));
    return inverse_norm(sum);
  });
}

// `sum` is the sum of the row's squares, in chains.
inline float row_inverse_norm(const Matrix& m, int64_t row, float sum) {
  return needs_wide_sum(sum) ? inverse_norm_of_row(m, row) : inverse_norm(sum);
}

// One row as float32, with its norm taken off where the metric asks for it.
inline void widen_query(const Matrix& queries, int64_t q, Term term, float* out) {
  visit_elements(queries.dtype, queries.row(q), [&](auto x) {
    for (int64_t j = 0; j < queries.dims; ++j) out[j] = widen(x[j]);
  });
  if (term != Term::inverse_norm) return;
  float sum = 0.0f, chains = 0.0f;
  const int64_t chain = chain_dims(queries.dims);
  for (int64_t j = 0; j < queries.dims; ++j) {
    if ((j & (chain - 1)) == 0) chains += sum, sum = 0.0f;
    sum = multiply_add(out[j], out[j], sum);
  }
  const float inverse = row_inverse_norm(queries, q, chains + sum);
  for (int64_t j = 0; j < queries.dims; ++j) out[j] *= inverse;
}

}  // namespace annk::ANNK_ISA
