// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "cuda/graph/build/new_edges.h"
#include "cuda/graph/build/prune_lists.h"
#include "cuda/graph/row_keys.cuh"

namespace annk::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarp;

// Candidates of `count` rows, and their keys with one another.
struct Pruning {
  const int64_t* rows;
  const KeyId* near;  // (count, most)
  int64_t count, most, width, degree;
  float alpha;
  bool by_length;  // similarities: the lengths of rows matter
  GraphLists lists;
  int32_t* staged;  // (count, degree), or null: lists are written at once
  int64_t* ids;
  JoinGroup* join_groups;
  uint32_t* sortable_keys;

  // Behind the candidates stand, by length, the rows themselves.
  ANNK_HD int64_t positions() const { return count * (most + by_length); }
  __device__ float key(int64_t at, int64_t query) const { return key_of_bits(sortable_keys[at * width + query]); }
  // What keys with candidate c of row i are multiplied by where it is kept.
  __device__ float scale(int64_t i, int c) const {
    return by_length ? occluding_scale(alpha, key(count * most + i, 0), key(i * most + c, c)) : alpha;
  }
};

// Each candidate is compared with those in front of it, which are the queries; by length, also with itself.
__global__ void __launch_bounds__(kThreads) name_candidates(const Pruning p) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= p.positions()) return;
  if (at >= p.count * p.most) {
    const int64_t row = p.rows[at - p.count * p.most];
    const int32_t query = static_cast<int32_t>(at);
    p.ids[at] = row;
    p.join_groups[at] = {query, query + 1, query, row >= 0 ? 1 : 0};
    return;
  }
  const int32_t place = static_cast<int32_t>(at % p.most), first = static_cast<int32_t>(at - place);
  const KeyId key_id = p.near[at];
  const bool there = key_id != kNoKeyId;
  p.ids[at] = there ? row_of(key_id) : -1;
  p.join_groups[at] = {first, first + static_cast<int32_t>(p.most), first, there ? place + p.by_length : 0};
}

// A warp a row: candidates one after the other, each against all that are kept.
__global__ void __launch_bounds__(kThreads, 8) prune_rows(const Pruning p) {
  ANNK_DYN_SHARED(int32_t, shared);
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kWarps + warp_id();
  if (i >= p.count || p.rows[i] < 0) return;
  const int64_t row = p.rows[i];
  const int lane = lane_id(), degree = static_cast<int>(p.degree), most = static_cast<int>(p.most);
  const KeyId* const near = p.near + i * most;
  int32_t* const places = shared + warp_id() * 2 * degree;  // of the kept ones, among the candidates
  float* const scales = reinterpret_cast<float*>(places + degree);
  int32_t* const list = p.staged == nullptr ? p.lists.of(row) : p.staged + i * degree;
  const float nearest = key_of_bits(key_bits_of(near[0]));
  int kept = 0;
  for (int c = 0; c < most && kept < degree && near[c] != kNoKeyId; ++c) {
    const float key = key_of_bits(key_bits_of(near[c]));
    if (key == nearest && kept >= (degree + 1) / 2) continue;
    bool occluded = false;
    for (int k = lane; k < kept; k += kWarp) occluded = occluded || scales[k] * p.key(i * most + c, places[k]) < key;
    if (__any_sync(kAllLanes, occluded)) continue;
    if (lane == 0) {
      places[kept] = c;
      scales[kept] = p.scale(i, c);
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
  const int64_t together = most + is_similarity(args.metric);
  width_ = ceil_div<int64_t>(most, kJoinQueries) * kJoinQueries;
  searched_ = std::clamp<int64_t>(kPreparedBytes / query, 1, std::min(kQueriesPerLaunch, std::max<int64_t>(rows, 1)));
  const int64_t each =
      queries_.query_bytes() + queries_.position_bytes() + 8 + static_cast<int64_t>(sizeof(JoinGroup)) + 4 * width_;
  pruned_ = std::clamp<int64_t>(args.batch_bytes / (together * each), 1, searched_);

  search_.graph = {args.neighbors, args.order, n, args.room, args.room, 0};
  search_.window = args.window;
  search_.stage = SearchStage::candidates;
  search_.room = static_cast<int32_t>(std::min(std::max(args.window, most), n));
  search_.table_bits = visited_table_bits(args.window);
  const bool buffers = search_.room > kSharedBuffer;
  const int64_t decoded = queries_.position_bytes() * kDecodedAtOnce;
  search_.blocks =
      static_cast<int32_t>(search_blocks(searched_, decoded + (buffers ? 8 * search_.room : 0), args.batch_bytes));
  if (buffers) search_.buffers = workspace.take<KeyId>(search_.blocks * search_.room);
  search_.candidates.near = workspace.take<KeyId>(searched_ * most);
  search_.candidates.most = most;
  search_.candidates.lists = lists_of(args);
  ids_ = workspace.take<int64_t>(pruned_ * together);
  join_groups_ = workspace.take<JoinGroup>(pruned_ * together);
  sortable_keys_ = workspace.take<uint32_t>(pruned_ * together * width_);
  queries_.take(workspace, std::max(searched_, pruned_ * together),
                std::max<int64_t>(search_.blocks * kDecodedAtOnce, pruned_ * together));
}

void ListPruner::prune_searches(const int64_t* rows, int64_t count, int32_t* staged) const {
  BeamSearchArgs search = search_;
  search.graph.entry_point_count = args_.entry_point_count;
  prune(rows, count, search, staged);
  ANNK_LAUNCH(write_lists, ceil_div<int64_t>(count, kWarps), kThreads, 0, args_.exec.stream, lists_of(args_), rows, count,
              staged, args_.degree);
}

void ListPruner::prune_lists(const int64_t* rows, int64_t count, const NewEdges& edges) const {
  BeamSearchArgs search = search_;
  search.candidates.listed = true;
  search.candidates.edges = edges;
  prune(rows, count, search, nullptr);
}

void ListPruner::prune(const int64_t* rows, int64_t count, BeamSearchArgs search, int32_t* staged) const {
  void* stream = args_.exec.stream;
  for (int64_t first = 0; first < count; first += searched_) {
    search.m = std::min(searched_, count - first);
    search.blocks = static_cast<int32_t>(std::min<int64_t>(search_.blocks, search.m));
    search.candidates.rows = rows + first;
    queries_.prepare(rows + first, search.m, stream);
    cuda::beam_search({queries_.plan(), queries_.scan(search.m), stream}, search, false);
    for (int64_t begin = 0; begin < search.m; begin += pruned_)
      prune_found(rows + first + begin, std::min(pruned_, search.m - begin), search.candidates.near + begin * args_.most,
                  staged == nullptr ? nullptr : staged + (first + begin) * args_.degree);
  }
}

void ListPruner::prune_found(const int64_t* rows, int64_t count, const KeyId* near, int32_t* staged) const {
  void* stream = args_.exec.stream;
  const Pruning pruning{rows,
                        near,
                        count,
                        args_.most,
                        width_,
                        args_.degree,
                        args_.alpha,
                        is_similarity(args_.metric),
                        lists_of(args_),
                        staged,
                        ids_,
                        join_groups_,
                        sortable_keys_};
  const int64_t positions = pruning.positions();
  ANNK_LAUNCH(name_candidates, ceil_div<int64_t>(positions, kThreads), kThreads, 0, stream, pruning);
  queries_.prepare(ids_, positions, stream);
  queries_.join({{}, ids_, join_groups_, positions, width_, sortable_keys_}, stream);
  const size_t shared = static_cast<size_t>(kWarps * args_.degree) * (sizeof(int32_t) + sizeof(float));
  ANNK_LAUNCH(prune_rows, ceil_div<int64_t>(count, kWarps), kThreads, shared, stream, pruning);
}

}  // namespace annk::cuda
