// SPDX-License-Identifier: Apache-2.0
// Lists of near rows by descent. All keys of a batch of groups are made first, then each row takes what its groups offer it:
// rows are found by chains through the batch, linked by atomics, and the lists do not show in which order
// (nearest_lists.cuh).
#include <algorithm>

#include "cuda/graph/build/nearest_lists.cuh"
#include "cuda/graph/build/nn_leaves.h"
#include "ops/nn_descent.h"

namespace annk {
namespace {

using namespace cuda;

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarp;

void fill(void* from, int byte, int64_t bytes, void* stream) {
  if (bytes == 0) return;
  require_success(cudaMemsetAsync(from, byte, static_cast<size_t>(bytes), static_cast<cudaStream_t>(stream)),
                  "clearing the workspace");
}

KeyId* key_ids(const NnDescentArgs& args) { return reinterpret_cast<KeyId*>(args.lists); }

// ---- nn_descent_start

// Positions [first - kLeafRows, first + count) of the order: those before `first` are queries alone.
__global__ void __launch_bounds__(kThreads) name_members(const Leaves leaves, int64_t first, const Groups g) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x, at = first - kLeafRows + i;
  if (i >= g.positions) return;
  g.ids[i] = at >= 0 ? leaves.order[at] : -1;
  JoinGroup group{};
  if (at >= 0) {
    const Span leaf = leaves.of[at];
    const int32_t shift = static_cast<int32_t>(first - kLeafRows), end = leaf.end - shift;
    group.first = group.slot = leaf.first - shift;
    group.end = end < g.positions ? end : static_cast<int32_t>(g.positions);
    group.count = at >= first ? static_cast<int32_t>(at) - leaf.first : 0;
  }
  g.join_groups[i] = group;
}

struct StartPlan {
  RowQueries queries;
  Leaves leaves;
  Groups groups;
  Sizes sizes;
  int64_t* firsts;

  StartPlan(const NnDescentArgs& args, Workspace& workspace) : queries(args.base, args.metric) {
    const int64_t each = Groups::bytes(kLeafRows) + queries.position_bytes() + queries.query_bytes();
    sizes.positions = std::min<int64_t>(std::max<int64_t>(args.batch_bytes / each, kLeafRows), args.count);
    sizes.spans = std::max<int64_t>(1, sizes.positions / kMostSets);
    const int64_t window = sizes.positions + kLeafRows;
    leaves.take(workspace, args.order, args.count);
    groups.take(workspace, args.base.rows, window, kLeafRows);
    firsts = workspace.take<int64_t>(sizes.spans * kMostSets);
    queries.take(workspace, std::max<int64_t>(window, sizes.spans * kMostSets), window);
  }
};

// ---- nn_descent_round

// What each row takes of its list.
struct Samples {
  int32_t* ids;             // (n, new or other, sample), -1 behind the last
  uint32_t* sortable_keys;  // of the same
  uint32_t* next;           // takers of the same row, of the same age
  uint32_t* heads;          // (n, new or other)
  int sample;

  static int64_t slots(const NnDescentArgs& args) { return args.base.rows * 2 * args.sample; }
  void take(Workspace& workspace, const NnDescentArgs& args) {
    sample = static_cast<int>(args.sample);
    ids = workspace.take<int32_t>(slots(args));
    sortable_keys = workspace.take<uint32_t>(slots(args));
    next = workspace.take<uint32_t>(slots(args));
    heads = workspace.take<uint32_t>(args.base.rows * 2);
  }
};

// A warp a row: the first of its list that were not taken yet, and the first that were.
__global__ void __launch_bounds__(kThreads) take_samples(const Samples s, KeyId* lists, int64_t rows, int64_t width) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kWarps + warp_id();
  if (row >= rows) return;
  const int lane = lane_id();
  int counts[2] = {0, 0};
  for (int64_t first = 0; first < width; first += kWarp) {
    const KeyId key_id = first + lane < width ? lists[row * width + first + lane] : kNoKeyId;
    const bool there = key_id != kNoKeyId;
    for (int age = 0; age < 2; ++age) {
      const bool mine = there && static_cast<int>(key_id & 1u) == age;
      const unsigned lanes = __ballot_sync(kAllLanes, mine);
      const int rank = counts[age] + __popc(lanes & ((1u << lane) - 1u));
      counts[age] += __popc(lanes);
      if (!mine || rank >= s.sample) continue;
      const int64_t id = listed(row, key_id), slot = (2 * row + age) * s.sample + rank;
      s.ids[slot] = static_cast<int32_t>(id);
      s.sortable_keys[slot] = key_bits_of(key_id);
      s.next[slot] = atomicExch(s.heads + 2 * id + age, static_cast<uint32_t>(slot));
      lists[row * width + first + lane] = key_id | 1u;
    }
    if (__all_sync(kAllLanes, !there || (counts[0] >= s.sample && counts[1] >= s.sample))) break;
  }
  for (int age = 0; age < 2; ++age)
    for (int i = counts[age] + lane; i < s.sample; i += kWarp) s.ids[(2 * row + age) * s.sample + i] = -1;
}

// Members of the group that a warp gathers.
struct Gathering {
  int32_t* ids;  // in shared memory, as is `near`
  WarpSlots near;
  int count = 0;

  __device__ __forceinline__ void add_new(int32_t id) {
    bool present = false;
    for (int i = lane_id(); i < count; i += kWarp) present = present || ids[i] == id;
    if (__any_sync(kAllLanes, present)) return;
    if (lane_id() == 0) ids[count] = id;
    ++count;
    __syncwarp();
  }
  // What the row takes, and the nearest of those that take it, ties by how far they follow it.
  __device__ __forceinline__ void add(const Samples& s, int64_t row, int age) {
    const int32_t* const sampled = s.ids + (2 * row + age) * s.sample;
    for (int i = 0; i < s.sample && sampled[i] >= 0; ++i) add_new(sampled[i]);
    for (int i = lane_id(); i < s.sample; i += kWarp) near.slots[i] = kNoKeyId;
    __syncwarp();
    for (uint32_t slot = s.heads[2 * row + age]; slot != kNoLink; slot = s.next[slot]) {
      const KeyId key_id = key_id_at(s.sortable_keys[slot], TieOrder::place(row, slot / (2 * s.sample)));
      if (key_id < near.last()) near.insert<false>(key_id);
    }
    for (int i = 0; i < s.sample && near.slots[i] != kNoKeyId; ++i) add_new(listed(row, near.slots[i]));
    __syncwarp();
  }
};

// A warp a group of 4 `sample` positions, of which the first half may be queries.
struct Batch {
  const int32_t* order;  // whose groups these are
  int64_t groups;
  int64_t* queries;
};
// Without a number of blocks, ptxas takes 32 registers for sm_80, and spills.
__global__ void __launch_bounds__(kThreads, 8) gather_groups(const Samples s, const Batch batch, const Groups g) {
  ANNK_DYN_SHARED(KeyId, shared);
  const int lane = lane_id(), positions = 4 * s.sample, most = 2 * s.sample;
  const int64_t group = static_cast<int64_t>(blockIdx.x) * kWarps + warp_id();
  if (group >= batch.groups) return;
  int32_t* const members = reinterpret_cast<int32_t*>(shared + kWarps * s.sample) + warp_id() * positions;
  Gathering gathered{members, {shared + warp_id() * s.sample, s.sample}};
  const int64_t row = batch.order[group];
  gathered.add(s, row, 0);
  const int fresh = gathered.count;
  if (fresh > 0) gathered.add(s, row, 1);
  const int32_t first = static_cast<int32_t>(group * positions), slot = static_cast<int32_t>(group * most);
  for (int i = lane; i < positions; i += kWarp) {
    const bool there = i < gathered.count;
    g.ids[first + i] = there ? members[i] : -1;
    g.join_groups[first + i] = {first, first + gathered.count, slot, there ? (i < fresh ? i : fresh) : 0};
    if (i < most) batch.queries[slot + i] = i < fresh ? members[i] : -1;
  }
}

__global__ void __launch_bounds__(kThreads) count_new(const KeyId* lists, int64_t all, unsigned long long* still_new) {
  int count = 0;
  for (int64_t at = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; at < all;
       at += static_cast<int64_t>(gridDim.x) * kThreads)
    count += (lists[at] & 1u) == 0 ? 1 : 0;
  count = warp_sum(count);
  if (lane_id() == 0 && count > 0) atomicAdd(still_new, static_cast<unsigned long long>(count));
}

struct RoundPlan {
  RowQueries queries;
  Samples samples;
  Groups groups;
  int64_t groups_at_a_time;
  int64_t* query_ids;

  RoundPlan(const NnDescentArgs& args, Workspace& workspace) : queries(args.base, args.metric) {
    const int64_t positions = 4 * args.sample, most = 2 * args.sample;
    const int64_t each = positions * (Groups::bytes(most) + queries.position_bytes()) + most * (queries.query_bytes() + 8);
    groups_at_a_time = std::clamp<int64_t>(args.batch_bytes / each, 1, args.count);
    samples.take(workspace, args);
    groups.take(workspace, args.base.rows, groups_at_a_time * positions, most);
    query_ids = workspace.take<int64_t>(groups_at_a_time * most);
    queries.take(workspace, groups_at_a_time * most, groups_at_a_time * positions);
  }
};

void round_of(const NnDescentArgs& args, RoundPlan& plan) {
  void* stream = args.exec.stream;
  const int64_t n = args.base.rows, sample = args.sample;
  Samples& s = plan.samples;
  fill(s.heads, 0xff, 2 * n * 4, stream);
  fill(plan.groups.heads, 0xff, n * 4, stream);
  ANNK_LAUNCH(take_samples, ceil_div<int64_t>(n, kWarps), kThreads, 0, stream, s, key_ids(args), n, args.width);
  for (int64_t begin = 0; begin < args.count; begin += plan.groups_at_a_time) {
    const int64_t here = std::min(plan.groups_at_a_time, args.count - begin);
    plan.groups.positions = 4 * sample * here;
    const size_t shared = static_cast<size_t>(kWarps * sample) * (sizeof(KeyId) + 4 * sizeof(int32_t));
    ANNK_LAUNCH(gather_groups, ceil_div<int64_t>(here, kWarps), kThreads, shared, stream, s,
                (Batch{args.order + begin, here, plan.query_ids}), plan.groups);
    link_positions(plan.groups, stream);
    plan.queries.prepare(plan.query_ids, 2 * sample * here, stream);
    plan.queries.join(plan.groups.keys(), stream);
    merge_updates(plan.groups, key_ids(args), args.width, stream);
  }
}

}  // namespace

int64_t nn_descent_start_workspace(const NnDescentArgs& args) {
  if (args.count == 0) return 0;
  Workspace workspace;
  StartPlan(args, workspace);
  return workspace.bytes();
}

void nn_descent_start(const NnDescentArgs& args) {
  void* stream = args.exec.stream;
  const int64_t n = args.base.rows;
  if (args.empties) fill(args.lists, 0xff, n * args.width * 8, stream);
  if (args.count == 0) return;
  Workspace workspace(args.exec);
  StartPlan plan(args, workspace);
  workspace.require();
  fill(plan.groups.heads, 0xff, n * 4, stream);
  cut_leaves(plan.leaves, plan.queries, plan.groups, plan.firsts, plan.sizes, stream);
  for (int64_t first = 0; first < args.count; first += plan.sizes.positions) {
    plan.groups.positions = kLeafRows + std::min(plan.sizes.positions, args.count - first);
    ANNK_LAUNCH(name_members, ceil_div<int64_t>(plan.groups.positions, kThreads), kThreads, 0, stream, plan.leaves, first,
                plan.groups);
    link_positions(plan.groups, stream);
    plan.queries.prepare(plan.groups.ids, plan.groups.positions, stream);
    plan.queries.join(plan.groups.keys(), stream);
    merge_updates(plan.groups, key_ids(args), args.width, stream);
  }
}

int64_t nn_descent_round_workspace(const NnDescentArgs& args) {
  if (args.count == 0) return 0;
  Workspace workspace;
  RoundPlan(args, workspace);
  return workspace.bytes();
}

void nn_descent_round(const NnDescentArgs& args) {
  void* stream = args.exec.stream;
  fill(args.still_new, 0, 8, stream);
  if (args.count == 0) return;
  check(Samples::slots(args) < int64_t{kNoLink}, "nn_descent: expected fewer than ", int64_t{kNoLink} / (2 * args.sample),
        " rows on a device, got ", args.base.rows);
  Workspace workspace(args.exec);
  RoundPlan plan(args, workspace);
  workspace.require();
  round_of(args, plan);
  const int64_t all = args.base.rows * args.width;
  ANNK_LAUNCH(count_new, std::min<int64_t>(8 * kTargetBlocks, ceil_div<int64_t>(all, kThreads)), kThreads, 0, stream,
              key_ids(args), all, reinterpret_cast<unsigned long long*>(args.still_new));
}

}  // namespace annk
