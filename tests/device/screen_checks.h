// SPDX-License-Identifier: Apache-2.0
// The sieve of tensor cores against the scan that it spares: the same bytes, with few survivors where distances differ.
#pragma once
#include "checks.h"
#include "cuda/knn_by_lists.h"
#include "cuda/screen.h"

namespace check {

// What the sieve is to do with the queries: none of them may have more survivors than fit; some must; either.
enum class Fit { all, some_not, any };

struct Neighbours {
  Bytes distances, ids;
  Neighbours(int64_t m, int64_t k) : distances(m * k * 4), ids(m * k * 8) {}
};

// Queries with more survivors than fit. Those that fit leave their neighbours in `out`.
inline int64_t count_misfits(const Inputs& in, const Shape& s, int64_t k, const Filter& filter, const Neighbours& out) {
  const auto plan_all = [&](cuda::Workspace& workspace) {
    const cuda::ScanPlan scan = cuda::plan_scan(in.queries.view, in.base.view, s.metric, cuda::kQueriesPerLaunch);
    const cuda::Prepared prepared = cuda::take_prepared(workspace, scan);
    return std::tuple(scan, prepared, cuda::take_screen(workspace, scan, in.base.view, k));
  };
  cuda::Workspace counted;
  plan_all(counted);
  const Bytes memory(counted.bytes());
  Exec exec;
  exec.workspace = memory.data();
  exec.workspace_bytes = counted.bytes();
  cuda::Workspace workspace(exec);
  const auto [scan, prepared, plan] = plan_all(workspace);
  cuda::ScanArgs args =
      cuda::prepare(scan, prepared, in.queries.view, in.base.view, s.metric, 0, scan.launch_queries, nullptr);
  args.filter = filter;
  cuda::screen(plan, args, {out.distances.data(), out.ids.data<int64_t>(), s.metric}, nullptr);
  return std::count_if(plan.counts, plan.counts + args.m, [&](uint32_t count) { return count > plan.capacity; });
}

inline void check_screen(const Inputs& in, const Shape& s, int64_t k, Filter::Kind kind, bool shared, Fit fit) {
  if (!cuda::can_screen(in.base.view, in.queries.view, s.metric, k)) wrong("cannot be screened");
  const FilterCase f(kind, shared, s.m, s.n);
  const auto call = [&](bool screened, const Neighbours& to) {
    KnnArgs args{in.base.view,        in.queries.view,        s.metric, k, f.filter,
                 to.distances.data(), to.ids.data<int64_t>(), nullptr,  {}};
    const int64_t bytes = cuda::knn_by_lists_workspace(args, screened);
    const Bytes memory(bytes);
    args.exec.workspace = memory.data();
    args.exec.workspace_bytes = bytes;
    cuda::knn_by_lists(args, screened);
  };
  const Neighbours expected(s.m, k), got(s.m, k), sieved(s.m, k);
  call(false, expected);
  call(true, got);
  for (int64_t i = 0; i < s.m * k; ++i) {
    const int64_t id = got.ids.data<int64_t>()[i], other = expected.ids.data<int64_t>()[i];
    if (id != other || got.distances.data<uint32_t>()[i] != expected.distances.data<uint32_t>()[i])
      wrong("screened (" + std::to_string(i / k) + "," + std::to_string(i % k) + ") is " + std::to_string(id) + ", not " +
            std::to_string(other));
  }
  const int64_t misfits = count_misfits(in, s, k, f.filter, sieved);
  if ((fit == Fit::all && misfits > 0) || (fit == Fit::some_not && misfits == 0))
    wrong(std::to_string(misfits) + " queries have too many survivors");
}

}  // namespace check
