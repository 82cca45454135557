// SPDX-License-Identifier: Apache-2.0
// The lists of ops/nn_descent.h by warps. What a list becomes is a function of the set of its updates: of each row
// it keeps the smallest key, and of the rows the first by (key, place). So updates may come in any order, and the order in
// which chains of them were linked, by atomics, does not show.
#pragma once
#include "core/tie_order.h"
#include "cuda/device/key_id.cuh"

namespace annk::cuda {

using namespace ANNK_ISA;

// order << 32 | place << 1 | taken.
__device__ __forceinline__ KeyId key_id_at(uint32_t key_bits, uint32_t place) {
  return static_cast<KeyId>(key_bits) << 32 | place << 1;
}
__device__ __forceinline__ uint32_t place_of(KeyId key_id) { return position_of(key_id) >> 1; }
// The row that an entry of the list of `row` names.
__device__ __forceinline__ int32_t listed(int64_t row, KeyId key_id) {
  return static_cast<int32_t>(TieOrder::id(row, place_of(key_id)));
}

// Chains of updates: a link says which comes next.
inline constexpr uint32_t kNoLink = 0xffffffffu;

// A sorted list of `width` slots that one warp works on, kNoKeyId where it is empty.
struct WarpSlots {
  KeyId* slots;
  int width;

  __device__ __forceinline__ KeyId last() const { return slots[width - 1]; }

  // The entries of all lanes, kNoKeyId for none. kRepeats: a row may be in the list already; then its smaller key stays,
  // and of equal ones the entry that is there.
  template <bool kRepeats>
  __device__ __forceinline__ void update(KeyId mine) const {
    for (unsigned hits = __ballot_sync(kAllLanes, mine < last()); hits != 0; hits &= hits - 1) {
      const KeyId key_id = __shfl_sync(kAllLanes, mine, __ffs(static_cast<int>(hits)) - 1);
      if (key_id < last()) insert<kRepeats>(key_id);
    }
  }

  template <bool kRepeats>
  __device__ __forceinline__ void insert(KeyId key_id) const {
    const int lane = lane_id();
    int before = 0, same = width - 1;  // where the row is, or else what makes room
    KeyId known = kNoKeyId;
    for (int first = 0; first < width; first += kWarp) {
      const KeyId there = first + lane < width ? slots[first + lane] : kNoKeyId;
      const unsigned smaller = __ballot_sync(kAllLanes, there < key_id);
      before += __popc(smaller);
      if (kRepeats) {
        const unsigned equal = __ballot_sync(kAllLanes, there != kNoKeyId && place_of(there) == place_of(key_id));
        if (equal != 0) {
          const int at = __ffs(static_cast<int>(equal)) - 1;
          same = first + at;
          known = __shfl_sync(kAllLanes, there, at);
        }
      } else if (smaller != kAllLanes) {
        break;
      }
    }
    if (kRepeats && key_bits_of(known) <= key_bits_of(key_id)) return;
    make_room(before, same);
    if (lane == 0) slots[before] = key_id;
    __syncwarp();
  }

 private:
  // slots[from, to) move up by one, the last ones first.
  __device__ __forceinline__ void make_room(int from, int to) const {
    for (int end = to; end > from; end -= kWarp) {
      const int at = end - 1 - lane_id();
      const bool moves = at >= from;
      const KeyId mine = moves ? slots[at] : kNoKeyId;
      __syncwarp();
      if (moves) slots[at + 1] = mine;  // the next 32 end before these
    }
    __syncwarp();
  }
};

}  // namespace annk::cuda
