// SPDX-License-Identifier: Apache-2.0
// Direct calls of selections from keys that there are.
#pragma once
#include "bind/direct_results.h"
#include "ops/merge_topk.h"
#include "ops/select_k.h"

namespace annk::direct {

// (values, k, largest, ids, threads, out) -> (values, ids)
inline PyObject* select_k_direct(const std::array<PyObject*, 6>& given) {
  const auto [values_given, k_given, largest, ids_given, threads, out] = given;
  plain::Table values, ids;
  Options options;
  const int64_t k = read_count(k_given);
  if (k < 0 || !read_options(threads, largest, &options)) return not_plain();
  if (!plain::table(values_given, 2, plain::types().f32, 4, &values)) return not_plain();
  const bool named = ids_given != Py_None;
  if (named && !plain::table(ids_given, 1, plain::types().i64, 8, &ids) &&
      !(plain::table(ids_given, 2, plain::types().i64, 8, &ids) && ids.rows == values.rows))
    return not_plain();
  if (named && ids.columns != values.columns) return not_plain();
  const Pair best = results(out, plain::types().f32, {values.rows, k});
  if (!best || !apart(out, best, [&](plain::Extent memory) {
        return plain::overlap(memory, plain::extent(values_given, 4)) ||
               (named && plain::overlap(memory, plain::extent(ids_given, 8)));
      }))
    return not_plain();
  SelectKArgs args;
  args.values = static_cast<const float*>(values.data);
  args.m = values.rows;
  args.n = values.columns;
  args.row_stride = values.stride;
  args.ids = static_cast<const int64_t*>(ids.data);
  args.ids_row_stride = ids.stride;
  args.k = k;
  args.largest = largest == Py_True;
  args.out_values = data_of<float>(best.first);
  args.out_ids = data_of<int64_t>(best.second);
  args.exec = exec_of(options.threads);
  return finish(without_gil([&] { select_k(args); }) ? Outcome::done : Outcome::raised, {best.first, best.second});
}

// None, one a part, as a plain array or a list of integers.
inline bool read_offsets(PyObject* x, int64_t parts, std::vector<int64_t>* listed, const int64_t** out) {
  if (x == Py_None) return true;
  plain::Table table;
  if (plain::table(x, 1, plain::types().i64, 8, &table)) {
    *out = static_cast<const int64_t*>(table.data);
    return table.columns == parts;
  }
  if (!(PyList_CheckExact(x) || PyTuple_CheckExact(x)) || PySequence_Fast_GET_SIZE(x) != parts) return false;
  for (int64_t part = 0; part < parts; ++part) {
    listed->push_back(plain::integer(PySequence_Fast_GET_ITEM(x, part), 0, -1));
    if (listed->back() < 0) return false;
  }
  *out = listed->data();
  return true;
}

// (distances, ids, k, metric, offsets, threads, out) -> (distances, ids)
inline PyObject* merge_topk_direct(const std::array<PyObject*, 7>& given) {
  const auto [distances, ids_given, k_given, metric_name, offsets_given, threads, out] = given;
  plain::Table found, ids;
  Options options;
  Metric metric = Metric::sqeuclidean;
  std::vector<int64_t> listed;
  const int64_t* offsets = nullptr;
  const int64_t k = read_count(k_given);
  if (k < 0 || !read_options(threads, Py_True, &options) || !read_metric(metric_name, &metric)) return not_plain();
  const bool integers = plain::table(distances, 3, plain::types().i32, 4, &found);
  if (!integers && !plain::table(distances, 3, plain::types().f32, 4, &found)) return not_plain();
  if (!plain::table(ids_given, 3, plain::types().i64, 8, &ids)) return not_plain();
  if (ids.parts != found.parts || ids.rows != found.rows || ids.columns != found.columns) return not_plain();
  if (!read_offsets(offsets_given, found.parts, &listed, &offsets)) return not_plain();
  const Pair best = results(out, integers ? plain::types().i32 : plain::types().f32, {found.rows, k});
  if (!best || !apart(out, best, [&](plain::Extent memory) {
        return plain::overlap(memory, plain::extent(distances, 4)) || plain::overlap(memory, plain::extent(ids_given, 8)) ||
               (offsets != nullptr && listed.empty() && plain::overlap(memory, plain::extent(offsets_given, 8)));
      }))
    return not_plain();
  MergeTopkArgs args;
  args.distances = found.data;
  args.integers = integers;
  args.parts = found.parts;
  args.m = found.rows;
  args.width = found.columns;
  args.part_stride = found.part_stride;
  args.row_stride = found.stride;
  args.ids = static_cast<const int64_t*>(ids.data);
  args.ids_part_stride = ids.part_stride;
  args.ids_row_stride = ids.stride;
  args.offsets = offsets;
  args.k = k;
  args.largest = is_similarity(metric);
  args.out_distances = data_of<void>(best.first);
  args.out_ids = data_of<int64_t>(best.second);
  args.exec = exec_of(options.threads);
  return finish(without_gil([&] { merge_topk(args); }) ? Outcome::done : Outcome::raised, {best.first, best.second});
}

}  // namespace annk::direct
