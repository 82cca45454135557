// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "cuda/distance/prepare.h"
#include "ops/pairwise.h"

namespace annk {
namespace {

using namespace cuda;

struct Plan {
  ScanPlan scan;
  Prepared prepared;
  Plan(const PairwiseArgs& args, Workspace& workspace)
      : scan(plan_scan(args.queries, args.base, args.metric, kQueriesPerLaunch)), prepared(take_prepared(workspace, scan)) {}
};

}  // namespace

int64_t pairwise_workspace(const PairwiseArgs& args) {
  Workspace workspace;
  Plan(args, workspace);
  return workspace.bytes();
}

void pairwise(const PairwiseArgs& args) {
  const int64_t m = args.queries.rows, n = args.base.rows;
  if (m == 0 || n == 0) return;
  Workspace workspace(args.exec);
  const Plan plan(args, workspace);
  workspace.require();
  for (int64_t begin = 0; begin < m; begin += plan.scan.launch_queries) {
    const int64_t count = std::min(m - begin, plan.scan.launch_queries);
    const ScanArgs scan_args =
        prepare(plan.scan, plan.prepared, args.queries, args.base, args.metric, begin, count, args.exec.stream);
    scan(plan.scan, scan_args, Write{static_cast<uint32_t*>(args.distances) + begin * n, n}, args.exec.stream);
  }
}

}  // namespace annk
