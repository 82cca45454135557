// SPDX-License-Identifier: Apache-2.0
// The walk of ops/search_graph.h by a block. Warp 0 chooses rows and gathers their neighbours; all threads make the keys and
// take them into the pool.
//
// What was met is remembered in a table of one place for each hash, where a later row pushes out an earlier one. Forgetting
// costs a key made twice and changes no result: a row that is in the pool is not taken in again, and one that has left it,
// or never came in, is behind a worst that only gets better. Where a walk looks through rows that a filter fails, what it
// comes to does depend on what was met: there each block has a bit for each row.
#pragma once
#include "cuda/filter_words.cuh"
#include "cuda/pool.cuh"
#include "cuda/walk.h"

namespace annk::cuda {

inline constexpr uint32_t kNoRow = 0xffffffffu;

template <class Rows>
class Walk {
  static constexpr int kThreads = Rows::kThreads;

 public:
  using Room = WalkRoom<kThreads>;

  // shared: the table, the pool where it lies there, and what Rows wants.
  __device__ __forceinline__ Walk(const Rows& rows, const WalkArgs& a, Room& s, unsigned char* shared)
      : rows_(rows), a_(a), s_(s), table_(reinterpret_cast<uint32_t*>(shared)), pool_{s, nullptr, 0} {
    unsigned char* next = shared + (sizeof(uint32_t) << a.table_bits);
    if (pool_in_shared()) {
      pool_.slots = reinterpret_cast<Entry*>(next);
      next += a.room * sizeof(Entry);
    }
    scratch_ = next;
  }
  static size_t shared_bytes(const Rows& rows, const WalkArgs& a) {
    const size_t pool = a.room <= kSharedPool ? static_cast<size_t>(a.room) * sizeof(Entry) : 0;
    return (sizeof(uint32_t) << a.table_bits) + pool + rows.scratch_bytes();
  }

  // A whole walk, or its start or its end.
  __device__ void run(int64_t query) {
    open(query);
    const int64_t passing = count_passing();
    const FilterPlan plan = plan_filter(passing, a_.graph.rows, a_.window);
    looks_through_ = plan.looks_through;
    const bool alone = plan.exact || plan.looks_through;
    if (a_.stage == WalkStage::start) {
      if (alone) return leave();
      table_ = own_table();
    }
    if (plan.exact) {
      compare_all(passing);
    } else {
      if (a_.stage == WalkStage::finish && shared_walk().begun != 0) {
        resume();
      } else {
        begin(plan.window);
        meet_list(a_.graph.entries, a_.graph.entry_count);
      }
      if (a_.stage == WalkStage::start) return save(true);
      for (int row = next_row(); row >= 0; row = next_row()) {
        if (looks_through_) {
          meet_passing(row);
        } else {
          meet_list(a_.graph.row(row), a_.graph.degree);
        }
      }
    }
    emit();
    const int64_t least = a_.k < passing ? a_.k : passing;
    if (plan.exact || passing == a_.graph.rows || s_.found >= least) return;
    compare_all(passing);
    emit();
  }

  // One round of a shared walk, by the block of one slot.
  __device__ void look_ahead(int64_t query, int slot) {
    open(query);
    SharedWalk& walk = shared_walk();
    if (walk.open == 0) return;
    table_ = own_table();
    if (walk.chosen[slot] != kNoEntry && walk.counts[slot] < 0) make_ahead(walk, slot);
    __syncthreads();
    if (threadIdx.x == 0) {
      __threadfence();
      s_.more = atomicAdd(&walk.arrived, 1u) == kWalkSlots - 1 ? 1 : 0;
      __threadfence();
    }
    __syncthreads();
    if (s_.more == 0) return;
    resume();
    while (take_over(walk)) {
    }
    save(false);
  }

 private:
  enum class Met { table, bits, asked };  // asked: the table is read, not written

  __device__ __forceinline__ bool pool_in_shared() const { return a_.room <= kSharedPool; }
  __device__ __forceinline__ SharedWalk& shared_walk() const { return a_.shared[query_]; }
  __device__ __forceinline__ uint32_t* own_table() const { return a_.tables + (query_ << a_.table_bits); }
  __device__ __forceinline__ Entry* own_pool() const { return a_.pools + query_ * a_.room; }
  __device__ __forceinline__ Entry* ahead_of(int slot) const {
    return a_.ahead + (query_ * kWalkSlots + slot) * a_.graph.degree;
  }
  __device__ __forceinline__ uint32_t* own_bits() const { return a_.visited + blockIdx.x * a_.visited_words; }

  __device__ __forceinline__ void open(int64_t query) {
    query_ = query;
    looks_through_ = false;
    if (!pool_in_shared()) pool_.slots = a_.pools + (a_.shared != nullptr ? query : blockIdx.x) * a_.room;
  }

  __device__ __forceinline__ int64_t count_passing() const {
    if (a_.filter.kind == Filter::Kind::none) return a_.graph.rows;
    const int32_t* const parts = a_.passing + (a_.filter.shared() ? 0 : query_ * kPassingParts);
    int64_t sum = 0;
    for (int i = 0; i < kPassingParts; ++i) sum += parts[i];
    return sum;
  }

  // An empty pool, and nothing met.
  __device__ void begin(int64_t window) {
    __syncthreads();
    pool_.begin(window < a_.graph.rows ? window : a_.graph.rows);
    met_ = looks_through_ ? Met::bits : Met::table;
    if (looks_through_) {
      uint32_t* const bits = own_bits();
      for (int64_t i = threadIdx.x; i < a_.visited_words; i += kThreads) bits[i] = 0;
    } else {
      for (int i = static_cast<int>(threadIdx.x); i < 1 << a_.table_bits; i += kThreads) table_[i] = kNoRow;
    }
    __syncthreads();
  }

  // True where row was not met, as far as is known. Warp 0.
  __device__ __forceinline__ bool meet(int32_t row) const {
    if (met_ == Met::bits) {
      const uint32_t bit = 1u << (row & 31);
      return (atomicOr(own_bits() + (row >> 5), bit) & bit) == 0;
    }
    uint32_t* const place = place_of(row);
    if (met_ == Met::asked) return *place != static_cast<uint32_t>(row);
    return atomicExch(place, static_cast<uint32_t>(row)) != static_cast<uint32_t>(row);
  }
  // Fibonacci hashing: the upper bits of a product by 2^32 / phi.
  __device__ __forceinline__ uint32_t* place_of(int32_t row) const {
    return table_ + (static_cast<uint32_t>(row) * 2654435769u >> (32 - a_.table_bits));
  }

  // A lane's row of list[at, at + 32), -1 behind the end; at moves on, to `length` where -1 ended the list. Warp 0.
  __device__ __forceinline__ int32_t read_list(const int32_t* list, int64_t length, int& at) const {
    const int place = at + lane_id();
    const int32_t row = place < length ? list[place] : -1;
    const unsigned ends = __ballot_sync(kAllLanes, row < 0);
    at = ends != 0 ? static_cast<int>(length) : at + kWarp;
    return ends != 0 && lane_id() >= __ffs(static_cast<int>(ends)) - 1 ? -1 : row;
  }
  // Puts a lane's row, where `wanted`, behind ids[0, fill). Warp 0.
  __device__ __forceinline__ int append(int fill, bool wanted, int32_t row) const {
    const unsigned found = __ballot_sync(kAllLanes, wanted);
    if (wanted) s_.ids[fill + __popc(found & ((1u << lane_id()) - 1u))] = row;
    return fill + __popc(found);
  }

  // The keys of ids[0, fill), and they into the pool.
  __device__ __forceinline__ void take_found() {
    const int count = s_.fill;
    if (count > 0) {
      rows_.keys(query_, s_.ids, count, scratch_, s_.batch);
      __syncthreads();
      pool_.merge(count);
    }
    __syncthreads();
  }

  // As much of the list as a batch holds. Warp 0.
  __device__ __forceinline__ void gather(const int32_t* list, int64_t length, int at) const {
    int fill = 0;
    while (at < length && fill <= Room::kBatch - kWarp) {
      const int32_t row = read_list(list, length, at);
      fill = append(fill, row >= 0 && meet(row), row);
    }
    if (lane_id() != 0) return;
    s_.fill = fill;
    s_.at = at;
  }
  __device__ void meet_list(const int32_t* list, int64_t length) {
    int at = 0;
    do {
      if (warp_id() == 0) gather(list, length, at);
      __syncthreads();
      at = s_.at;
      take_found();
    } while (at < length);
  }

  // Where a hop through failing rows has come to.
  struct Hop {
    int32_t row;                // whose neighbours are read
    int at = 0;                 // how many of them were
    int next = 0, failing = 0;  // failing rows looked through, and seen
    int64_t found = 0;
    bool first = true;
  };
  // As much of the hop as a batch holds; whether something is left. Warp 0, in the order of the lists: how far a hop goes
  // depends on it.
  __device__ __forceinline__ bool gather_passing(Hop& hop) const {
    int32_t* const failing = a_.failing + blockIdx.x * a_.graph.degree;
    int fill = 0;
    while (fill <= Room::kBatch - kWarp) {
      if (hop.at >= a_.graph.degree) {
        if (hop.next == hop.failing || hop.found >= a_.graph.degree) {
          if (lane_id() == 0) s_.fill = fill;
          return false;
        }
        hop.row = failing[hop.next++];
        hop.at = 0;
        hop.first = false;
      }
      const int32_t row = read_list(a_.graph.row(hop.row), a_.graph.degree, hop.at);
      const bool passes = row >= 0 && a_.filter.pass(a_.query_begin + query_, row);
      bool fresh = hop.first ? row >= 0 : passes;
      if (hop.first) {  // a row that stands there twice counts where it stands first
        const unsigned equal = __match_any_sync(kAllLanes, row < 0 ? -1 - lane_id() : row);
        fresh = fresh && __ffs(static_cast<int>(equal)) - 1 == lane_id();
      }
      fresh = fresh && meet(row);
      const int before = fill;
      fill = append(fill, fresh && passes, row);
      hop.found += fill - before;
      const bool fails = fresh && !passes;
      const unsigned failed = __ballot_sync(kAllLanes, fails);
      if (fails) failing[hop.failing + __popc(failed & ((1u << lane_id()) - 1u))] = row;
      hop.failing += __popc(failed);
      __syncwarp();
    }
    if (lane_id() == 0) s_.fill = fill;
    return true;
  }
  __device__ void meet_passing(int row) {
    Hop hop{row};
    bool more = true;
    while (more) {
      if (warp_id() == 0) {
        const bool left = gather_passing(hop);
        if (lane_id() == 0) s_.more = left ? 1 : 0;
      }
      __syncthreads();
      more = s_.more != 0;
      take_found();
    }
  }

  // The row to expand next, which then counts as expanded; -1 for none.
  __device__ __forceinline__ int next_row() const {
    if (warp_id() == 0) {
      const int place = pool_.smallest_open();
      if (lane_id() == 0) {
        s_.row = place < 0 ? -1 : row_of(pool_.slots[place]);
        if (place >= 0) pool_.mark_expanded(place);
      }
    }
    __syncthreads();
    return s_.row;
  }

  // The best of all rows that pass.
  __device__ void compare_all(int64_t passing) {
    __syncthreads();
    const int64_t most = passing < 1 ? 1 : passing;
    pool_.begin(a_.wanted < most ? a_.wanted : most);
    if (threadIdx.x == 0) s_.fill = 0;
    const int64_t words = (a_.graph.rows + 31) / 32;
    for (int64_t first = 0; first < words; first += kThreads) {
      const int64_t word = first + threadIdx.x;
      uint32_t left = word < words ? passing_word(a_.filter, a_.query_begin + query_, word, a_.graph.rows) : 0;
      while (__syncthreads_or(left != 0)) {
        if (left != 0) {
          s_.ids[atomicAdd(&s_.fill, 1)] = static_cast<int32_t>(32 * word + __ffs(static_cast<int>(left)) - 1);
          left &= left - 1;
        }
        __syncthreads();
        if (s_.fill > Room::kBatch - kThreads) take_some();
      }
    }
    take_some();
  }
  __device__ __forceinline__ void take_some() {
    take_found();
    if (threadIdx.x == 0) s_.fill = 0;
    __syncthreads();
  }

  // The first `wanted` of the pool that pass.
  __device__ void emit() const {
    if (warp_id() == 0) {
      const int wanted = static_cast<int>(a_.wanted), size = s_.size;
      int found = 0;
      for (int at = 0; at < size && found < wanted; at += kWarp) {
        const Entry entry = at + lane_id() < size ? pool_.slots[at + lane_id()] : kNoEntry;
        const bool passes = entry != kNoEntry && a_.filter.pass(a_.query_begin + query_, row_of(entry));
        const unsigned here = __ballot_sync(kAllLanes, passes);
        const int rank = found + __popc(here & ((1u << lane_id()) - 1u));
        if (passes && rank < wanted) put(rank, entry);
        found += __popc(here);
      }
      found = found < wanted ? found : wanted;
      for (int rank = found + lane_id(); rank < wanted; rank += kWarp) put(rank, kNoEntry);
      if (lane_id() == 0) s_.found = found;
    }
    __syncthreads();
  }
  __device__ __forceinline__ void put(int rank, Entry entry) const {
    const int64_t at = query_ * a_.wanted + rank;
    if (a_.candidates != nullptr) {
      a_.candidates[at] = entry == kNoEntry ? -1 : row_of(entry);
    } else {
      a_.out.neighbour(at, order_of(entry), row_of(entry));
    }
  }

  // Shared walks.

  // Left to a block of its own.
  __device__ __forceinline__ void leave() const {
    if (threadIdx.x == 0) shared_walk().open = shared_walk().begun = 0;
  }

  // The pool, from where it waits.
  __device__ void resume() {
    const SharedWalk& walk = shared_walk();
    __syncthreads();
    pool_.begin(walk.capacity);
    met_ = Met::table;
    if (a_.stage == WalkStage::finish)
      for (int i = static_cast<int>(threadIdx.x); i < 1 << a_.table_bits; i += kThreads) table_[i] = kNoRow;
    if (pool_in_shared())
      for (int i = static_cast<int>(threadIdx.x); i < walk.size; i += kThreads) pool_.slots[i] = own_pool()[i];
    __syncthreads();
    if (threadIdx.x == 0) s_.size = walk.size;
    __syncthreads();
  }

  __device__ void save(bool first) const {
    SharedWalk& walk = shared_walk();
    if (warp_id() == 0) choose_ahead(walk, first);
    if (pool_in_shared())
      for (int i = static_cast<int>(threadIdx.x); i < s_.size; i += kThreads) own_pool()[i] = pool_.slots[i];
    if (threadIdx.x != 0) return;
    walk.size = s_.size;
    walk.capacity = pool_.capacity;
    walk.begun = 1;
    walk.arrived = 0;
  }

  // A slot for each of the smallest that were not expanded; those that have one keep it. Warp 0, a lane a slot.
  __device__ __forceinline__ void choose_ahead(SharedWalk& walk, bool first) const {
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
    if (lane >= kWalkSlots) wanted = kNoEntry;
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

  // The keys of a chosen row's neighbours, but for those that the walk has met.
  __device__ void make_ahead(SharedWalk& walk, int slot) {
    const int32_t* const list = a_.graph.row(row_of(walk.chosen[slot]));
    met_ = Met::asked;
    int at = 0, total = 0;
    do {
      if (warp_id() == 0) gather(list, a_.graph.degree, at);
      __syncthreads();
      at = s_.at;
      const int count = s_.fill;
      if (count > 0) rows_.keys(query_, s_.ids, count, scratch_, s_.batch);
      __syncthreads();
      for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) ahead_of(slot)[total + i] = s_.batch[i];
      total += count;
      __syncthreads();
    } while (at < a_.graph.degree);
    if (threadIdx.x == 0) walk.counts[slot] = total;
  }

  // Expands the smallest, if its keys are there; they count as met from here on.
  __device__ bool take_over(SharedWalk& walk) {
    if (warp_id() == 0) {
      const int place = pool_.smallest_open(), lane = lane_id();
      const Entry entry = place < 0 ? kNoEntry : pool_.slots[place];
      const bool here = place >= 0 && lane < kWalkSlots && walk.chosen[lane] == entry && walk.counts[lane] >= 0;
      const int slot = __ffs(static_cast<int>(__ballot_sync(kAllLanes, here))) - 1;
      if (lane == 0) {
        s_.slot = slot;
        if (slot >= 0) pool_.mark_expanded(place);
      }
    }
    __syncthreads();
    const int slot = s_.slot;
    if (slot < 0) return false;
    const int count = walk.counts[slot];
    for (int first = 0; first < count; first += Room::kBatch) {
      const int here = count - first < Room::kBatch ? count - first : Room::kBatch;
      for (int i = static_cast<int>(threadIdx.x); i < here; i += kThreads) {
        const Entry entry = s_.batch[i] = ahead_of(slot)[first + i];
        atomicExch(place_of(row_of(entry)), static_cast<uint32_t>(row_of(entry)));
      }
      __syncthreads();
      pool_.merge(here);
      __syncthreads();
    }
    if (threadIdx.x == 0) walk.chosen[slot] = kNoEntry;
    __syncthreads();
    return true;
  }

  const Rows& rows_;
  const WalkArgs& a_;
  Room& s_;
  uint32_t* table_;
  WalkPool<kThreads> pool_;
  unsigned char* scratch_;
  int64_t query_ = 0;
  Met met_ = Met::table;
  bool looks_through_ = false;
};

template <class Rows>
__global__ void __launch_bounds__(Rows::kThreads) walk_kernel(const Rows rows, const WalkArgs a) {
  ANNK_DYN_SHARED(unsigned char, shared);
  ANNK_SHARED(typename Walk<Rows>::Room, room, [1]);
  Walk<Rows> walk(rows, a, room[0], shared);
  for (int64_t query = blockIdx.x; query < a.m; query += gridDim.x) walk.run(query);
}

template <class Rows>
__global__ void __launch_bounds__(Rows::kThreads) look_ahead_kernel(const Rows rows, const WalkArgs a) {
  ANNK_DYN_SHARED(unsigned char, shared);
  ANNK_SHARED(typename Walk<Rows>::Room, room, [1]);
  Walk<Rows>(rows, a, room[0], shared).look_ahead(blockIdx.x / kWalkSlots, static_cast<int>(blockIdx.x % kWalkSlots));
}

template <class Rows>
void launch_walk(const Rows& rows, const WalkArgs& a, bool ahead, void* stream) {
  const size_t shared_bytes = Walk<Rows>::shared_bytes(rows, a);
  if (ahead) {
    ANNK_LAUNCH(look_ahead_kernel<Rows>, a.m * kWalkSlots, Rows::kThreads, shared_bytes, stream, rows, a);
  } else {
    ANNK_LAUNCH(walk_kernel<Rows>, a.blocks, Rows::kThreads, shared_bytes, stream, rows, a);
  }
}

}  // namespace annk::cuda
