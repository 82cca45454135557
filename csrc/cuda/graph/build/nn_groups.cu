// SPDX-License-Identifier: Apache-2.0
#include "cuda/graph/build/nearest_lists.cuh"
#include "cuda/graph/build/nn_groups.h"

namespace annk::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarp;
constexpr int64_t kSharedWidth = 1024;  // wider lists are changed where they lie

__global__ void __launch_bounds__(kThreads) chain_positions(const Groups g) {
  const int64_t p = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (p >= g.positions || g.ids[p] < 0) return;
  g.next[p] = atomicExch(g.heads + g.ids[p], static_cast<uint32_t>(p));
}

// Updates a row's list with all members of its groups, by a warp.
__device__ __forceinline__ void merge_row(const Groups& g, int64_t row, const WarpSlots& list) {
  for (uint32_t at = g.heads[row]; at != kNoLink; at = g.next[at]) {
    const int p = static_cast<int>(at);
    const JoinGroup group = g.join_groups[p];
    const int place = p - group.first;
    for (int first = group.first < 0 ? 0 : group.first; first < group.end; first += kWarp) {
      const int q = first + lane_id();
      const uint32_t* key_bits = nullptr;
      if (q < p && q - group.first < group.count) key_bits = g.sortable_keys + p * g.width + (q - group.first);  // its query
      if (q > p && q < group.end && g.join_groups[q].count > place)
        key_bits = g.sortable_keys + q * g.width + place;  // whose query it is
      list.update<true>(key_bits != nullptr ? key_id_at(*key_bits, TieOrder::place(row, g.ids[q])) : kNoKeyId);
    }
  }
}

// A warp reads 32 positions, and takes the rows whose chains end there. With a bound of 80 registers, ptxas takes 50 to
// 74; without one it takes 40 and spills.
__global__ void __launch_bounds__(kThreads, 6) merge_chains(const Groups g, KeyId* lists, int64_t width) {
  ANNK_DYN_SHARED(KeyId, shared);
  const int lane = lane_id();
  const int64_t p = (static_cast<int64_t>(blockIdx.x) * kWarps + warp_id()) * kWarp + lane;
  const int64_t mine = p < g.positions ? g.ids[p] : -1;
  for (unsigned ends = __ballot_sync(kAllLanes, mine >= 0 && g.next[p] == kNoLink); ends != 0; ends &= ends - 1) {
    const int64_t row = __shfl_sync(kAllLanes, mine, __ffs(static_cast<int>(ends)) - 1);
    KeyId* const row_list = lists + row * width;
    const bool copied = width <= kSharedWidth;
    const WarpSlots list{copied ? shared + warp_id() * width : row_list, static_cast<int>(width)};
    if (copied)
      for (int64_t e = lane; e < width; e += kWarp) list.slots[e] = row_list[e];
    __syncwarp();
    merge_row(g, row, list);
    __syncwarp();
    if (copied)
      for (int64_t e = lane; e < width; e += kWarp) row_list[e] = list.slots[e];
    if (lane == 0) g.heads[row] = kNoLink;
  }
}

}  // namespace

void Groups::take(Workspace& workspace, int64_t rows, int64_t most_positions, int64_t most_width) {
  width = ceil_div<int64_t>(most_width, kJoinQueries) * kJoinQueries;
  ids = workspace.take<int64_t>(most_positions);
  join_groups = workspace.take<JoinGroup>(most_positions);
  sortable_keys = workspace.take<uint32_t>(most_positions * width);
  next = workspace.take<uint32_t>(most_positions);
  heads = workspace.take<uint32_t>(rows);
}

void link_positions(const Groups& g, void* stream) {
  ANNK_LAUNCH(chain_positions, ceil_div<int64_t>(g.positions, kThreads), kThreads, 0, stream, g);
}

void merge_updates(const Groups& g, KeyId* lists, int64_t list_width, void* stream) {
  const size_t shared = list_width <= kSharedWidth ? static_cast<size_t>(kWarps * list_width) * sizeof(KeyId) : 0;
  ANNK_LAUNCH(merge_chains, ceil_div<int64_t>(g.positions, kThreads), kThreads, shared, stream, g, lists, list_width);
}

}  // namespace annk::cuda
