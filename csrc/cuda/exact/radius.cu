// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "cuda/device/emit.cuh"
#include "cuda/distance/prepare.h"
#include "ops/radius.h"

namespace annk {
namespace {

using namespace cuda;

constexpr int kThreads = 256, kWarps = kThreads / kWarp;

// Keys in order below this are within the radius: distances up to it, similarities from it on.
uint32_t limit_of(Metric metric, float radius) {
  const float bound = is_similarity(metric) ? -radius : radius;
  return bound == bound ? sortable_bits(bound) + 1 : 0;
}

template <class T>
__device__ __forceinline__ T warp_inclusive(T value) {
  for (int step = 1; step < kWarp; step *= 2) {
    const T left = __shfl_up_sync(kAllLanes, value, step);
    if (lane_id() >= step) value += left;
  }
  return value;
}
template <class T>
__device__ __forceinline__ T block_inclusive(T value, T& total) {
  ANNK_SHARED(T, sums, [kWarps]);
  value = warp_inclusive(value);
  __syncthreads();  // the sums of an earlier call have been read
  if (lane_id() == kWarp - 1) sums[warp_id()] = value;
  __syncthreads();
  total = 0;
  for (int w = 0; w < kWarps; ++w) {
    if (w < warp_id()) value += sums[w];
    total += sums[w];
  }
  return value;
}

// lims[1 .. m] from counts to ends. One block: m is small against the scan that came before.
__global__ void __launch_bounds__(kThreads) accumulate(int64_t* lims, int64_t m) {
  int64_t carried = 0;
  for (int64_t first = 0; first < m; first += kThreads) {
    const int64_t at = first + threadIdx.x + 1;
    int64_t total;
    const int64_t upto = block_inclusive<int64_t>(at <= m ? lims[at] : 0, total);
    if (at <= m) lims[at] = carried + upto;
    carried += total;
  }
}

// Hits of a chunk of base rows: counted by shares of the chunk, then written behind those of the shares before.
struct FillArgs {
  const uint32_t* keys;
  int64_t pitch, chunk, first_row, query_begin;
  Filter filter;
  uint32_t limit;
  int32_t shares;
  const int64_t* from;  // where the chunk's hits of a query begin
  int64_t* next;        // and those of the next chunk
  uint32_t* counts;     // (queries, shares)
  NeighborOut out;
};

// Bit j: row first + j of the four is a hit.
__device__ __forceinline__ unsigned hits_of(const FillArgs& a, int64_t query, int64_t i, int64_t end,
                                            uint32_t (&sortable_keys)[4]) {
  unsigned hits = 0;
  if (i >= end) return hits;
  const uint4 four = *reinterpret_cast<const uint4*>(a.keys + query * a.pitch + i);
  sortable_keys[0] = four.x;
  sortable_keys[1] = four.y;
  sortable_keys[2] = four.z;
  sortable_keys[3] = four.w;
#pragma unroll
  for (int j = 0; j < 4; ++j)
    if (i + j < end && sortable_keys[j] < a.limit && a.filter.is_allowed(a.query_begin + query, a.first_row + i + j))
      hits |= 1u << j;
  return hits;
}

struct Share {
  int64_t query, begin, end;
  int share;
  __device__ __forceinline__ explicit Share(const FillArgs& a) {
    query = blockIdx.x / a.shares;
    share = static_cast<int>(blockIdx.x % a.shares);
    const int64_t each = ceil_div<int64_t>(a.chunk, static_cast<int64_t>(a.shares) * 4) * 4;
    begin = share * each;
    end = begin + each < a.chunk ? begin + each : a.chunk;
  }
};

__global__ void __launch_bounds__(kThreads) count_hits(const FillArgs a) {
  const Share s(a);
  uint32_t sortable_keys[4], count = 0, total;
  for (int64_t i = s.begin + 4 * static_cast<int64_t>(threadIdx.x); i < s.end; i += 4 * kThreads)
    count += __popc(hits_of(a, s.query, i, s.end, sortable_keys));
  block_inclusive(count, total);
  if (threadIdx.x == 0) a.counts[s.query * a.shares + s.share] = total;
}

__global__ void __launch_bounds__(kThreads) write_hits(const FillArgs a) {
  const Share s(a);
  const uint32_t* counts = a.counts + s.query * a.shares;
  int64_t to = a.from[s.query], all = to;
  for (int i = 0; i < a.shares; ++i) {
    if (i < s.share) to += counts[i];
    all += counts[i];
  }
  if (s.share == 0 && threadIdx.x == 0) a.next[s.query] = all;
  for (int64_t first = s.begin; first < s.end; first += 4 * kThreads) {
    const int64_t i = first + 4 * static_cast<int64_t>(threadIdx.x);
    uint32_t sortable_keys[4], total;
    const unsigned hits = hits_of(a, s.query, i, s.end, sortable_keys);
    const uint32_t count = __popc(hits);
    int64_t at = to + block_inclusive(count, total) - count;
#pragma unroll
    for (int j = 0; j < 4; ++j)
      if (hits >> j & 1u) a.out.neighbor(at++, sortable_keys[j], a.first_row + i + j);
    to += total;
  }
}

struct CountPlan {
  ScanPlan scan;
  Prepared prepared;
  CountPlan(const RadiusArgs& args, Workspace& workspace)
      : scan(plan_scan(args.queries, args.base, args.metric, kQueriesPerLaunch)), prepared(take_prepared(workspace, scan)) {}
};

struct FillPlan {
  KeyChunk chunk;
  ScanPlan scan;
  Prepared prepared;
  uint32_t* keys;
  uint32_t* counts;
  int64_t* begins[2];
  int32_t shares;
  FillPlan(const RadiusArgs& args, Workspace& workspace)
      : chunk(plan_chunk(args.queries, args.base, args.metric, 0)),
        scan(plan_scan(args.queries, args.base, args.metric, chunk.queries)),
        prepared(take_prepared(workspace, scan)),
        keys(workspace.take<uint32_t>(chunk.rows * chunk.queries)),
        shares(shares_for(chunk.queries, chunk.rows)) {
    counts = workspace.take<uint32_t>(chunk.queries * shares);
    for (int64_t*& begin : begins) begin = workspace.take<int64_t>(chunk.queries);
  }
};

bool nothing(const RadiusArgs& args) { return args.queries.rows == 0 || args.base.rows == 0; }

template <class Plan>
int64_t bytes_of(const RadiusArgs& args) {
  if (nothing(args)) return 0;
  Workspace workspace;
  Plan(args, workspace);
  return workspace.bytes();
}

}  // namespace

int64_t radius_count_workspace(const RadiusArgs& args) { return bytes_of<CountPlan>(args); }
int64_t radius_fill_workspace(const RadiusArgs& args) { return bytes_of<FillPlan>(args); }

void radius_count(const RadiusArgs& args) {
  const int64_t m = args.queries.rows;
  void* stream = args.exec.stream;
  const size_t bytes = static_cast<size_t>(m + 1) * sizeof(int64_t);
  require_success(cudaMemsetAsync(args.lims, 0, bytes, static_cast<cudaStream_t>(stream)), "clearing lims");
  if (nothing(args)) return;
  Workspace workspace(args.exec);
  const CountPlan plan(args, workspace);
  workspace.require();
  for (int64_t begin = 0; begin < m; begin += plan.scan.launch_queries) {
    const int64_t queries = std::min(m - begin, plan.scan.launch_queries);
    const ScanArgs scan_args =
        prepare(plan.scan, plan.prepared, args.queries, args.base, args.metric, begin, queries, stream);
    const Count count{args.filter, reinterpret_cast<unsigned long long*>(args.lims + 1 + begin),
                      limit_of(args.metric, args.radius)};
    scan(plan.scan, scan_args, count, stream);
  }
  ANNK_LAUNCH(accumulate, 1, kThreads, 0, stream, args.lims, m);
}

void radius_fill(const RadiusArgs& args) {
  if (nothing(args)) return;
  Workspace workspace(args.exec);
  const FillPlan plan(args, workspace);
  workspace.require();
  const int64_t m = args.queries.rows, n = args.base.rows;
  void* stream = args.exec.stream;
  for (int64_t begin = 0; begin < m; begin += plan.chunk.queries) {
    const int64_t queries = std::min(m - begin, plan.chunk.queries);
    ScanArgs scan_args = prepare(plan.scan, plan.prepared, args.queries, args.base, args.metric, begin, queries, stream);
    const Write keys{plan.keys, plan.chunk.rows, Write::kSortable};
    FillArgs fill{plan.keys,
                  plan.chunk.rows,
                  0,
                  0,
                  begin,
                  args.filter,
                  limit_of(args.metric, args.radius),
                  plan.shares,
                  args.lims + begin,
                  plan.begins[0],
                  plan.counts,
                  {args.distances, args.indices, args.metric}};
    for (int64_t row = 0; row < n; row += plan.chunk.rows) {
      scan_args.row_begin = row;
      scan_args.row_end = std::min(n, row + plan.chunk.rows);
      scan_args.splits = splits_of(plan.scan, scan_args.query_tiles, scan_args.row_end - row);
      scan(plan.scan, scan_args, keys, stream);
      fill.first_row = row;
      fill.chunk = scan_args.row_end - row;
      ANNK_LAUNCH(count_hits, (queries * plan.shares), kThreads, 0, stream, fill);
      ANNK_LAUNCH(write_hits, (queries * plan.shares), kThreads, 0, stream, fill);
      fill.from = fill.next;
      fill.next = fill.next == plan.begins[0] ? plan.begins[1] : plan.begins[0];
    }
  }
}

}  // namespace annk
