// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/view.h"
#include "cuda/device/device.cuh"

namespace annk::cuda {

// Which of rows [32 word, 32 word + 32) query `query` may return: bit i is row 32 word + i; none from `rows` on.
__device__ __forceinline__ uint32_t allowed_word(const Filter& filter, int64_t query, int64_t word, int64_t rows) {
  const int64_t left = rows - 32 * word;
  if (left <= 0) return 0;
  const unsigned char* const allowed = static_cast<const unsigned char*>(filter.data) + query * filter.query_stride;
  if (filter.kind == Filter::Kind::bits) {
    const uint32_t bits = reinterpret_cast<const uint32_t*>(allowed)[word];
    return left >= 32 ? bits : bits & ((1u << left) - 1u);
  }
  uint32_t bits = 0;
#pragma unroll
  for (int i = 0; i < 32; ++i)
    if (i < left && allowed[32 * word + i] != 0) bits |= 1u << i;
  return bits;
}

}  // namespace annk::cuda
