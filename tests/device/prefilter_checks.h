// SPDX-License-Identifier: Apache-2.0
// The prefilter of tensor cores against the scan that it spares: the same bytes, with few candidates where distances differ.
#pragma once
#include "checks.h"
#include "cuda/exact/knn_warp_select.h"
#include "cuda/prefilter/prefilter.h"

namespace check {

// What the prefilter is to do with the queries: none of them may have more candidates than fit; some must; either.
enum class Fit { all, some_not, any };

struct Neighbors {
  Bytes distances, ids;
  Neighbors(int64_t m, int64_t k) : distances(m * k * 4), ids(m * k * 8) {}
};

// Not the NaN patterns of Bytes: as thresholds, -102,287.6 three times, these let nothing survive.
inline void fill(const Bytes& memory, int64_t bytes) {
  if (bytes > 0) std::memset(memory.data(), 0xc7, static_cast<size_t>(bytes));
}

// Moves the nearest rows of the first and the last query to where the first level looks, so that their limits are as tight
// as can be: the k-th neighbor's own key.
inline void make_tight(Inputs& in, const Shape& s, int64_t k) {
  const int64_t each = cuda::kPrefilterStep;
  if (s.n < each * 2 * k) return;
  const size_t size = static_cast<size_t>(Rows::row_bytes(s.d, s.base));
  std::vector<int64_t> place(static_cast<size_t>(s.n)), row(static_cast<size_t>(s.n));  // of a row, at a place
  std::iota(place.begin(), place.end(), 0);
  std::iota(row.begin(), row.end(), 0);
  const Bytes distances(2 * k * 4), ids(2 * k * 8);
  for (int64_t i = 0; i < 2; ++i) {
    Matrix query = in.queries.view;
    query.data = query.row(i == 0 ? 0 : s.m - 1);
    query.rows = 1;
    run(
        KnnArgs{
            in.base.view, query, s.metric, k, {}, distances.data<float>() + i * k, ids.data<int64_t>() + i * k, nullptr, {}},
        knn, knn_workspace);
  }
  for (int64_t e = 0; e < 2 * k; ++e) {
    const auto mine = static_cast<size_t>(ids.data<int64_t>()[e]), there = static_cast<size_t>(e * each);
    const auto here = static_cast<size_t>(place[mine]), other = static_cast<size_t>(row[there]);
    if (here % static_cast<size_t>(each) == 0 && here < there) continue;  // the other query's too
    unsigned char *a = in.base.mutable_row(place[mine]), *b = in.base.mutable_row(e * each);
    std::swap_ranges(a, a + (a == b ? 0 : size), b);
    std::swap(place[mine], place[other]);
    std::swap(row[here], row[there]);
  }
}

// Queries with more candidates than fit. Those that fit leave their neighbors in `out`.
inline int64_t count_misfits(const Inputs& in, const Shape& s, int64_t k, const Filter& filter, const Neighbors& out) {
  const auto plan_all = [&](cuda::Workspace& workspace) {
    const cuda::ScanPlan scan = cuda::plan_scan(in.queries.view, in.base.view, s.metric, cuda::kQueriesPerLaunch);
    const cuda::Prepared prepared = cuda::take_prepared(workspace, scan);
    return std::tuple(scan, prepared, cuda::take_prefilter(workspace, scan, in.base.view, k));
  };
  cuda::Workspace counted;
  plan_all(counted);
  const Bytes memory(counted.bytes());
  fill(memory, counted.bytes());
  Exec exec;
  exec.workspace = memory.data();
  exec.workspace_bytes = counted.bytes();
  cuda::Workspace workspace(exec);
  const auto [scan, prepared, plan] = plan_all(workspace);
  const cuda::ScanArgs args =
      cuda::prepare(scan, prepared, in.queries.view, in.base.view, s.metric, 0, scan.launch_queries, nullptr);
  cuda::prefilter(plan, args, filter, {out.distances.data(), out.ids.data<int64_t>(), s.metric}, nullptr);
  return std::count_if(plan.counts, plan.counts + args.m, [&](uint32_t count) { return count > plan.capacity; });
}

inline void check_prefilter(const Inputs& in, const Shape& s, int64_t k, Filter::Kind kind, bool shared, Fit fit) {
  if (!cuda::can_prefilter(in.base.view, in.queries.view, s.metric, k)) wrong("cannot be prefiltered");
  const FilterCase f(kind, shared, s.m, s.n);
  const auto call = [&](bool prefiltered, const Neighbors& to) {
    KnnArgs args{in.base.view,        in.queries.view,        s.metric, k, f.filter,
                 to.distances.data(), to.ids.data<int64_t>(), nullptr,  {}};
    const int64_t bytes = cuda::knn_warp_select_workspace(args, prefiltered);
    const Bytes memory(bytes);
    fill(memory, bytes);
    args.exec.workspace = memory.data();
    args.exec.workspace_bytes = bytes;
    cuda::knn_warp_select(args, prefiltered);
  };
  const Neighbors expected(s.m, k), got(s.m, k), prefiltered_out(s.m, k);
  call(false, expected);
  call(true, got);
  for (int64_t i = 0; i < s.m * k; ++i) {
    const int64_t id = got.ids.data<int64_t>()[i], other = expected.ids.data<int64_t>()[i];
    if (id != other || got.distances.data<uint32_t>()[i] != expected.distances.data<uint32_t>()[i])
      wrong("prefiltered (" + std::to_string(i / k) + "," + std::to_string(i % k) + ") is " + std::to_string(id) + ", not " +
            std::to_string(other));
  }
  const int64_t misfits = count_misfits(in, s, k, f.filter, prefiltered_out);
  if ((fit == Fit::all && misfits > 0) || (fit == Fit::some_not && misfits == 0))
    wrong(std::to_string(misfits) + " queries have too many candidates");
}

}  // namespace check
