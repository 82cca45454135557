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

// parts[filter, part] = allowed rows of that part: kAllowedParts blocks a filter.
__global__ void __launch_bounds__(kThreads)
    count_allowed(const Filter filter, int64_t query_begin, int64_t rows, int32_t* parts) {
  ANNK_SHARED(int32_t, sums, [kThreads / kWarp]);
  const int64_t query = query_begin + blockIdx.x / kAllowedParts, words = (rows + 31) / 32;
  int32_t sum = 0;
  for (int64_t word = blockIdx.x % kAllowedParts * kThreads + threadIdx.x; word < words; word += kAllowedParts * kThreads)
    sum += __popc(allowed_word(filter, query, word, rows));
  sum = warp_sum(sum);
  if (lane_id() == 0) sums[warp_id()] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int w = 1; w < kThreads / kWarp; ++w) sum += sums[w];
  parts[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads) write_missing(const NeighborOut out, int64_t count) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at < count) out.neighbor(at, kNoKey, -1);
}

// Candidates and their finer keys, to be sorted.
struct Reranked {
  const int64_t* ids;
  const uint32_t* sortable_keys;
  KeyId* key_ids;
  uint32_t* counts;
  int64_t rows, width;
};
__global__ void __launch_bounds__(kThreads) join_candidates(const Reranked r) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at < r.rows) r.counts[at] = static_cast<uint32_t>(r.width);
  if (at < r.rows * r.width) r.key_ids[at] = make_key_id(r.sortable_keys[at], static_cast<uint32_t>(r.ids[at]));
}
__global__ void __launch_bounds__(kThreads)
    write_reranked(const NeighborOut out, const KeyId* sorted, int64_t rows, int64_t k, int64_t width) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= rows * k) return;
  const KeyId key_id = sorted[at / k * width + at % k];
  out.neighbor(at, key_bits_of(key_id), position_of(key_id));
}

// Sorted as they are.
struct WholeKeyIds {
  __device__ __forceinline__ bool less(int64_t, KeyId a, KeyId b) const { return a < b; }
};

struct Plan {
  ScanPlan scan, fine;
  Prepared prepared, fine_prepared;
  BeamSearchArgs search;
  int64_t launch_queries, rounds = 0;
  int32_t* allowed = nullptr;
  Reranked reranked{};
  KeyId* sorted = nullptr;
  uint32_t* sortable_keys = nullptr;

  Plan(const SearchGraphArgs& args, Workspace& workspace) {
    const int64_t m = args.queries.rows, n = args.graph.rows;
    const bool filtered = args.filter.kind != Filter::Kind::none;
    scan = plan_graph_keys(args.queries, args.base, args.metric, kQueriesPerLaunch, n);
    if (args.rerank_k > 0)
      fine = plan_pairs(args.rerank_queries, args.rerank, args.metric, kQueriesPerLaunch, m * args.rerank_k);
    launch_queries = args.rerank_k > 0 ? std::min(scan.launch_queries, fine.launch_queries) : scan.launch_queries;
    search.graph = args.graph;
    search.filter = args.filter;
    search.window = args.window;
    search.expand = static_cast<int32_t>(std::min(args.expand, args.window));
    search.k = args.k;
    search.wanted = args.rerank_k > 0 ? args.rerank_k : args.k;
    const int64_t widest = filtered ? widest_filter_plan(n, args.window) : args.window;
    search.room = static_cast<int32_t>(widest < n ? widest : n);
    search.table_bits = visited_table_bits(args.window);
    take_blocks(workspace, args, filtered);
    if (args.rerank_k > 0) take_rerank(workspace, args);
  }

  // What each block and each shared search wants.
  void take_blocks(Workspace& workspace, const SearchGraphArgs& args, bool filtered) {
    const int64_t m = args.queries.rows, degree = args.graph.degree;
    const bool shares = share_searches(m, args.window), buffers = search.room > kSharedBuffer;
    search.visited_words = filtered ? ceil_div<int64_t>(args.graph.rows, 32) : 0;
    const int64_t decoded = scan.decoded_rows > 0 ? kDecodedAtOnce * scan.decoded_bytes : 0;
    const int64_t bits = filtered ? 4 * (search.visited_words + degree) : 0;
    const int64_t buffer = buffers ? search.room * static_cast<int64_t>(sizeof(KeyId)) : 0;
    search.blocks = static_cast<int32_t>(search_blocks(launch_queries, decoded + bits + buffer));
    if (decoded > 0) {  // in whole tiles, as a scan of decoded rows has them
      const int64_t most = shares ? std::max<int64_t>(search.blocks, m * kSearchSlots) : search.blocks;
      scan.decoded_rows = ceil_div<int64_t>(most * kDecodedAtOnce, kRowTile) * kRowTile;
    }
    prepared = take_prepared(workspace, scan);
    if (filtered) {
      search.visited = workspace.take<uint32_t>(search.blocks * search.visited_words);
      search.excluded = workspace.take<int32_t>(search.blocks * degree);
      allowed = workspace.take<int32_t>((args.filter.shared() ? 1 : launch_queries) * kAllowedParts);
      search.allowed = allowed;
    }
    if (shares || buffers) search.buffers = workspace.take<KeyId>((shares ? m : search.blocks) * search.room);
    if (!shares) return;
    rounds = search_rounds(std::min(args.window, args.expand));
    search.shared = workspace.take<SharedSearch>(m);
    search.tables = workspace.take<uint32_t>(m << search.table_bits);
    search.ahead = workspace.take<KeyId>(m * kSearchSlots * degree);
  }

  void take_rerank(Workspace& workspace, const SearchGraphArgs& args) {
    const int64_t width = args.rerank_k, all = launch_queries * width;
    fine_prepared = take_prepared(workspace, fine);
    search.found = workspace.take<int64_t>(all);
    sortable_keys = workspace.take<uint32_t>(all);
    KeyId* const key_ids = workspace.take<KeyId>(all);
    sorted = workspace.take<KeyId>(all);
    reranked = {search.found, sortable_keys, key_ids, workspace.take<uint32_t>(launch_queries), 0, width};
  }
};

void search_all(const Plan& plan, const SearchGraphArgs& args, BeamSearchArgs search) {
  void* stream = args.exec.stream;
  const ScanArgs scan =
      prepare(plan.scan, plan.prepared, args.queries, args.base, args.metric, search.query_begin, search.m, stream);
  const BeamSearchLaunch to{plan.scan, scan, stream};
  if (plan.allowed != nullptr) {
    const int64_t filters = args.filter.shared() ? 1 : search.m;
    ANNK_LAUNCH(count_allowed, filters * kAllowedParts, kThreads, 0, stream, args.filter, search.query_begin,
                args.graph.rows, plan.allowed);
  }
  if (plan.rounds > 0) {
    search.stage = SearchStage::start;
    cuda::beam_search(to, search, false);
    for (int64_t round = 0; round < plan.rounds; ++round) cuda::beam_search(to, search, true);
    search.stage = SearchStage::finish;
  }
  cuda::beam_search(to, search, false);
}

// The candidates' finer keys, as ops/distances.h makes them, and their order.
void rerank_all(const Plan& plan, const SearchGraphArgs& args, const BeamSearchArgs& search) {
  void* stream = args.exec.stream;
  PairArgs pairs;
  pairs.scan = prepare(plan.fine, plan.fine_prepared, args.rerank_queries, args.rerank, args.metric, search.query_begin,
                       search.m, stream);
  pairs.ids = plan.search.found;
  pairs.width = search.wanted;
  pairs.pairs = search.m * search.wanted;
  pairs.out = plan.sortable_keys;
  pairs.reported = false;
  scan_pairs(plan.fine, pairs, stream);
  Reranked reranked = plan.reranked;
  reranked.rows = search.m;
  ANNK_LAUNCH(join_candidates, ceil_div<int64_t>(pairs.pairs, kThreads), kThreads, 0, stream, reranked);
  const KeyId* sorted =
      sort_rows(WholeKeyIds{}, reranked.key_ids, plan.sorted, reranked.counts, search.m, search.wanted, stream);
  ANNK_LAUNCH(write_reranked, ceil_div<int64_t>(search.m * args.k, kThreads), kThreads, 0, stream, search.out, sorted,
              search.m, args.k, search.wanted);
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
                (NeighborOut{args.distances, args.indices, args.metric}), m * k);
    return;
  }
  Workspace workspace(args.exec);
  const Plan plan(args, workspace);
  workspace.require();
  for (int64_t begin = 0; begin < m; begin += plan.launch_queries) {
    BeamSearchArgs search = plan.search;
    search.query_begin = begin;
    search.m = std::min(m - begin, plan.launch_queries);
    search.out = {static_cast<uint32_t*>(args.distances) + begin * k, args.indices + begin * k, args.metric};
    search_all(plan, args, search);
    if (args.rerank_k > 0) rerank_all(plan, args, search);
  }
}

}  // namespace annk
