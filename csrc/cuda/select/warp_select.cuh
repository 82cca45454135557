// SPDX-License-Identifier: Apache-2.0
// The k best candidates of one query, ascending, held by a warp: entry i is register i / 32 of lane i % 32. One register
// holds up to 32 entries, two hold 33 to 64.
#pragma once
#include "cuda/device/key_id.cuh"

namespace annk::cuda {

template <class Less>
__device__ __forceinline__ KeyId lesser(KeyId a, KeyId b, Less less) {
  return less(b, a) ? b : a;
}
template <class Less>
__device__ __forceinline__ KeyId greater(KeyId a, KeyId b, Less less) {
  return less(b, a) ? a : b;
}

// One step of a bitonic network over the lanes: lanes i and i ^ distance exchange, and the lane keeps the lesser or the
// greater one.
template <class Less>
__device__ __forceinline__ KeyId exchange(KeyId mine, int distance, bool keep_lesser, Less less) {
  const KeyId theirs = __shfl_xor_sync(kAllLanes, mine, distance);
  return less(theirs, mine) == keep_lesser ? theirs : mine;
}

// Sorts 32 entries ascending over the lanes. 15 exchanges.
template <class Less>
__device__ __forceinline__ KeyId sort_lanes(KeyId mine, Less less) {
  const int lane = lane_id();
#pragma unroll 1
  for (int run = 2; run <= kWarp; run *= 2) {
#pragma unroll 1
    for (int distance = run / 2; distance > 0; distance /= 2)
      mine = exchange(mine, distance, ((lane & run) == 0) == ((lane & distance) == 0), less);
  }
  return mine;
}

// Sorts 32 entries that rise and then fall (or any rotation of such). 5 exchanges.
template <class Less>
__device__ __forceinline__ KeyId sort_bitonic_lanes(KeyId mine, Less less) {
  const int lane = lane_id();
#pragma unroll 1
  for (int distance = kWarp / 2; distance > 0; distance /= 2) mine = exchange(mine, distance, (lane & distance) == 0, less);
  return mine;
}

template <int kRegisters, class Less = ByPosition>
struct WarpSelect {
  static_assert(kRegisters == 1 || kRegisters == 2);
  KeyId best[kRegisters];
  Less less;

  __device__ __forceinline__ explicit WarpSelect(Less order = {}) : less(order) {
#pragma unroll
    for (int r = 0; r < kRegisters; ++r) best[r] = kNoKeyId;
  }

  // Lists in memory hold k entries; what is past them counts as absent.
  __device__ __forceinline__ void load(const KeyId* from, int k) {
#pragma unroll
    for (int r = 0; r < kRegisters; ++r) best[r] = r * kWarp + lane_id() < k ? from[r * kWarp + lane_id()] : kNoKeyId;
  }
  __device__ __forceinline__ void store(KeyId* to, int k) const {
#pragma unroll
    for (int r = 0; r < kRegisters; ++r)
      if (r * kWarp + lane_id() < k) to[r * kWarp + lane_id()] = best[r];
  }

  // The worst of the k entries, kNoKeyId while there are fewer. k lies in the last register.
  __device__ __forceinline__ KeyId worst(int k) const {
    return __shfl_sync(kAllLanes, best[kRegisters - 1], (k - 1) % kWarp);
  }

  // Adds one candidate a lane; kNoKeyId is none. Few are inserted one by one (about 12 instructions each), more are
  // sorted and merged as a whole (about 200).
  __device__ __forceinline__ void add(KeyId candidate) {
    unsigned waiting = __ballot_sync(kAllLanes, candidate != kNoKeyId);
    if (__popc(waiting) > 6) {
      merge_sorted(sort_lanes(candidate, less));
      return;
    }
    while (waiting != 0) {
      const int source = __ffs(static_cast<int>(waiting)) - 1;
      waiting &= waiting - 1;
      insert(__shfl_sync(kAllLanes, candidate, source));
    }
  }

  __device__ __forceinline__ void insert(KeyId candidate) {
    KeyId before = 0;  // what stands before this lane's entry, if anything does
    bool has_before = lane_id() > 0;
#pragma unroll
    for (int r = 0; r < kRegisters; ++r) {
      const KeyId mine = best[r];
      const KeyId shifted = __shfl_up_sync(kAllLanes, mine, 1);
      if (lane_id() > 0) before = shifted;
      if (less(candidate, mine)) best[r] = has_before && less(candidate, before) ? before : candidate;
      before = __shfl_sync(kAllLanes, mine, kWarp - 1);
      has_before = true;
    }
  }

  // `sorted`: 32 entries, ascending over the lanes.
  __device__ __forceinline__ void merge_sorted(KeyId sorted) {
    const int mirror = kWarp - 1 - lane_id();
    const KeyId reversed = __shfl_sync(kAllLanes, sorted, mirror);
    KeyId& last = best[kRegisters - 1];
    last = sort_bitonic_lanes(lesser(last, reversed, less), less);
    if constexpr (kRegisters == 2) {
      const KeyId upper = __shfl_sync(kAllLanes, best[1], mirror);
      best[1] = sort_bitonic_lanes(greater(best[0], upper, less), less);
      best[0] = sort_bitonic_lanes(lesser(best[0], upper, less), less);
    }
  }
};

// The lists of a block's warps become one, in warp 0. All threads of the block take part.
template <int kWarps, int kRegisters, class Less>
__device__ __forceinline__ void merge_warps(WarpSelect<kRegisters, Less>& list, int k) {
  ANNK_SHARED(KeyId, shared, [kWarps][kRegisters * kWarp]);
  list.store(shared[warp_id()], k);
  __syncthreads();
  if (warp_id() != 0) return;
  for (int other = 1; other < kWarps; ++other)
#pragma unroll
    for (int r = 0; r < kRegisters; ++r) {
      const int at = r * kWarp + lane_id();
      list.merge_sorted(at < k ? shared[other][at] : kNoKeyId);
    }
}

}  // namespace annk::cuda
