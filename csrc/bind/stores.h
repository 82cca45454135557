// SPDX-License-Identifier: Apache-2.0
// Rows of compressed stores, and sums that train them: what Python passes for each operation.
#pragma once
#include "bind/operation.h"
#include "ops/cluster_sums.h"
#include "ops/decode.h"
#include "ops/encode.h"

namespace annk {

template <>
struct FromPython<EncodeArgs> {
  static constexpr const char* names[] = {"x", "store", "first", "bad_row", "exec"};
  static EncodeArgs make(Matrix x, Dataset store, int64_t first, uintptr_t bad_row, Exec where) {
    return {x, store, first, pointer<int64_t>(bad_row), where};
  }
};

template <>
struct FromPython<DecodeArgs> {
  static constexpr const char* names[] = {"store", "ids", "count", "out", "exec"};
  static DecodeArgs make(Dataset store, uintptr_t ids, int64_t count, uintptr_t out, Exec where) {
    return {store, pointer<const int64_t>(ids), count, pointer<float>(out), where};
  }
};

// labels: int64 where parts = 1, else codes of a byte.
template <>
struct FromPython<ClusterSumsArgs> {
  static constexpr const char* names[] = {"x", "labels", "parts", "bytes", "clusters", "sums", "counts", "exec"};
  static ClusterSumsArgs make(Matrix x, uintptr_t labels, int64_t parts, bool bytes, int64_t clusters, uintptr_t sums,
                              uintptr_t counts, Exec where) {
    return {x,
            bytes ? nullptr : pointer<const int64_t>(labels),
            bytes ? pointer<const uint8_t>(labels) : nullptr,
            parts,
            clusters,
            pointer<double>(sums),
            pointer<int64_t>(counts),
            where};
  }
};

}  // namespace annk
