// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "cuda/graph/build/nearest_lists.cuh"
#include "cuda/graph/build/nn_leaves.h"

namespace annk::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;

__global__ void __launch_bounds__(kThreads) open_whole(const Leaves leaves) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const Span all{0, static_cast<int32_t>(leaves.count)};
  const bool open = leaves.count > kLeafRows;
  if (at < leaves.count) {
    leaves.span_of[at] = open ? 0 : -1;
    if (!open) leaves.of[at] = all;
  }
  if (at == 0 && open) {
    leaves.even[0] = all;
    leaves.opened[0] = 1;
  }
}

// Some spans of a level, and some positions.
struct Part {
  int64_t level, first_span, spans, first, positions;
};

// The first rows of each span, which its rows are compared with.
__global__ void __launch_bounds__(kThreads) name_firsts(const Leaves leaves, const Part part, int64_t* ids) {
  const int64_t slot = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (slot >= part.spans * kMostSets) return;
  const int64_t s = part.first_span + slot / kMostSets, i = slot % kMostSets;
  int64_t id = -1;
  if (s < leaves.opened[part.level]) {
    const Span span = leaves.open(part.level)[s];
    if (i < span.sets()) id = leaves.order[span.first + i];
  }
  ids[slot] = id;
}

__global__ void __launch_bounds__(kThreads) name_rows(const Leaves leaves, const Part part, const Groups g) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= part.positions) return;
  const int64_t s = leaves.span_of[part.first + i] - part.first_span;
  const bool here = s >= 0 && s < part.spans && leaves.span_of[part.first + i] >= 0;
  const int32_t place = static_cast<int32_t>(i);
  g.ids[i] = here ? leaves.order[part.first + i] : -1;
  g.join_groups[i] = {place, place + 1, here ? static_cast<int32_t>(s * kMostSets) : 0,
                      here ? leaves.open(part.level)[part.first_span + s].sets() : 0};
}

// Of equally near ones the first.
__global__ void __launch_bounds__(kThreads) choose_nearest(const Leaves leaves, const Part part, const Groups g) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= part.positions) return;
  const int count = g.join_groups[i].count;
  if (count == 0) return;
  const uint32_t* const sortable_keys = g.sortable_keys + i * g.width;
  int best = 0;
  for (int k = 1; k < count; ++k) best = sortable_keys[k] < sortable_keys[best] ? k : best;
  leaves.nearest[part.first + i] = static_cast<uint8_t>(best);
}

// One span that a block cuts.
struct Cut {
  int32_t counts[kMostSets];  // then where the next row of the set goes
  int32_t of_warp[kWarps][kMostSets];
  Span sets[kMostSets];
  int32_t most[kMostSets];  // rows of a leaf, where the set is cut by number
  int32_t open[kMostSets];  // among the spans of the next level, or -1
};

// The lanes whose rows go to set `lane % kMostSets`, and which of them come before this lane in its own set.
__device__ __forceinline__ unsigned lanes_of_set(int set, int* rank) {
  unsigned of_mine = 0;
  for (int s = 0; s < kMostSets; ++s) {
    const unsigned lanes = __ballot_sync(kAllLanes, set == s);
    if (s == lane_id() % kMostSets) of_mine = lanes;
    if (s == set) *rank = __popc(lanes & ((1u << lane_id()) - 1u));
  }
  return of_mine;
}

__device__ __forceinline__ void count_sets(const Leaves& leaves, const Span& span, Cut& cut) {
  if (threadIdx.x < kMostSets) cut.counts[threadIdx.x] = 0;
  __syncthreads();
  int sum = 0, rank = 0;
  for (int64_t first = span.first + warp_id() * kWarp; first < span.end; first += kThreads) {
    const int64_t at = first + lane_id();
    sum += __popc(lanes_of_set(at < span.end ? leaves.nearest[at] : -1, &rank));
  }
  if (lane_id() < kMostSets) atomicAdd(&cut.counts[lane_id()], sum);
  __syncthreads();
}

// Where the sets lie, and which of them are to be cut again: by number, what nearly all rows are nearest to. Which number
// an open span gets does not show: it only says where its keys are made.
__device__ __forceinline__ void place_sets(const Leaves& leaves, const Span& span, int64_t level, Cut& cut) {
  if (threadIdx.x < kMostSets) {
    const int s = static_cast<int>(threadIdx.x);
    int32_t first = span.first;
    for (int t = 0; t < s; ++t) first += cut.counts[t];
    const Span rows{first, first + cut.counts[s]};
    const bool by_number = rows.size() > span.size() / 16 * 15;
    cut.sets[s] = rows;
    cut.most[s] = by_number ? static_cast<int32_t>(kLeafRows) : rows.size();
    cut.open[s] = -1;
    if (cut.most[s] > kLeafRows) {
      cut.open[s] = atomicAdd(leaves.opened + level + 1, 1);
      leaves.open(level + 1)[cut.open[s]] = rows;
    }
  }
  __syncthreads();
  if (threadIdx.x < kMostSets) cut.counts[threadIdx.x] = cut.sets[threadIdx.x].first;
}

// Rows of a set keep their order.
__device__ __forceinline__ void deal(const Leaves& leaves, const Span& span, Cut& cut) {
  for (int64_t first = span.first; first < span.end; first += kThreads) {
    const int64_t at = first + threadIdx.x;
    const int set = at < span.end ? leaves.nearest[at] : -1;
    int rank = 0;
    const unsigned lanes = lanes_of_set(set, &rank);
    if (lane_id() < kMostSets) cut.of_warp[warp_id()][lane_id()] = __popc(lanes);
    __syncthreads();
    if (set >= 0) {
      int32_t to = cut.counts[set] + rank;
      for (int w = 0; w < warp_id(); ++w) to += cut.of_warp[w][set];
      const Span rows = cut.sets[set];
      leaves.sorted[to] = leaves.order[at];
      leaves.span_of[to] = cut.open[set];
      if (cut.open[set] < 0) {
        const int32_t leaf = rows.first + (to - rows.first) / cut.most[set] * cut.most[set];
        leaves.of[to] = {leaf, leaf + cut.most[set] < rows.end ? leaf + cut.most[set] : rows.end};
      }
    }
    __syncthreads();
    if (threadIdx.x < kMostSets)
      for (int w = 0; w < kWarps; ++w) cut.counts[threadIdx.x] += cut.of_warp[w][threadIdx.x];
    __syncthreads();
  }
}

__global__ void __launch_bounds__(kThreads) cut_spans(const Leaves leaves, int64_t level) {
  ANNK_SHARED(Cut, cut, [1]);
  for (int64_t s = blockIdx.x; s < leaves.opened[level]; s += gridDim.x) {
    const Span span = leaves.open(level)[s];
    count_sets(leaves, span, cut[0]);
    place_sets(leaves, span, level, cut[0]);
    deal(leaves, span, cut[0]);
    for (int64_t at = span.first + static_cast<int64_t>(threadIdx.x); at < span.end; at += kThreads)
      leaves.order[at] = leaves.sorted[at];
  }
}

}  // namespace

void Leaves::take(Workspace& workspace, int32_t* rows, int64_t rows_count) {
  order = rows;
  count = rows_count;
  sorted = workspace.take<int32_t>(count);
  nearest = workspace.take<uint8_t>(count);
  span_of = workspace.take<int32_t>(count);
  of = workspace.take<Span>(count);
  even = workspace.take<Span>(count / (kLeafRows + 1));
  odd = workspace.take<Span>(count / (kLeafRows + 1));
  opened = workspace.take<int32_t>(levels(count) + 1);
}

void cut_leaves(const Leaves& leaves, const RowQueries& queries, Groups g, int64_t* ids, Sizes at_a_time, void* stream) {
  const int64_t count = leaves.count, levels = Leaves::levels(count);
  require_success(cudaMemsetAsync(leaves.opened, 0, static_cast<size_t>(levels + 1) * sizeof(int32_t),
                                  static_cast<cudaStream_t>(stream)),
                  "clearing the workspace");
  ANNK_LAUNCH(open_whole, ceil_div<int64_t>(count, kThreads), kThreads, 0, stream, leaves);
  g.width = kMostSets;
  for (int64_t level = 0; level < levels; ++level) {
    const int64_t open = Leaves::most_open(count, level);
    for (int64_t s = 0; s < open; s += at_a_time.spans) {
      Part part{level, s, std::min(at_a_time.spans, open - s), 0, 0};
      ANNK_LAUNCH(name_firsts, ceil_div<int64_t>(part.spans * kMostSets, kThreads), kThreads, 0, stream, leaves, part, ids);
      queries.prepare(ids, part.spans * kMostSets, stream);
      for (; part.first < count; part.first += at_a_time.positions) {
        g.positions = part.positions = std::min(at_a_time.positions, count - part.first);
        const int64_t blocks = ceil_div<int64_t>(part.positions, kThreads);
        ANNK_LAUNCH(name_rows, blocks, kThreads, 0, stream, leaves, part, g);
        queries.join(g.keys(), stream);
        ANNK_LAUNCH(choose_nearest, blocks, kThreads, 0, stream, leaves, part, g);
      }
    }
    ANNK_LAUNCH(cut_spans, std::min<int64_t>(open, 2 * kTargetBlocks), kThreads, 0, stream, leaves, level);
  }
}

}  // namespace annk::cuda
