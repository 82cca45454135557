// SPDX-License-Identifier: Apache-2.0
// Walks that several blocks share: between two launches they wait in memory, with the rows that blocks are to look at ahead.
#pragma once
#include "cuda/graph/search/search_block.cuh"

namespace annk::cuda {

template <class Rows>
class WaitingWalk : public WalkBlock<Rows> {
 protected:
  using Base = WalkBlock<Rows>;
  using Base::a_, Base::kThreads, Base::met_, Base::pool_, Base::query_, Base::s_, Base::table_;
  using typename Base::Met;

  using Base::Base;

  __device__ __forceinline__ SharedWalk& shared_walk() const { return a_.shared[query_]; }
  __device__ __forceinline__ uint32_t* own_table() const { return a_.tables + (query_ << a_.table_bits); }
  __device__ __forceinline__ Entry* own_pool() const { return a_.pools + query_ * a_.room; }

  // Left to a block of its own.
  __device__ __forceinline__ void leave() const {
    if (threadIdx.x == 0) shared_walk().open = shared_walk().begun = 0;
  }

  // The pool, from where it waits.
  __device__ __forceinline__ void resume() {
    const SharedWalk& walk = shared_walk();
    pool_.begin(walk.capacity);
    if (this->pool_in_shared())
      for (int i = static_cast<int>(threadIdx.x); i < walk.size; i += kThreads) pool_.slots[i] = own_pool()[i];
    if (threadIdx.x == 0) s_.size = walk.size;
    __syncthreads();
  }

  __device__ __forceinline__ void save(bool first) const {
    SharedWalk& walk = shared_walk();
    if (warp_id() == 0) choose_ahead(walk, first);
    if (this->pool_in_shared())
      for (int i = static_cast<int>(threadIdx.x); i < s_.size; i += kThreads) own_pool()[i] = pool_.slots[i];
    if (threadIdx.x != 0) return;
    walk.size = s_.size;
    walk.capacity = pool_.capacity;
    walk.begun = 1;
    atomicExch(&walk.arrived, 0u);
  }

 private:
  // A slot for each of the smallest that were not expanded; those that have one keep it. Warp 0, a lane a slot.
  __device__ __forceinline__ void choose_ahead(SharedWalk& walk, bool first) const {
    static_assert(kWalkSlots <= kWarp);
    const int lane = lane_id(), size = s_.size;
    Entry chosen = first || lane >= kWalkSlots ? kNoEntry : walk.chosen[lane], wanted = kNoEntry;
    int have = 0;
    for (int at = s_.next; at < size && have < kWalkSlots; at += kWarp) {
      const Entry mine = at + lane < size ? pool_.slots[at + lane] : kNoEntry;
      for (unsigned open = __ballot_sync(kAllLanes, !expanded(mine)); open != 0; open &= open - 1) {
        const Entry entry = __shfl_sync(kAllLanes, mine, __ffs(static_cast<int>(open)) - 1);
        if (lane == have++) wanted = entry;
      }
    }
    bool kept = false, served = false;
    for (int slot = 0; slot < kWalkSlots; ++slot) {
      const Entry theirs = __shfl_sync(kAllLanes, chosen, slot), asked = __shfl_sync(kAllLanes, wanted, slot);
      served = served || theirs == wanted;
      kept = kept || asked == chosen;
    }
    unsigned needy = __ballot_sync(kAllLanes, wanted != kNoEntry && !served);
    unsigned empty = __ballot_sync(kAllLanes, lane < kWalkSlots && (chosen == kNoEntry || !kept));
    if ((empty >> lane & 1u) != 0) chosen = kNoEntry;
    for (; needy != 0; needy &= needy - 1, empty &= empty - 1) {
      const Entry entry = __shfl_sync(kAllLanes, wanted, __ffs(static_cast<int>(needy)) - 1);
      if (lane != __ffs(static_cast<int>(empty)) - 1) continue;
      chosen = entry;
      walk.counts[lane] = -1;
    }
    if (lane < kWalkSlots) walk.chosen[lane] = chosen;
    if (lane == 0) walk.open = have > 0 ? 1 : 0;
  }
};

// The block of one slot, in one round.
template <class Rows>
class LookAhead : WaitingWalk<Rows> {
  using Base = WaitingWalk<Rows>;
  using Base::a_, Base::kThreads, Base::pool_, Base::query_, Base::s_;
  using typename Base::List, typename Base::Met;

 public:
  using typename Base::Room;

  __device__ __forceinline__ LookAhead(const Rows& rows, const WalkArgs& a, Room& s, unsigned char* shared)
      : Base(rows, a, s, shared) {}

  __device__ __forceinline__ void run(int64_t query, int slot) {
    this->open(query);
    SharedWalk& walk = this->shared_walk();
    if (walk.open == 0) return;
    this->table_ = this->own_table();
    if (walk.chosen[slot] != kNoEntry && walk.counts[slot] < 0) make_ahead(walk, slot);
    __syncthreads();
    if (threadIdx.x == 0) {
      __threadfence();
      s_.more = atomicAdd(&walk.arrived, 1u) == kWalkSlots - 1 ? 1 : 0;
      __threadfence();
    }
    __syncthreads();
    if (s_.more == 0) return;
    this->resume();
    while (take_over(walk)) {
    }
    this->save(false);
  }

 private:
  __device__ __forceinline__ Entry* ahead_of(int slot) const {
    return a_.ahead + (query_ * kWalkSlots + slot) * a_.graph.degree;
  }

  // The keys of a chosen row's neighbours, but for those that the walk has met.
  __device__ __forceinline__ void make_ahead(SharedWalk& walk, int slot) {
    List list{a_.graph.row(row_of(walk.chosen[slot])), this->degree(), 0};
    this->met_ = Met::asked;
    int total = 0;
    for (bool more = true; more;) {
      if (warp_id() == 0) {
        int fill = 0;
        while (list.at < list.length && fill <= Room::kBatch - kWarp) {
          const int32_t row = this->read(list);
          fill = this->append(fill, row >= 0 && this->meet(row), row);
        }
        if (lane_id() == 0) {
          s_.fill = fill;
          s_.more = list.at < list.length ? 1 : 0;
        }
      }
      __syncthreads();
      const int count = s_.fill;
      more = s_.more != 0;
      this->make_keys(count);
      for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) ahead_of(slot)[total + i] = s_.batch[i];
      total += count;
    }
    if (threadIdx.x == 0) walk.counts[slot] = total;
  }

  // Expands the smallest, if its keys are there; they count as met from here on.
  __device__ __forceinline__ bool take_over(SharedWalk& walk) {
    if (warp_id() == 0) {
      const int place = pool_.smallest_open(), lane = lane_id();
      const Entry entry = place < 0 ? kNoEntry : pool_.slots[place];
      const bool here = place >= 0 && lane < kWalkSlots && walk.chosen[lane] == entry && walk.counts[lane] >= 0;
      const int slot = __ffs(static_cast<int>(__ballot_sync(kAllLanes, here))) - 1;
      if (lane == 0) s_.slot = slot;
      if (slot >= 0) pool_.mark_expanded(place);
    }
    __syncthreads();
    const int slot = s_.slot;
    if (slot < 0) return false;
    const int count = walk.counts[slot];
    for (int first = 0; first < count; first += Room::kBatch) {
      const int here = count - first < Room::kBatch ? count - first : Room::kBatch;
      for (int i = static_cast<int>(threadIdx.x); i < here; i += kThreads) {
        const Entry entry = s_.batch[i] = ahead_of(slot)[first + i];
        atomicExch(this->place_of(row_of(entry)), static_cast<uint32_t>(row_of(entry)));
      }
      __syncthreads();
      pool_.merge(here);
    }
    __syncthreads();
    return true;
  }
};

}  // namespace annk::cuda
