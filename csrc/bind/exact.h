// SPDX-License-Identifier: Apache-2.0
// Search over all rows: what Python passes for each operation.
#pragma once
#include "bind/operation.h"
#include "ops/distances.h"
#include "ops/first_nonfinite.h"
#include "ops/knn.h"
#include "ops/pairwise.h"
#include "ops/radius.h"

namespace annk {

template <>
struct FromPython<PairwiseArgs> {
  static constexpr const char* names[] = {"queries", "base", "metric", "distances", "bad_row", "exec"};
  static PairwiseArgs make(Matrix queries, Dataset base, const std::string& metric, uintptr_t distances, uintptr_t bad_row,
                           Exec where) {
    return {queries, base, metric_from_name(metric), pointer<void>(distances), pointer<int64_t>(bad_row), where};
  }
};

template <>
struct FromPython<KnnArgs> {
  static constexpr const char* names[] = {"base",      "queries", "metric",  "k",   "filter",
                                          "distances", "indices", "bad_row", "exec"};
  static KnnArgs make(Dataset base, Matrix queries, const std::string& metric, int64_t k, Filter filter, uintptr_t distances,
                      uintptr_t indices, uintptr_t bad_row, Exec where) {
    return {base,
            queries,
            metric_from_name(metric),
            k,
            filter,
            pointer<void>(distances),
            pointer<int64_t>(indices),
            pointer<int64_t>(bad_row),
            where};
  }
};

// What a search in blocks keeps between its calls.
struct Carry {
  KnnCarry* kept = nullptr;
  Carry() = default;
  Carry(const Carry&) = delete;
  ~Carry() {
    if (kept != nullptr) kept->release(kept);
  }
};

// One block of a base: knn, with what is carried from block to block.
struct BlockFromPython {
  static constexpr const char* names[] = {"base",    "queries", "metric", "k",        "filter", "distances",
                                          "indices", "bad_row", "carry",  "first_id", "last",   "exec"};
  static KnnArgs make(Dataset base, Matrix queries, const std::string& metric, int64_t k, Filter filter, uintptr_t distances,
                      uintptr_t indices, uintptr_t bad_row, Carry& carry, int64_t first_id, bool last, Exec where) {
    KnnArgs args = FromPython<KnnArgs>::make(base, queries, metric, k, filter, distances, indices, bad_row, where);
    args.carry = &carry.kept;
    args.first_id = first_id;
    args.last = last;
    return args;
  }
};
inline void def_knn_blocks(pybind11::module_& m) {
  pybind11::class_<Carry>(m, "KnnCarry", pybind11::module_local()).def(pybind11::init<>());
  def_operation<BlockFromPython>(m, "knn_block", knn);
  def_operation<BlockFromPython>(m, "knn_block_workspace", knn_workspace);
}

template <>
struct FromPython<RadiusArgs> {
  static constexpr const char* names[] = {"base", "queries",   "metric",  "radius",  "filter",
                                          "lims", "distances", "indices", "bad_row", "exec"};
  static RadiusArgs make(Dataset base, Matrix queries, const std::string& metric, float radius, Filter filter,
                         uintptr_t lims, uintptr_t distances, uintptr_t indices, uintptr_t bad_row, Exec where) {
    return {base,
            queries,
            metric_from_name(metric),
            radius,
            filter,
            pointer<int64_t>(lims),
            pointer<void>(distances),
            pointer<int64_t>(indices),
            pointer<int64_t>(bad_row),
            where};
  }
};

template <>
struct FromPython<DistancesArgs> {
  static constexpr const char* names[] = {"base", "queries", "metric", "ids", "width", "distances", "bad_row", "exec"};
  static DistancesArgs make(Dataset base, Matrix queries, const std::string& metric, uintptr_t ids, int64_t width,
                            uintptr_t distances, uintptr_t bad_row, Exec where) {
    return {base,
            queries,
            metric_from_name(metric),
            pointer<const int64_t>(ids),
            width,
            pointer<void>(distances),
            pointer<int64_t>(bad_row),
            where};
  }
};

template <>
struct FromPython<FirstNonfiniteArgs> {
  static constexpr const char* names[] = {"x", "row", "exec"};
  static FirstNonfiniteArgs make(Matrix x, uintptr_t row, Exec where) { return {x, pointer<int64_t>(row), where}; }
};

}  // namespace annk
