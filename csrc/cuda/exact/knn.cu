// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "cuda/device/emit.cuh"
#include "cuda/distance/prepare.h"
#include "cuda/exact/knn_blocks.h"
#include "cuda/exact/knn_radix.h"
#include "cuda/exact/knn_warp_select.h"
#include "cuda/prefilter/prefilter.h"
#include "cuda/select/merge.cuh"
#include "ops/knn.h"

namespace annk {
namespace {

using namespace cuda;

struct MergeArgs {
  const KeyId* lists;
  Splits splits;
  int64_t m;
  int32_t k;
  NeighborOut out;
  const uint32_t* redo = nullptr;  // as in ScanArgs
  uint32_t redo_above = 0;
};

template <int kRegisters>
__global__ void __launch_bounds__(kMergeThreads) merge_kernel(const MergeArgs a) {
  const int64_t query = blockIdx.x;
  if (a.redo != nullptr && a.redo[query] <= a.redo_above) return;
  const WarpSelect<kRegisters> list = merge_splits<kRegisters>(a.lists, a.m, query, a.splits.count, a.k);
  if (warp_id() != 0) return;
#pragma unroll
  for (int r = 0; r < kRegisters; ++r) {
    const int rank = r * kWarp + lane_id();
    if (rank >= a.k) continue;
    const KeyId best = list.best[r];
    if (best == kNoKeyId) {
      a.out.neighbor(query * a.k + rank, kNoKey, -1);
      continue;
    }
    const int64_t place = position_of(best), split = place / a.k;
    const int64_t in_split = position_of(a.lists[(split * a.m + query) * a.k + place % a.k]);
    a.out.neighbor(query * a.k + rank, key_bits_of(best), split * a.splits.rows_each + in_split);
  }
}

struct Plan {
  ScanPlan scan;
  Prepared prepared;
  Splits splits;
  KeyId* lists = nullptr;
  Prefilter prefilter;
  Plan(const KnnArgs& args, Workspace& workspace, bool prefiltered)
      : scan(plan_scan(args.queries, args.base, args.metric, kQueriesPerLaunch)), prepared(take_prepared(workspace, scan)) {
    const int64_t tile = scan.tile_queries();
    splits = splits_of(scan, ceil_div(scan.launch_queries, tile), args.base.rows);
    lists = workspace.take<KeyId>(splits.count * scan.launch_queries * args.k);
    if (prefiltered) prefilter = take_prefilter(workspace, scan, args.base, args.k);
  }
};

// A store that is decoded is cut into many splits: for many queries their lists would be larger than keys that wait.
bool by_keys(const KnnArgs& args) {
  if (args.k > kListMax) return true;
  if (args.base.kind == StoreKind::array) return false;
  Workspace workspace;
  const Plan plan(args, workspace, false);
  return plan.splits.count * plan.scan.launch_queries * args.k > kListBytes / static_cast<int64_t>(sizeof(KeyId));
}

bool prefiltered(const KnnArgs& args) {
  return args.base.kind == StoreKind::array && use_prefilter(args.queries.rows, args.base.rows, args.base.dims) &&
         can_prefilter(args.base, args.queries, args.metric, args.k);
}

}  // namespace

int64_t cuda::knn_warp_select_workspace(const KnnArgs& args, bool prefiltered) {
  Workspace workspace;
  Plan(args, workspace, prefiltered);
  return workspace.bytes();
}

void cuda::knn_warp_select(const KnnArgs& args, bool prefiltered) {
  Workspace workspace(args.exec);
  const Plan plan(args, workspace, prefiltered);
  workspace.require();
  const int64_t m = args.queries.rows, k = args.k;
  for (int64_t begin = 0; begin < m; begin += plan.scan.launch_queries) {
    const int64_t count = std::min(m - begin, plan.scan.launch_queries);
    ScanArgs scan_args =
        prepare(plan.scan, plan.prepared, args.queries, args.base, args.metric, begin, count, args.exec.stream);
    scan_args.splits = plan.splits;
    const NeighborOut out{static_cast<uint32_t*>(args.distances) + begin * k, args.indices + begin * k, args.metric};
    if (prefiltered) {
      prefilter(plan.prefilter, scan_args, args.filter, out, args.exec.stream);
      scan_args.redo = plan.prefilter.counts;
      scan_args.redo_above = plan.prefilter.capacity;
    }
    scan(plan.scan, scan_args, Select{args.filter, plan.lists, static_cast<int32_t>(k)}, args.exec.stream);

    MergeArgs merge{plan.lists, plan.splits, count, static_cast<int32_t>(k), out, scan_args.redo, scan_args.redo_above};
    if (k <= kWarp) {
      ANNK_LAUNCH(merge_kernel<1>, count, kMergeThreads, 0, args.exec.stream, merge);
    } else {
      ANNK_LAUNCH(merge_kernel<2>, count, kMergeThreads, 0, args.exec.stream, merge);
    }
  }
}

int64_t knn_workspace(const KnnArgs& args) {
  if (args.queries.rows == 0 || args.k == 0) return 0;
  if (args.carry != nullptr) return knn_block_workspace(args);
  if (by_keys(args)) return knn_radix_workspace(args);
  return knn_warp_select_workspace(args, prefiltered(args));
}

void knn(const KnnArgs& args) {
  if (args.queries.rows == 0 || args.k == 0) return;
  if (args.carry != nullptr) return knn_block(args);
  by_keys(args) ? knn_radix(args) : knn_warp_select(args, prefiltered(args));
}

}  // namespace annk
