// SPDX-License-Identifier: Apache-2.0
#include "cuda/device/device.cuh"
#include "cuda/device/emit.cuh"
#include "cuda/device/workspace.h"
#include "cuda/exact/knn_blocks.h"

namespace annk::cuda {
namespace {

constexpr int kThreads = 128;

// Results (m, k), as they are reported.
struct Results {
  void* distances;
  int64_t* ids;
};

struct MergeArgs {
  Results kept, found, merged;
  bool first;  // nothing is kept yet
  int64_t k, first_id;
  Metric metric;
};

// The key of what stands at a place, to be compared; kNoKey where nothing does. A reported distance gives its key back.
__device__ __forceinline__ uint32_t key_bits_at(const MergeArgs& a, const Results& results, int64_t at) {
  if (results.ids[at] < 0) return kNoKey;
  if (is_int_metric(a.metric)) return sortable_bits(static_cast<float>(static_cast<const int32_t*>(results.distances)[at]));
  const float distance = static_cast<const float*>(results.distances)[at];
  return sortable_bits(is_similarity(a.metric) ? -distance : distance);
}

// How many of the k results from `from` on are nearer than `key_bits`; with `equal`, or as near.
__device__ int64_t count_below(const MergeArgs& a, const Results& results, int64_t from, uint32_t key_bits, bool equal) {
  int64_t low = 0, high = a.k;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    const uint32_t there = key_bits_at(a, results, from + middle);
    if (there < key_bits || (equal && there == key_bits))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

// A block merges one query's lists. Ids of the block are larger than all that are kept, so kept ones win ties.
__global__ void __launch_bounds__(kThreads) merge_block(const MergeArgs a) {
  const int64_t from = static_cast<int64_t>(blockIdx.x) * a.k;
  const NeighborOut out{a.merged.distances, a.merged.ids, a.metric};
  for (int64_t i = threadIdx.x; i < a.k; i += kThreads) {
    const uint32_t found = key_bits_at(a, a.found, from + i);
    const int64_t before = a.first ? 0 : count_below(a, a.kept, from, found, true);
    if (i + before < a.k) out.neighbor(from + i + before, found, a.found.ids[from + i] + a.first_id);
    if (a.first) continue;
    const uint32_t kept = key_bits_at(a, a.kept, from + i);
    const int64_t place = i + count_below(a, a.found, from, kept, false);
    if (place < a.k) out.neighbor(from + place, kept, a.kept.ids[from + i]);
  }
  __syncthreads();
  for (int64_t i = from + threadIdx.x; i < from + a.k; i += kThreads) {
    static_cast<uint32_t*>(a.kept.distances)[i] = static_cast<const uint32_t*>(a.merged.distances)[i];
    a.kept.ids[i] = a.merged.ids[i];
  }
}

struct Plan {
  Results found, merged;
  KnnArgs block;  // of a search of the block alone

  Plan(const KnnArgs& args, Workspace& workspace)
      : found(take(args, workspace)), merged(take(args, workspace)), block(args) {
    block.carry = nullptr;
    block.distances = found.distances;
    block.indices = found.ids;
    block.exec.workspace_bytes = knn_workspace(block);
    block.exec.workspace = workspace.take<unsigned char>(block.exec.workspace_bytes);
  }
  static Results take(const KnnArgs& args, Workspace& workspace) {
    const int64_t count = args.queries.rows * args.k;
    return {workspace.take<uint32_t>(count), workspace.take<int64_t>(count)};
  }
};

// Devices keep nothing but the outputs: what the carry holds says that they are there.
KnnCarry kept_in_outputs{[](KnnCarry*) {}};

}  // namespace

int64_t knn_block_workspace(const KnnArgs& args) {
  Workspace workspace;
  Plan(args, workspace);
  return workspace.bytes();
}

void knn_block(const KnnArgs& args) {
  Workspace workspace(args.exec);
  const Plan plan(args, workspace);
  workspace.require();
  const bool first = *args.carry == nullptr;
  if (args.base.rows == 0 && !first) return;
  knn(plan.block);
  const MergeArgs merge{{args.distances, args.indices}, plan.found, plan.merged, first, args.k, args.first_id, args.metric};
  ANNK_LAUNCH(merge_block, args.queries.rows, kThreads, 0, args.exec.stream, merge);
  *args.carry = &kept_in_outputs;
}

}  // namespace annk::cuda
