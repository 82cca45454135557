// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "cuda/device/key_id.cuh"
#include "metric/all.h"

namespace annk::cuda {

using namespace ANNK_ISA;

// Where neighbours go, and in which form.
struct NeighbourOut {
  void* distances = nullptr;  // float32; int32 for metrics of integers
  int64_t* indices = nullptr;
  Metric metric = Metric::sqeuclidean;

  __device__ __forceinline__ void distance(int64_t at, uint32_t order) const {
    if (is_int_metric(metric)) {
      static_cast<int32_t*>(distances)[at] = order == kNoOrder ? kMissingInt : static_cast<int32_t>(key_of_ordered(order));
    } else {
      static_cast<float*>(distances)[at] =
          order == kNoOrder ? missing_distance(metric) : report(metric, key_of_ordered(order));
    }
  }
  __device__ __forceinline__ void neighbour(int64_t at, uint32_t order, int64_t id) const {
    distance(at, order);
    indices[at] = order == kNoOrder ? -1 : id;
  }
};

}  // namespace annk::cuda
