// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "cuda/device/filter_words.cuh"
#include "cuda/graph/row_keys.cuh"
#include "cuda/graph/search/beam_search.h"
#include "cuda/select/sort.cuh"
#include "ops/search_graph.h"

namespace annk {
namespace {

using namespace cuda;

constexpr int kThreads = 256;

// parts[filter, part] = rows that pass of that part: kPassingParts blocks a filter.
__global__ void __launch_bounds__(kThreads)
    count_passing(const Filter filter, int64_t query_begin, int64_t rows, int32_t* parts) {
  ANNK_SHARED(int32_t, sums, [kThreads / kWarp]);
  const int64_t query = query_begin + blockIdx.x / kPassingParts, words = (rows + 31) / 32;
  int32_t sum = 0;
  for (int64_t word = blockIdx.x % kPassingParts * kThreads + threadIdx.x; word < words; word += kPassingParts * kThreads)
    sum += __popc(passing_word(filter, query, word, rows));
  sum = warp_sum(sum);
  if (lane_id() == 0) sums[warp_id()] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int w = 1; w < kThreads / kWarp; ++w) sum += sums[w];
  parts[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads) write_missing(const NeighbourOut out, int64_t count) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at < count) out.neighbour(at, kNoOrder, -1);
}

// Candidates and the orders of their finer keys as entries, to be sorted.
struct Reranked {
  const int64_t* ids;
  const uint32_t* orders;
  Entry* entries;
  uint32_t* counts;
  int64_t rows, width;
};
__global__ void __launch_bounds__(kThreads) join_candidates(const Reranked r) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at < r.rows) r.counts[at] = static_cast<uint32_t>(r.width);
  if (at < r.rows * r.width) r.entries[at] = make_entry(r.orders[at], static_cast<uint32_t>(r.ids[at]));
}
__global__ void __launch_bounds__(kThreads)
    write_reranked(const NeighbourOut out, const Entry* sorted, int64_t rows, int64_t k, int64_t width) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= rows * k) return;
  const Entry entry = sorted[at / k * width + at % k];
  out.neighbour(at, order_of(entry), position_of(entry));
}

// Entries whose own order is the one wanted.
struct WholeEntries {
  __device__ __forceinline__ bool less(int64_t, Entry a, Entry b) const { return a < b; }
};

struct Plan {
  ScanPlan scan, fine;
  Prepared prepared, fine_prepared;
  WalkArgs walk;
  int64_t launch_queries, rounds = 0;
  int32_t* passing = nullptr;
  Reranked reranked{};
  Entry* sorted = nullptr;
  uint32_t* orders = nullptr;

  Plan(const SearchGraphArgs& args, Workspace& workspace) {
    const int64_t m = args.queries.rows, n = args.graph.rows;
    const bool filtered = args.filter.kind != Filter::Kind::none;
    scan = plan_pairs(args.queries, args.base, args.metric, kQueriesPerLaunch, n);
    if (args.rerank_k > 0)
      fine = plan_pairs(args.rerank_queries, args.rerank, args.metric, kQueriesPerLaunch, m * args.rerank_k);
    launch_queries = args.rerank_k > 0 ? std::min(scan.launch_queries, fine.launch_queries) : scan.launch_queries;
    walk.graph = args.graph;
    walk.filter = args.filter;
    walk.window = args.window;
    walk.k = args.k;
    walk.wanted = args.rerank_k > 0 ? args.rerank_k : args.k;
    // The widest window that a filter leads to: that of kPlainShare, and one more for its rounding.
    const int64_t widest = filtered ? static_cast<int64_t>(static_cast<double>(args.window) / kPlainShare) + 2 : args.window;
    walk.room = static_cast<int32_t>(widest < n ? widest : n);
    walk.table_bits = walk_table_bits(args.window);
    take_blocks(workspace, args, filtered);
    if (args.rerank_k > 0) take_rerank(workspace, args);
  }

  // What each block and each shared walk wants.
  void take_blocks(Workspace& workspace, const SearchGraphArgs& args, bool filtered) {
    const int64_t m = args.queries.rows, degree = args.graph.degree;
    const bool shares = share_walks(m, args.window), pools = walk.room > kSharedPool;
    walk.visited_words = filtered ? ceil_div<int64_t>(args.graph.rows, 32) : 0;
    const int64_t decoded = scan.decoded_rows > 0 ? kDecodedAtOnce * scan.decoded_bytes : 0;
    const int64_t bits = filtered ? 4 * (walk.visited_words + degree) : 0;
    const int64_t pool = pools ? walk.room * static_cast<int64_t>(sizeof(Entry)) : 0;
    walk.blocks = static_cast<int32_t>(walk_blocks(launch_queries, decoded + bits + pool));
    if (decoded > 0) {  // in whole tiles, as a scan of decoded rows has them
      const int64_t most = shares ? std::max<int64_t>(walk.blocks, m * kWalkSlots) : walk.blocks;
      scan.decoded_rows = ceil_div<int64_t>(most * kDecodedAtOnce, kRowTile) * kRowTile;
    }
    prepared = take_prepared(workspace, scan);
    if (filtered) {
      walk.visited = workspace.take<uint32_t>(walk.blocks * walk.visited_words);
      walk.failing = workspace.take<int32_t>(walk.blocks * degree);
      passing = workspace.take<int32_t>((args.filter.shared() ? 1 : launch_queries) * kPassingParts);
      walk.passing = passing;
    }
    if (shares || pools) walk.pools = workspace.take<Entry>((shares ? m : walk.blocks) * walk.room);
    if (!shares) return;
    rounds = walk_rounds(args.window);
    walk.shared = workspace.take<SharedWalk>(m);
    walk.tables = workspace.take<uint32_t>(m << walk.table_bits);
    walk.ahead = workspace.take<Entry>(m * kWalkSlots * degree);
  }

  void take_rerank(Workspace& workspace, const SearchGraphArgs& args) {
    const int64_t width = args.rerank_k, all = launch_queries * width;
    fine_prepared = take_prepared(workspace, fine);
    walk.found = workspace.take<int64_t>(all);
    orders = workspace.take<uint32_t>(all);
    Entry* const entries = workspace.take<Entry>(all);
    sorted = workspace.take<Entry>(all);
    reranked = {walk.found, orders, entries, workspace.take<uint32_t>(launch_queries), 0, width};
  }
};

void walk_all(const Plan& plan, const SearchGraphArgs& args, WalkArgs walk) {
  void* stream = args.exec.stream;
  const ScanArgs scan =
      prepare(plan.scan, plan.prepared, args.queries, args.base, args.metric, walk.query_begin, walk.m, stream);
  const WalkLaunch to{plan.scan, scan, stream};
  if (plan.passing != nullptr) {
    const int64_t filters = args.filter.shared() ? 1 : walk.m;
    ANNK_LAUNCH(count_passing, filters * kPassingParts, kThreads, 0, stream, args.filter, walk.query_begin, args.graph.rows,
                plan.passing);
  }
  if (plan.rounds > 0) {
    walk.stage = WalkStage::start;
    cuda::walk(to, walk, false);
    for (int64_t round = 0; round < plan.rounds; ++round) cuda::walk(to, walk, true);
    walk.stage = WalkStage::finish;
  }
  cuda::walk(to, walk, false);
}

// The candidates' finer keys, as ops/distances.h makes them, and their order.
void rerank_all(const Plan& plan, const SearchGraphArgs& args, const WalkArgs& walk) {
  void* stream = args.exec.stream;
  ScanArgs scan = prepare(plan.fine, plan.fine_prepared, args.rerank_queries, args.rerank, args.metric, walk.query_begin,
                          walk.m, stream);
  scan.job = Job::pair_keys;
  scan.ids = plan.walk.found;
  scan.width = walk.wanted;
  scan.pairs = walk.m * walk.wanted;
  scan.out = plan.orders;
  cuda::scan(plan.fine, scan, stream);
  Reranked reranked = plan.reranked;
  reranked.rows = walk.m;
  ANNK_LAUNCH(join_candidates, ceil_div<int64_t>(scan.pairs, kThreads), kThreads, 0, stream, reranked);
  const Entry* sorted =
      sort_rows(WholeEntries{}, reranked.entries, plan.sorted, reranked.counts, walk.m, walk.wanted, stream);
  ANNK_LAUNCH(write_reranked, ceil_div<int64_t>(walk.m * args.k, kThreads), kThreads, 0, stream, walk.out, sorted, walk.m,
              args.k, walk.wanted);
}

bool nothing(const SearchGraphArgs& args) { return args.queries.rows == 0 || args.k == 0; }

}  // namespace

int64_t search_graph_workspace(const SearchGraphArgs& args) {
  if (nothing(args) || args.graph.rows == 0) return 0;
  Workspace workspace;
  Plan(args, workspace);
  return workspace.bytes();
}

void search_graph(const SearchGraphArgs& args) {
  if (nothing(args)) return;
  void* stream = args.exec.stream;
  const int64_t m = args.queries.rows, k = args.k;
  if (args.graph.rows == 0) {
    ANNK_LAUNCH(write_missing, ceil_div<int64_t>(m * k, kThreads), kThreads, 0, stream,
                (NeighbourOut{args.distances, args.indices, args.metric}), m * k);
    return;
  }
  Workspace workspace(args.exec);
  const Plan plan(args, workspace);
  workspace.require();
  for (int64_t begin = 0; begin < m; begin += plan.launch_queries) {
    WalkArgs walk = plan.walk;
    walk.query_begin = begin;
    walk.m = std::min(m - begin, plan.launch_queries);
    walk.out = {static_cast<uint32_t*>(args.distances) + begin * k, args.indices + begin * k, args.metric};
    walk_all(plan, args, walk);
    if (args.rerank_k > 0) rerank_all(plan, args, walk);
  }
}

}  // namespace annk
