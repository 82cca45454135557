// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "cuda/distance/prepare.h"
#include "ops/distances.h"

namespace annk {
namespace {

using namespace cuda;

struct Plan {
  ScanPlan scan;
  Prepared prepared;
  Plan(const DistancesArgs& args, Workspace& workspace)
      : scan(plan_pairs(args.queries, args.base, args.metric, kQueriesPerLaunch, args.queries.rows * args.width)),
        prepared(take_prepared(workspace, scan)) {}
};

bool nothing(const DistancesArgs& args) { return args.queries.rows == 0 || args.width == 0; }

}  // namespace

int64_t distances_workspace(const DistancesArgs& args) {
  if (nothing(args)) return 0;
  Workspace workspace;
  Plan(args, workspace);
  return workspace.bytes();
}

void distances(const DistancesArgs& args) {
  if (nothing(args)) return;
  Workspace workspace(args.exec);
  const Plan plan(args, workspace);
  workspace.require();
  const int64_t m = args.queries.rows;
  for (int64_t begin = 0; begin < m; begin += plan.scan.launch_queries) {
    const int64_t count = std::min(m - begin, plan.scan.launch_queries);
    PairArgs pairs;
    pairs.scan = prepare(plan.scan, plan.prepared, args.queries, args.base, args.metric, begin, count, args.exec.stream);
    pairs.ids = args.ids + begin * args.width;
    pairs.width = args.width;
    pairs.pairs = count * args.width;
    pairs.out = static_cast<uint32_t*>(args.distances) + begin * args.width;
    scan_pairs(plan.scan, pairs, args.exec.stream);
  }
}

}  // namespace annk
