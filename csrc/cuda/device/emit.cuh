// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "cuda/device/key_id.cuh"
#include "metric/all.h"

namespace annk::cuda {

using namespace ANNK_ISA;

// Where neighbors go, and in which form.
struct NeighborOut {
  void* distances = nullptr;  // float32; int32 for metrics of integers
  int64_t* indices = nullptr;
  Metric metric = Metric::sqeuclidean;

  __device__ __forceinline__ void distance(int64_t at, uint32_t key_bits) const {
    if (is_int_metric(metric)) {
      static_cast<int32_t*>(distances)[at] = key_bits == kNoKey ? kMissingInt : static_cast<int32_t>(key_of_bits(key_bits));
    } else {
      static_cast<float*>(distances)[at] =
          key_bits == kNoKey ? missing_distance(metric) : report(metric, key_of_bits(key_bits));
    }
  }
  __device__ __forceinline__ void neighbor(int64_t at, uint32_t key_bits, int64_t id) const {
    distance(at, key_bits);
    indices[at] = key_bits == kNoKey ? -1 : id;
  }
};

}  // namespace annk::cuda
