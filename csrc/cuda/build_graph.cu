// SPDX-License-Identifier: Apache-2.0
// The end of a build: what no walk reaches is given an edge. Vamana's batches are made in host memory; the Python layer says
// so before it comes here.
#include <algorithm>

#include "core/check.h"
#include "cuda/reach.cuh"
#include "cuda/row_keys.cuh"
#include "cuda/row_queries.h"
#include "cuda/walk.h"
#include "ops/build_graph.h"

namespace annk {
namespace {

using namespace cuda;

constexpr int kThreads = 1024;  // one block looks at all edges
constexpr int kWarps = kThreads / kWarp;
constexpr int64_t kMostLost = 1024;

__global__ void __launch_bounds__(kThreads) reach_rows(const Reach reach) { ReachBlock<kThreads>{reach}.begin(); }

// The next rows out of reach, as many as there is room for.
__global__ void __launch_bounds__(kThreads) find_lost(const Reach reach) {
  ANNK_SHARED(int32_t, of_warp, [kWarps]);
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t begin = reach.counts[1];
  int64_t found = 0, at = begin;
  for (; at < reach.rows && found + kThreads <= reach.most_lost; at += kThreads) {
    const bool lost = at + thread < reach.rows && reach.parents[at + thread] < 0;
    const unsigned lanes = __ballot_sync(kAllLanes, lost);
    if (lane_id() == 0) of_warp[warp_id()] = __popc(lanes);
    __syncthreads();
    int64_t to = found + __popc(lanes & ((1u << lane_id()) - 1u));
    for (int w = 0; w < kWarps; ++w) {
      if (w < warp_id()) to += of_warp[w];
      found += of_warp[w];
    }
    if (lost) reach.lost[to] = at + thread;
    __syncthreads();
  }
  for (int64_t i = found + thread; i < reach.most_lost; i += kThreads) reach.lost[i] = -1;
  if (thread == 0 && at > begin) reach.counts[1] = at;  // there were barriers since all have read it
}

struct FinishPlan {
  RowQueries queries;
  Reach reach;
  WalkArgs walk;

  FinishPlan(const BuildGraphArgs& args, Workspace& workspace) : queries(args.base, args.metric) {
    const int64_t n = args.base.rows;
    reach.neighbors = args.neighbors;
    reach.states = reinterpret_cast<ListState*>(args.state);
    reach.rows = n;
    reach.degree = args.degree;
    reach.entries = args.order;
    reach.entry_count = args.entry_count;
    reach.most_lost = std::max(kMostLost, kWalkBytes / (queries.query_bytes() + 8 * args.window) / kThreads * kThreads);
    reach.most_lost = std::min(reach.most_lost, ceil_div<int64_t>(n, kThreads) * kThreads);
    reach.parents = workspace.take<int32_t>(n);
    reach.queue = workspace.take<int32_t>(n);
    reach.claims = workspace.take<uint32_t>(n);
    reach.counts = workspace.take<int64_t>(2);
    reach.lost = workspace.take<int64_t>(reach.most_lost);

    walk.graph = {args.neighbors, args.order, n, args.degree, args.degree, args.entry_count};
    walk.m = std::min(reach.most_lost, n);
    walk.window = walk.k = walk.wanted = args.window;
    walk.stage = WalkStage::attach;
    walk.blocks = 1;
    walk.room = static_cast<int32_t>(std::min(args.window, n));
    walk.table_bits = walk_table_bits(args.window);
    walk.candidates = workspace.take<int64_t>(walk.m * walk.wanted);
    if (walk.room > kSharedPool) walk.pools = workspace.take<Entry>(walk.room);
    queries.take(workspace, walk.m, kDecodedAtOnce);
    walk.reach = reach;
  }
};

void fill(void* from, int byte, int64_t bytes, void* stream) {
  require_success(cudaMemsetAsync(from, byte, static_cast<size_t>(bytes), static_cast<cudaStream_t>(stream)),
                  "clearing the workspace");
}

}  // namespace

void build_graph(const BuildGraphArgs&) { check(false, "build_graph: expected host memory, got device arrays"); }

int64_t finish_graph_workspace(const BuildGraphArgs& args) {
  if (args.base.rows == 0) return 0;
  Workspace workspace;
  FinishPlan(args, workspace);
  return workspace.bytes();
}

void finish_graph(const BuildGraphArgs& args) {
  if (args.base.rows == 0) return;
  check(args.room == args.degree, "finish_graph: expected lists with room for ", args.degree, " neighbours, got ",
        args.room);
  Workspace workspace(args.exec);
  const FinishPlan plan(args, workspace);
  workspace.require();
  void* stream = args.exec.stream;
  const int64_t n = args.base.rows;
  fill(plan.reach.parents, 0xff, 4 * n, stream);
  fill(plan.reach.claims, 0xff, 4 * n, stream);
  fill(plan.reach.counts, 0, 16, stream);
  ANNK_LAUNCH(reach_rows, 1, kThreads, 0, stream, plan.reach);
  for (int64_t first = 0; first < n; first += plan.reach.most_lost) {
    ANNK_LAUNCH(find_lost, 1, kThreads, 0, stream, plan.reach);
    plan.queries.prepare(plan.reach.lost, plan.walk.m, stream);
    cuda::walk({plan.queries.plan(), plan.queries.scan(plan.walk.m), stream}, plan.walk, false);
  }
}

}  // namespace annk
