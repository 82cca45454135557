// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/numeric.h"
#include "cuda/codec/codec.cuh"

namespace annk::cuda {

using namespace ANNK_ISA;

// All threads of a block. What they reduce is for all, and everything that they wrote before is seen.
template <int kThreads>
struct BlockTeam {
  static constexpr int kSize = kThreads;
  int lane;

  __device__ __forceinline__ BlockTeam() : lane(static_cast<int>(threadIdx.x)) {}
  __device__ __forceinline__ void sync() const { __syncthreads(); }

  template <class Body>
  __device__ __forceinline__ void each(int64_t count, Body&& body) const {
    for (int64_t j = lane; j < count; j += kSize) body(j);
  }
  template <class V, class Combine>
  __device__ __forceinline__ V all(V value, Combine&& combine) const {
    ANNK_SHARED(V, of_warp, [kThreads / kWarp]);
    value = RowTeam<kWarp>().all(value, combine);
    sync();  // what an earlier call left has been read
    if (lane_id() == 0) of_warp[warp_id()] = value;
    sync();
    value = of_warp[0];
    for (int w = 1; w < kThreads / kWarp; ++w) value = combine(value, of_warp[w]);
    return value;
  }
  template <class Term>
  __device__ __forceinline__ double sum16(int64_t count, const Term& term) const {
    ANNK_SHARED(double, sum, [1]);
    sync();
    if (warp_id() == 0) {
      const double total = RowTeam<kWarp>().sum16(count, term);
      if (lane_id() == 0) *sum = total;
    }
    sync();
    return *sum;
  }
  __device__ __forceinline__ double product16(const float* a, const float* b, int64_t count) const {
    return sum16(count, [&](int64_t j) { return static_cast<double>(a[j]) * static_cast<double>(b[j]); });
  }
  __device__ __forceinline__ float largest(const float* x, int64_t count) const {
    float most = 0.0f;
    each(count, [&](int64_t j) { most = larger(absolute(x[j]), most); });
    return all(most, [](float a, float b) { return larger(a, b); });
  }
};

}  // namespace annk::cuda
