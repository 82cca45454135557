// SPDX-License-Identifier: Apache-2.0
// Selections from keys that there are: what Python passes for each operation.
#pragma once
#include "bind/operation.h"
#include "ops/merge_topk.h"
#include "ops/select_k.h"

namespace annk {

// parts, m, n as in ops/select_k.h; strides in elements.
template <>
struct FromPython<SelectKArgs> {
  static constexpr const char* names[] = {"values", "shape",   "strides",    "ids",     "ids_strides",
                                          "k",      "largest", "out_values", "out_ids", "exec"};
  static SelectKArgs make(uintptr_t values, std::tuple<int64_t, int64_t, int64_t> shape, std::pair<int64_t, int64_t> strides,
                          uintptr_t ids, std::pair<int64_t, int64_t> ids_strides, int64_t k, bool largest,
                          uintptr_t out_values, uintptr_t out_ids, Exec where) {
    const auto [parts, m, n] = shape;
    return {pointer<const float>(values),
            parts,
            m,
            n,
            strides.first,
            strides.second,
            pointer<const int64_t>(ids),
            ids_strides.first,
            ids_strides.second,
            k,
            largest,
            pointer<float>(out_values),
            pointer<int64_t>(out_ids),
            where};
  }
};

// parts, m, width as in ops/merge_topk.h; strides in elements. offsets: 0, or the address of one a part.
template <>
struct FromPython<MergeTopkArgs> {
  static constexpr const char* names[] = {"distances", "integers", "shape",   "strides",       "ids",     "ids_strides",
                                          "offsets",   "k",        "largest", "out_distances", "out_ids", "exec"};
  static MergeTopkArgs make(uintptr_t distances, bool integers, std::tuple<int64_t, int64_t, int64_t> shape,
                            std::pair<int64_t, int64_t> strides, uintptr_t ids, std::pair<int64_t, int64_t> ids_strides,
                            uintptr_t offsets, int64_t k, bool largest, uintptr_t out_distances, uintptr_t out_ids,
                            Exec where) {
    const auto [parts, m, width] = shape;
    return {pointer<const void>(distances),
            integers,
            parts,
            m,
            width,
            strides.first,
            strides.second,
            pointer<const int64_t>(ids),
            ids_strides.first,
            ids_strides.second,
            pointer<const int64_t>(offsets),
            k,
            largest,
            pointer<void>(out_distances),
            pointer<int64_t>(out_ids),
            where};
  }
};

}  // namespace annk
