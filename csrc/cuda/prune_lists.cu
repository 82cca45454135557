// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "cuda/new_edges.h"
#include "cuda/prune_lists.h"
#include "cuda/row_keys.cuh"

namespace annk::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarp;

// Candidates of `count` rows, and their keys with one another.
struct Pruning {
  const int64_t* rows;
  const Entry* near;  // (count, most)
  int64_t count, most, width, degree;
  float alpha;
  GraphLists lists;
  int32_t* staged;  // (count, degree), or null: lists are written at once
  int64_t* ids;
  Meeting* meetings;
  uint32_t* orders;
};

// Each candidate meets those in front of it, which are the queries.
__global__ void __launch_bounds__(kThreads) name_candidates(const Pruning p) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= p.count * p.most) return;
  const int32_t place = static_cast<int32_t>(at % p.most), first = static_cast<int32_t>(at - place);
  const Entry entry = p.near[at];
  const bool there = entry != kNoEntry;
  p.ids[at] = there ? row_of(entry) : -1;
  p.meetings[at] = {first, first + static_cast<int32_t>(p.most), first, there ? place : 0};
}

// A warp a row: candidates one after the other, each against all that are kept.
__global__ void __launch_bounds__(kThreads, 8) prune_rows(const Pruning p) {
  ANNK_DYN_SHARED(int32_t, shared);
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kWarps + warp_id();
  if (i >= p.count || p.rows[i] < 0) return;
  const int64_t row = p.rows[i];
  const int lane = lane_id(), degree = static_cast<int>(p.degree), most = static_cast<int>(p.most);
  const Entry* const near = p.near + i * most;
  int32_t* const places = shared + warp_id() * degree;  // of the kept ones, among the candidates
  int32_t* const list = p.staged == nullptr ? p.lists.of(row) : p.staged + i * degree;
  const float nearest = key_of_ordered(order_of(near[0]));
  int kept = 0;
  for (int c = 0; c < most && kept < degree && near[c] != kNoEntry; ++c) {
    const float own = key_of_ordered(order_of(near[c]));
    if (own == nearest && kept >= (degree + 1) / 2) continue;
    const uint32_t* const orders = p.orders + (i * most + c) * p.width;
    bool occluded = false;
    for (int k = lane; k < kept; k += kWarp) occluded = occluded || p.alpha * key_of_ordered(orders[places[k]]) < own;
    if (__any_sync(kAllLanes, occluded)) continue;
    if (lane == 0) {
      places[kept] = c;
      list[kept] = row_of(near[c]);
    }
    ++kept;
    __syncwarp();
  }
  const int64_t width = p.staged == nullptr ? p.lists.room : degree;
  for (int64_t e = kept + lane; e < width; e += kWarp) list[e] = -1;
  if (lane == 0 && p.staged == nullptr) p.lists.states[row] = {kept, kept};
}

// A warp a row.
__global__ void __launch_bounds__(kThreads)
    write_lists(const GraphLists lists, const int64_t* rows, int64_t count, const int32_t* staged, int64_t degree) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kWarps + warp_id();
  if (i >= count) return;
  const int64_t row = rows[i];
  int kept = 0;
  for (int64_t first = 0; first < lists.room; first += kWarp) {
    const int64_t e = first + lane_id();
    const int32_t to = e < degree ? staged[i * degree + e] : -1;
    if (e < lists.room) lists.of(row)[e] = to;
    kept += __popc(__ballot_sync(kAllLanes, to >= 0));
  }
  if (lane_id() == 0) lists.states[row] = {kept, kept};
}

}  // namespace

ListPruner::ListPruner(const BuildGraphArgs& args, Workspace& workspace, int64_t rows)
    : args_(args), queries_(args.base, args.metric) {
  const int64_t n = args.base.rows, most = args.most, query = std::max<int64_t>(1, queries_.query_bytes());
  width_ = ceil_div<int64_t>(most, kMeetQueries) * kMeetQueries;
  walked_ = std::clamp<int64_t>(kPreparedBytes / query, 1, std::min(kQueriesPerLaunch, std::max<int64_t>(rows, 1)));
  const int64_t each =
      queries_.query_bytes() + queries_.position_bytes() + 8 + static_cast<int64_t>(sizeof(Meeting)) + 4 * width_;
  pruned_ = std::clamp<int64_t>(args.batch_bytes / (most * each), 1, walked_);

  walk_.graph = {args.neighbors, args.order, n, args.room, args.room, 0};
  walk_.window = args.window;
  walk_.stage = WalkStage::candidates;
  walk_.room = static_cast<int32_t>(std::min(std::max(args.window, most), n));
  walk_.table_bits = walk_table_bits(args.window);
  const bool pools = walk_.room > kSharedPool;
  const int64_t decoded = queries_.position_bytes() * kDecodedAtOnce;
  walk_.blocks = static_cast<int32_t>(walk_blocks(walked_, decoded + (pools ? 8 * walk_.room : 0), args.batch_bytes));
  if (pools) walk_.pools = workspace.take<Entry>(walk_.blocks * walk_.room);
  walk_.candidates.near = workspace.take<Entry>(walked_ * most);
  walk_.candidates.most = most;
  walk_.candidates.lists = lists_of(args);
  ids_ = workspace.take<int64_t>(pruned_ * most);
  meetings_ = workspace.take<Meeting>(pruned_ * most);
  orders_ = workspace.take<uint32_t>(pruned_ * most * width_);
  queries_.take(workspace, std::max(walked_, pruned_ * most),
                std::max<int64_t>(walk_.blocks * kDecodedAtOnce, pruned_ * most));
}

void ListPruner::prune_walks(const int64_t* rows, int64_t count, int32_t* staged) const {
  WalkArgs walk = walk_;
  walk.graph.entry_count = args_.entry_count;
  prune(rows, count, walk, staged);
  ANNK_LAUNCH(write_lists, ceil_div<int64_t>(count, kWarps), kThreads, 0, args_.exec.stream, lists_of(args_), rows, count,
              staged, args_.degree);
}

void ListPruner::prune_lists(const int64_t* rows, int64_t count, const NewEdges& edges) const {
  WalkArgs walk = walk_;
  walk.candidates.listed = true;
  walk.candidates.edges = edges;
  prune(rows, count, walk, nullptr);
}

void ListPruner::prune(const int64_t* rows, int64_t count, WalkArgs walk, int32_t* staged) const {
  void* stream = args_.exec.stream;
  for (int64_t first = 0; first < count; first += walked_) {
    walk.m = std::min(walked_, count - first);
    walk.blocks = static_cast<int32_t>(std::min<int64_t>(walk_.blocks, walk.m));
    walk.candidates.rows = rows + first;
    queries_.prepare(rows + first, walk.m, stream);
    cuda::walk({queries_.plan(), queries_.scan(walk.m), stream}, walk, false);
    for (int64_t begin = 0; begin < walk.m; begin += pruned_)
      prune_found(rows + first + begin, std::min(pruned_, walk.m - begin), walk.candidates.near + begin * args_.most,
                  staged == nullptr ? nullptr : staged + (first + begin) * args_.degree);
  }
}

void ListPruner::prune_found(const int64_t* rows, int64_t count, const Entry* near, int32_t* staged) const {
  void* stream = args_.exec.stream;
  const int64_t positions = count * args_.most;
  const Pruning pruning{rows,   near, count,     args_.most, width_, args_.degree, args_.alpha, lists_of(args_),
                        staged, ids_, meetings_, orders_};
  ANNK_LAUNCH(name_candidates, ceil_div<int64_t>(positions, kThreads), kThreads, 0, stream, pruning);
  queries_.prepare(ids_, positions, stream);
  queries_.meet({{}, ids_, meetings_, positions, width_, orders_}, stream);
  const size_t shared = static_cast<size_t>(kWarps * args_.degree) * sizeof(int32_t);
  ANNK_LAUNCH(prune_rows, ceil_div<int64_t>(count, kWarps), kThreads, shared, stream, pruning);
}

}  // namespace annk::cuda
