// SPDX-License-Identifier: Apache-2.0
// The operations of one instruction set, which dispatch.cpp chooses from, and what they share at their ends.
#pragma once
#include "metric/all.h"
#include "ops/ops.h"

namespace annk::ANNK_ISA {

#define ANNK_ROW(op, Args) void op(const Args&);
ANNK_OPS(ANNK_ROW)
#undef ANNK_ROW

// Distances are float32, or int32 where the metric counts. A key that is not a number counts as infinite.
ANNK_HD void write_key(Metric metric, void* distances, int64_t at, float key) {
  if (is_int_metric(metric))
    static_cast<int32_t*>(distances)[at] = static_cast<int32_t>(key);
  else
    static_cast<float*>(distances)[at] = report(metric, key == key ? key : INFINITY);
}
ANNK_HD void write_missing_distance(Metric metric, void* distances, int64_t at) {
  if (is_int_metric(metric))
    static_cast<int32_t*>(distances)[at] = kMissingInt;
  else
    static_cast<float*>(distances)[at] = missing_distance(metric);
}

}  // namespace annk::ANNK_ISA
