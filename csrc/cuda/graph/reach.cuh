// SPDX-License-Identifier: Apache-2.0
// What a search can reach, by one block that goes through the queue in its order: a row's parent is the first of the queue
// that leads to it, as if edges were followed one after the other.
#pragma once
#include "cuda/device/device.cuh"
#include "cuda/graph/growth.h"

namespace annk::cuda {

template <int kThreads>
struct ReachBlock {
  Reach reach;

  // All threads, synchronised before.
  __device__ __forceinline__ void begin() const {
    if (threadIdx.x == 0)
      for (int64_t e = 0; e < reach.entry_point_count; ++e) visit(reach.entry_points[e], reach.entry_points[e]);
    __syncthreads();
    spread(0);
  }

  // Gives `row` an edge from the first row of `near` that has one to give, or from any. -1 ends a shorter list.
  __device__ __forceinline__ void attach(int64_t row, const int64_t* near, int64_t most) const {
    const int64_t done_before = reach.counts[0];
    __syncthreads();
    if (threadIdx.x == 0) {
      bool done = false;
      for (int64_t i = 0; i < most && near[i] >= 0 && !done; ++i) done = give(near[i], row);
      for (int64_t i = 0; i < reach.lists.rows && !done; ++i) done = give(i, row);
    }
    __syncthreads();
    spread(done_before);
  }

 private:
  static constexpr int kWarps = kThreads / kWarp;

  // One thread.
  __device__ __forceinline__ void visit(int64_t row, int64_t from) const {
    if (reach.parents[row] >= 0) return;
    reach.parents[row] = static_cast<int32_t>(from);
    reach.queue[reach.counts[0]++] = static_cast<int32_t>(row);
  }
  __device__ __forceinline__ bool give(int64_t from, int64_t to) const {
    if (reach.parents[from] < 0) return false;
    int32_t* const list = reach.lists.of(from);
    ListState& state = reach.lists.states[from];
    int64_t place = state.length;
    if (place == reach.degree)
      for (--place; place >= 0 && reach.parents[list[place]] == from; --place) {
      }
    if (place < 0) return false;
    list[place] = static_cast<int32_t>(to);
    if (place == state.length) ++state.length;
    visit(to, from);
    return true;
  }

  // The edges of the queue's rows from `done` on, in their order, kThreads at a time. Of several that lead to a new row the
  // first claims it.
  __device__ __forceinline__ void spread(int64_t done) const {
    ANNK_SHARED(int32_t, of_warp, [kWarps]);
    const int thread = static_cast<int>(threadIdx.x);
    int64_t size = reach.counts[0];
    for (int64_t edge = done * reach.degree; edge < size * reach.degree;) {
      const int64_t end = size * reach.degree, mine = edge + thread;
      int32_t row = -1, to = -1;
      if (mine < end) {
        const int64_t place = mine % reach.degree;
        row = reach.queue[mine / reach.degree];
        if (place < reach.lists.states[row].length) to = reach.lists.of(row)[place];
      }
      const bool fresh = to >= 0 && reach.parents[to] < 0;
      if (fresh) atomicMin(reach.claims + to, static_cast<uint32_t>(thread));
      __syncthreads();
      const bool first = fresh && reach.claims[to] == static_cast<uint32_t>(thread);
      const unsigned firsts = __ballot_sync(kAllLanes, first);
      if (lane_id() == 0) of_warp[warp_id()] = __popc(firsts);
      __syncthreads();
      int64_t at = size + __popc(firsts & ((1u << lane_id()) - 1u));
      for (int w = 0; w < kWarps; ++w) {
        if (w < warp_id()) at += of_warp[w];
        size += of_warp[w];
      }
      if (first) {
        reach.parents[to] = row;
        reach.queue[at] = to;
      }
      edge = edge + kThreads < end ? edge + kThreads : end;
      __syncthreads();
    }
    if (thread == 0) reach.counts[0] = size;
  }
};

}  // namespace annk::cuda
