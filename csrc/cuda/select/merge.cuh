// SPDX-License-Identifier: Apache-2.0
// The last step of a selection by lists: the lists of all splits of a query become its k neighbors.
#pragma once
#include "cuda/device/policy.h"
#include "cuda/select/warp_select.cuh"

namespace annk::cuda {

inline constexpr int kMergeThreads = 128;

// Sorted list of the k <= 64 best of lists[split, query, 0..k), kept by warp 0. Splits hold ascending rows and lists are
// sorted, so (key, place among the lists) orders as (key, id) does, and an entry's position is that place.
template <int kRegisters>
__device__ __forceinline__ WarpSelect<kRegisters> merge_splits(const KeyId* lists, int64_t m, int64_t query, int splits,
                                                               int k) {
  WarpSelect<kRegisters> list;
  KeyId worst = kNoKeyId;
  const int candidates = splits * k;
  for (int first = warp_id() * kWarp; first < candidates; first += kMergeThreads) {
    const int place = first + lane_id();
    const KeyId there = place < candidates ? lists[(place / k * m + query) * k + place % k] : kNoKeyId;
    const KeyId candidate = make_key_id(key_bits_of(there), static_cast<uint32_t>(place));
    if (!__any_sync(kAllLanes, candidate < worst)) continue;
    list.add(candidate < worst ? candidate : kNoKeyId);
    worst = list.worst(k);
  }
  merge_warps<kMergeThreads / kWarp>(list, k);
  return list;
}

}  // namespace annk::cuda
