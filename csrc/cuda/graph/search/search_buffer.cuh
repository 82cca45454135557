// SPDX-License-Identifier: Apache-2.0
// The nearest rows that a search has visited, sorted, in shared memory or, where the window is large, in the workspace. All
// threads of a block merge a batch together: an entry goes to its own place plus its rank in the other list.
#pragma once
#include "cuda/graph/row_keys.cuh"

namespace annk::cuda {

// Rows found at a time, and what becomes of them.
constexpr int search_batch(int threads) { return 2 * threads; }

template <int kThreads>
struct BlockState {
  static constexpr int kBatch = search_batch(kThreads);
  KeyId batch[kBatch];  // of the rows found; then those that enter, sorted
  KeyId fresh[kBatch];
  int32_t places[kBatch];  // where they enter
  int32_t ids[kBatch];
  int fill;        // rows found
  int size, next;  // of the buffer; all in front of `next` were expanded
  int entering, repeated;
  int slot;        // where the keys of the row to expand lie; -1: not there yet
  int more;        // nonzero: there is more to read
  int ended;       // nonzero: a search under a filter came to its end
  int noted;       // expanded rows that a CandidateSearch noted
  int most_noted;  // so many of the rows noted last are kept
};

// How many of sorted[0, count) are below `key_id`.
__device__ __forceinline__ int rank_in(const KeyId* sorted, int count, KeyId key_id) {
  int low = 0, high = count;
  while (low < high) {
    const int middle = low + (high - low) / 2;
    if (sorted[middle] < key_id) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

template <int kThreads>
struct SearchBuffer {
  using Room = BlockState<kThreads>;
  Room& s;
  KeyId* slots;
  int capacity;

  // Behind it the threads are to be synchronised.
  __device__ __forceinline__ void begin(int64_t most) {
    capacity = static_cast<int>(most);
    if (threadIdx.x == 0) s.size = s.next = s.entering = s.repeated = 0;
  }

  // Merges batch[0, count), of which none counts as expanded. A row that is there already is not inserted again, so that
  // a row may be visited twice. Synchronises before it ends, but not before it begins.
  __device__ __forceinline__ void merge(int count) {
    const int size = s.size, entering = pick(count);
    if (entering == 0) return;
    const int kept = sort(entering);
    for (int i = static_cast<int>(threadIdx.x); i < kept; i += kThreads) s.places[i] = rank_in(slots, size, s.batch[i]);
    __syncthreads();
    const int first = s.places[0];
    // From the end on, so that nothing is overwritten before it was read.
    for (int end = size; end > first; end -= kThreads) {
      const int place = (end - kThreads > first ? end - kThreads : first) + static_cast<int>(threadIdx.x);
      const bool mine = place < end;
      const KeyId key_id = mine ? slots[place] : kNoKeyId;
      const int to = place + (mine ? rank_in(s.batch, kept, key_id) : 0);
      __syncthreads();
      if (mine && to < capacity) slots[to] = key_id;
    }
    for (int i = static_cast<int>(threadIdx.x); i < kept; i += kThreads) {
      const int to = s.places[i] + i;
      if (to < capacity) slots[to] = s.batch[i];
    }
    if (threadIdx.x == 0) {
      s.size = size + kept < capacity ? size + kept : capacity;
      s.next = s.next < first ? s.next : first;
      s.entering = s.repeated = 0;
    }
    __syncthreads();
  }

  // Warp 0: the place of the smallest that was not expanded, of the first `most`; -1 for none.
  __device__ __forceinline__ int smallest_open(int most = INT32_MAX) const {
    const int size = s.size < most ? s.size : most;
    for (int at = s.next; at < size; at += kWarp) {
      const int place = at + lane_id();
      const unsigned open = __ballot_sync(kAllLanes, place < size && !expanded(slots[place]));
      if (open != 0) return at + __ffs(static_cast<int>(open)) - 1;
    }
    return -1;
  }
  // Warp 0, which has read the buffer and will again.
  __device__ __forceinline__ void mark_expanded(int place) const {
    __syncwarp();
    if (lane_id() == 0) {
      slots[place] |= 1u;
      s.next = place + 1;
    }
    __syncwarp();
  }

 private:
  // The entries below the worst that are not in the buffer, to `fresh`; how many.
  __device__ __forceinline__ int pick(int count) const {
    const int size = s.size;
    const KeyId worst = size < capacity ? kNoKeyId : slots[size - 1];
    for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) {
      const KeyId key_id = s.batch[i];
      if (!(key_id < worst)) continue;
      const int place = rank_in(slots, size, key_id);
      if (place < size && (slots[place] | 1u) == (key_id | 1u)) continue;
      s.fresh[atomicAdd(&s.entering, 1)] = key_id;
    }
    __syncthreads();
    return s.entering;
  }

  // Those of them that differ, sorted, to `batch`; how many. Ranks by counting: few enter, and all threads read one number.
  __device__ __forceinline__ int sort(int entering) const {
    for (int i = static_cast<int>(threadIdx.x); i < entering; i += kThreads) {
      bool first = true;
      for (int j = 0; j < i; ++j) first = first && s.fresh[j] != s.fresh[i];
      s.places[i] = first ? 0 : 1;
      if (!first) atomicAdd(&s.repeated, 1);
    }
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < entering; i += kThreads) {
      if (s.places[i] != 0) continue;
      const KeyId key_id = s.fresh[i];
      int rank = 0;
      for (int j = 0; j < entering; ++j) rank += s.places[j] == 0 && s.fresh[j] < key_id;
      s.batch[rank] = key_id;
    }
    const int kept = entering - s.repeated;
    __syncthreads();
    return kept;
  }
};

}  // namespace annk::cuda
