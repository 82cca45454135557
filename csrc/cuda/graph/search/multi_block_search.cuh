// SPDX-License-Identifier: Apache-2.0
// Searches that several blocks share: between two launches their state waits in memory, with the rows whose neighbors'
// keys blocks make ahead of the search.
#pragma once
#include "cuda/graph/search/search_block.cuh"

namespace annk::cuda {

template <class Rows>
class ResumableSearch : public SearchBlock<Rows> {
 protected:
  using Parent = SearchBlock<Rows>;
  using Parent::a_, Parent::kThreads, Parent::visited_, Parent::buffer_, Parent::query_, Parent::s_, Parent::table_;
  using typename Parent::Visited;

  using Parent::Parent;

  __device__ __forceinline__ SharedSearch& shared_search() const { return a_.shared[query_]; }
  __device__ __forceinline__ uint32_t* own_table() const { return a_.tables + (query_ << a_.table_bits); }
  __device__ __forceinline__ KeyId* saved_buffer() const { return a_.buffers + query_ * a_.room; }

  // Left to a block of its own.
  __device__ __forceinline__ void leave() const {
    if (threadIdx.x == 0) shared_search().open = shared_search().begun = 0;
  }

  // The buffer, from where it waits.
  __device__ __forceinline__ void resume() {
    const SharedSearch& search = shared_search();
    buffer_.begin(search.capacity);
    if (this->buffer_in_shared())
      for (int i = static_cast<int>(threadIdx.x); i < search.size; i += kThreads) buffer_.slots[i] = saved_buffer()[i];
    if (threadIdx.x == 0) s_.size = search.size;
    __syncthreads();
  }

  __device__ __forceinline__ void save(bool first) const {
    SharedSearch& search = shared_search();
    if (warp_id() == 0) choose_ahead(search, first);
    if (this->buffer_in_shared())
      for (int i = static_cast<int>(threadIdx.x); i < s_.size; i += kThreads) saved_buffer()[i] = buffer_.slots[i];
    if (threadIdx.x != 0) return;
    search.size = s_.size;
    search.capacity = buffer_.capacity;
    search.begun = 1;
    atomicExch(&search.arrived, 0u);
  }

 private:
  // A slot for each of the smallest that were not expanded; those that have one keep it. Warp 0, a lane a slot.
  __device__ __forceinline__ void choose_ahead(SharedSearch& search, bool first) const {
    static_assert(kSearchSlots <= kWarp);
    const int lane = lane_id(), size = s_.size < a_.expand ? s_.size : a_.expand;
    KeyId chosen = first || lane >= kSearchSlots ? kNoKeyId : search.chosen[lane], wanted = kNoKeyId;
    int have = 0;
    for (int at = s_.next; at < size && have < kSearchSlots; at += kWarp) {
      const KeyId mine = at + lane < size ? buffer_.slots[at + lane] : kNoKeyId;
      for (unsigned open = __ballot_sync(kAllLanes, !expanded(mine)); open != 0; open &= open - 1) {
        const KeyId key_id = __shfl_sync(kAllLanes, mine, __ffs(static_cast<int>(open)) - 1);
        if (lane == have++) wanted = key_id;
      }
    }
    bool kept = false, served = false;
    for (int slot = 0; slot < kSearchSlots; ++slot) {
      const KeyId theirs = __shfl_sync(kAllLanes, chosen, slot), asked = __shfl_sync(kAllLanes, wanted, slot);
      served = served || theirs == wanted;
      kept = kept || asked == chosen;
    }
    unsigned needy = __ballot_sync(kAllLanes, wanted != kNoKeyId && !served);
    unsigned empty = __ballot_sync(kAllLanes, lane < kSearchSlots && (chosen == kNoKeyId || !kept));
    if ((empty >> lane & 1u) != 0) chosen = kNoKeyId;
    for (; needy != 0; needy &= needy - 1, empty &= empty - 1) {
      const KeyId key_id = __shfl_sync(kAllLanes, wanted, __ffs(static_cast<int>(needy)) - 1);
      if (lane != __ffs(static_cast<int>(empty)) - 1) continue;
      chosen = key_id;
      search.counts[lane] = -1;
    }
    if (lane < kSearchSlots) search.chosen[lane] = chosen;
    if (lane == 0) search.open = have > 0 ? 1 : 0;
  }
};

// The block of one slot, in one round.
template <class Rows>
class MultiBlockRound : ResumableSearch<Rows> {
  using Parent = ResumableSearch<Rows>;
  using Parent::a_, Parent::kThreads, Parent::buffer_, Parent::query_, Parent::s_;
  using typename Parent::List, typename Parent::Visited;

 public:
  using typename Parent::Room;

  __device__ __forceinline__ MultiBlockRound(const Rows& rows, const BeamSearchArgs& a, Room& s, unsigned char* shared)
      : Parent(rows, a, s, shared) {}

  __device__ __forceinline__ void run(int64_t query, int slot) {
    this->open(query);
    SharedSearch& search = this->shared_search();
    if (search.open == 0) return;
    this->table_ = this->own_table();
    if (search.chosen[slot] != kNoKeyId && search.counts[slot] < 0) make_ahead(search, slot);
    __syncthreads();
    if (threadIdx.x == 0) {
      __threadfence();
      s_.more = atomicAdd(&search.arrived, 1u) == kSearchSlots - 1 ? 1 : 0;
      __threadfence();
    }
    __syncthreads();
    if (s_.more == 0) return;
    this->resume();
    while (take_over(search)) {
    }
    this->save(false);
  }

 private:
  __device__ __forceinline__ KeyId* ahead_of(int slot) const {
    return a_.ahead + (query_ * kSearchSlots + slot) * a_.graph.degree;
  }

  // The keys of a chosen row's neighbors, but for those that the search has visited.
  __device__ __forceinline__ void make_ahead(SharedSearch& search, int slot) {
    List list{a_.graph.row(row_of(search.chosen[slot])), this->degree(), 0};
    this->visited_ = Visited::asked;
    int total = 0;
    for (bool more = true; more;) {
      if (warp_id() == 0) {
        int fill = 0;
        while (list.at < list.length && fill <= Room::kBatch - kWarp) {
          const int32_t row = this->read(list);
          fill = this->append(fill, row >= 0 && this->visit(row), row);
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
    if (threadIdx.x == 0) search.counts[slot] = total;
  }

  // Expands the smallest, if its keys are there; they count as visited from here on.
  __device__ __forceinline__ bool take_over(SharedSearch& search) {
    if (warp_id() == 0) {
      const int place = buffer_.smallest_open(a_.expand), lane = lane_id();
      const KeyId key_id = place < 0 ? kNoKeyId : buffer_.slots[place];
      const bool here = place >= 0 && lane < kSearchSlots && search.chosen[lane] == key_id && search.counts[lane] >= 0;
      const int slot = __ffs(static_cast<int>(__ballot_sync(kAllLanes, here))) - 1;
      if (lane == 0) s_.slot = slot;
      if (slot >= 0) buffer_.mark_expanded(place);
    }
    __syncthreads();
    const int slot = s_.slot;
    if (slot < 0) return false;
    const int count = search.counts[slot];
    for (int first = 0; first < count; first += Room::kBatch) {
      const int here = count - first < Room::kBatch ? count - first : Room::kBatch;
      for (int i = static_cast<int>(threadIdx.x); i < here; i += kThreads) {
        const KeyId key_id = s_.batch[i] = ahead_of(slot)[first + i];
        atomicExch(this->place_of(row_of(key_id)), static_cast<uint32_t>(row_of(key_id)));
      }
      __syncthreads();
      buffer_.merge(here);
    }
    __syncthreads();
    return true;
  }
};

}  // namespace annk::cuda
