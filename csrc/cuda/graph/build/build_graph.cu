// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>

#include "cuda/graph/build/new_edges.h"
#include "cuda/graph/build/prune_lists.h"
#include "cuda/graph/reach.cuh"
#include "cuda/graph/row_keys.cuh"

namespace annk {
namespace {

using namespace cuda;

constexpr int kThreads = 1024;  // one block reads all edges
constexpr int kWarps = kThreads / kWarp;
constexpr int64_t kMostLost = 1024;

__global__ void __launch_bounds__(kThreads) reach_rows(const Reach reach) { ReachBlock<kThreads>{reach}.begin(); }

// The next rows out of reach, as many as there is room for.
__global__ void __launch_bounds__(kThreads) find_lost(const Reach reach) {
  ANNK_SHARED(int32_t, of_warp, [kWarps]);
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t begin = reach.counts[1];
  int64_t found = 0, at = begin;
  for (; at < reach.lists.rows && found + kThreads <= reach.most_lost; at += kThreads) {
    const bool lost = at + thread < reach.lists.rows && reach.parents[at + thread] < 0;
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

struct BatchPlan {
  NewEdges edges;
  int64_t* rows;
  int32_t* staged;
  ListPruner pruner;

  BatchPlan(const BuildGraphArgs& args, Workspace& workspace)
      : edges{workspace.take<uint32_t>(args.base.rows), nullptr, nullptr},
        rows(workspace.take<int64_t>(args.count)),
        staged(workspace.take<int32_t>(args.count * args.degree)),
        pruner(args, workspace, args.count) {}
};

struct LinkPlan {
  Turning turning;
  std::optional<ListPruner> pruner;

  LinkPlan(const BuildGraphArgs& args, Workspace& workspace) {
    turning.take(workspace, args);
    if (args.pruned > 0) pruner.emplace(args, workspace, args.pruned);
  }
};

// Lists longer than the degree.
struct LongLists {
  int64_t* rows;
  unsigned long long* cursor;
  ListPruner pruner;

  LongLists(const BuildGraphArgs& args, Workspace& workspace)
      : rows(workspace.take<int64_t>(args.base.rows)),
        cursor(workspace.take<unsigned long long>(1)),
        pruner(args, workspace, args.base.rows) {}
};

struct FinishPlan {
  std::optional<LongLists> long_lists;
  RowQueries queries;
  Reach reach;
  BeamSearchArgs search;

  FinishPlan(const BuildGraphArgs& args, Workspace& workspace) : queries(args.base, args.metric) {
    const int64_t n = args.base.rows;
    if (args.room > args.degree) long_lists.emplace(args, workspace);
    reach.lists = lists_of(args);
    reach.degree = args.degree;
    reach.entry_points = args.order;
    reach.entry_point_count = args.entry_point_count;
    reach.most_lost = std::max(kMostLost, kSearchBytes / (queries.query_bytes() + 8 * args.window) / kThreads * kThreads);
    reach.most_lost = std::min(reach.most_lost, ceil_div<int64_t>(n, kThreads) * kThreads);
    reach.parents = workspace.take<int32_t>(n);
    reach.queue = workspace.take<int32_t>(n);
    reach.claims = workspace.take<uint32_t>(n);
    reach.counts = workspace.take<int64_t>(2);
    reach.lost = workspace.take<int64_t>(reach.most_lost);

    search.graph = {args.neighbors, args.order, n, args.degree, args.room, args.entry_point_count};
    search.m = std::min(reach.most_lost, n);
    search.window = search.k = search.wanted = args.window;
    search.stage = SearchStage::attach;
    search.blocks = 1;
    search.room = static_cast<int32_t>(std::min(args.window, n));
    search.table_bits = visited_table_bits(args.window);
    search.found = workspace.take<int64_t>(search.m * search.wanted);
    if (search.room > kSharedBuffer) search.buffers = workspace.take<KeyId>(search.room);
    queries.take(workspace, search.m, kDecodedAtOnce);
    search.reach = reach;
  }
};

template <class Plan>
int64_t bytes_of(const BuildGraphArgs& args) {
  Workspace workspace;
  Plan(args, workspace);
  return workspace.bytes();
}

}  // namespace

int64_t build_graph_workspace(const BuildGraphArgs& args) { return bytes_of<BatchPlan>(args); }
int64_t link_graph_workspace(const BuildGraphArgs& args) { return bytes_of<LinkPlan>(args); }
int64_t finish_graph_workspace(const BuildGraphArgs& args) { return args.base.rows == 0 ? 0 : bytes_of<FinishPlan>(args); }

void build_graph(const BuildGraphArgs& args) {
  Workspace workspace(args.exec);
  const BatchPlan plan(args, workspace);
  workspace.require();
  if (args.entry_point_count > 0) {
    name_batch(args, plan.rows);
    plan.pruner.prune_searches(plan.rows, args.count, plan.staged);
  }
  count_new_edges(args, plan.edges, args.outgrown);
}

void link_graph(const BuildGraphArgs& args) {
  Workspace workspace(args.exec);
  const LinkPlan plan(args, workspace);
  workspace.require();
  turn_edges(args, plan.turning);
  if (plan.pruner) plan.pruner->prune_lists(plan.turning.targets, args.pruned, plan.turning.edges);
}

void finish_graph(const BuildGraphArgs& args) {
  if (args.base.rows == 0) return;
  Workspace workspace(args.exec);
  const FinishPlan plan(args, workspace);
  workspace.require();
  void* stream = args.exec.stream;
  const int64_t n = args.base.rows;
  if (plan.long_lists) {
    find_long_lists(args, plan.long_lists->rows, plan.long_lists->cursor);
    plan.long_lists->pruner.prune_lists(plan.long_lists->rows, n, {});
  }
  fill_bytes(plan.reach.parents, 0xff, 4 * n, stream);
  fill_bytes(plan.reach.claims, 0xff, 4 * n, stream);
  fill_bytes(plan.reach.counts, 0, 16, stream);
  ANNK_LAUNCH(reach_rows, 1, kThreads, 0, stream, plan.reach);
  for (int64_t first = 0; first < n; first += plan.reach.most_lost) {
    ANNK_LAUNCH(find_lost, 1, kThreads, 0, stream, plan.reach);
    plan.queries.prepare(plan.reach.lost, plan.search.m, stream);
    cuda::beam_search({plan.queries.plan(), plan.queries.scan(plan.search.m), stream}, plan.search, false);
  }
}

}  // namespace annk
