// SPDX-License-Identifier: Apache-2.0
// The kernels of ops/search_graph.h: a query's search by a block, and a round of searches that several share.
#pragma once
#include "cuda/device/filter_words.cuh"
#include "cuda/graph/reach.cuh"
#include "cuda/graph/search/multi_block_search.cuh"

namespace annk::cuda {

// kNotes: notes what it expands, in Candidates::near.
template <class Rows, bool kNotes = false>
class Walk : protected WaitingWalk<Rows> {
 protected:
  using Base = WaitingWalk<Rows>;
  using Base::a_, Base::kThreads, Base::pool_, Base::query_, Base::s_;
  using typename Base::List, typename Base::Met;

 public:
  using typename Base::Room;

  __device__ __forceinline__ Walk(const Rows& rows, const WalkArgs& a, Room& s, unsigned char* shared)
      : Base(rows, a, s, shared) {}

  // A whole search, or its start or its end.
  __device__ __forceinline__ void run(int64_t query) {
    this->open(query);
    const int64_t passing = count_passing();
    const FilterPlan plan = plan_filter(passing, a_.graph.rows, a_.window);
    if (a_.stage == WalkStage::start) {
      if (plan.exact || plan.looks_through) return this->leave();
      this->table_ = this->own_table();
    }
    for (bool all = plan.exact;; all = true) {
      Hop hop;
      begin_search(all, plan, passing, hop);
      search(all, hop);
      if (a_.stage == WalkStage::start) return this->save(true);
      emit();
      const int64_t least = a_.k < passing ? a_.k : passing;
      if (all || passing == a_.graph.rows || s_.found >= least) return;
    }
  }

 protected:
  // Where a walk has come to. Of warp 0.
  struct Hop {
    List list;
    bool through = false;       // failing rows are looked through
    bool filtered = false;      // in this list
    bool first = true;          // the list is that of the row that is expanded
    bool last = false;          // nothing is expanded
    int next = 0, failing = 0;  // failing rows looked through, and seen
    int found = 0;
  };

  // The walk, or (`all`) every row that passes.
  __device__ __forceinline__ void search(bool all, Hop& hop) {
    int64_t next_word = 0, word;
    uint32_t left = 0;  // a thread's rows of `word`
    for (bool more = true; more;) {
      const bool here = all ? gather_all(next_word, word, left) : warp_id() == 0 && gather(hop);
      if (threadIdx.x == 0) s_.more = here ? 1 : 0;
      __syncthreads();
      more = s_.more != 0;
      const int count = s_.fill;
      this->make_keys(count);
      if (count > 0) pool_.merge(count);
      if (all && threadIdx.x == 0) s_.fill = 0;
    }
  }

 private:
  __device__ __forceinline__ int64_t count_passing() const {
    if (a_.filter.kind == Filter::Kind::none) return a_.graph.rows;
    const int32_t* const parts = a_.passing + (a_.filter.shared() ? 0 : query_ * kPassingParts);
    int64_t sum = 0;
    for (int i = 0; i < kPassingParts; ++i) sum += parts[i];
    return sum;
  }

  __device__ __forceinline__ void begin_search(bool all, const FilterPlan& plan, int64_t passing, Hop& hop) {
    const int64_t most = passing < 1 ? 1 : passing;
    this->begin(!all ? plan.window : a_.wanted < most ? a_.wanted : most, plan.looks_through ? Met::bits : Met::table);
    hop.through = plan.looks_through;
    if (all) {
      if (threadIdx.x == 0) s_.fill = 0;
    } else if (a_.stage == WalkStage::finish && this->shared_walk().begun != 0) {
      this->resume();
    } else {
      hop.list = {a_.graph.entries, static_cast<int>(a_.graph.entry_count), 0};
    }
  }

  // Rows that pass, as many as a batch holds; whether something is left.
  __device__ __forceinline__ bool gather_all(int64_t& next_word, int64_t& word, uint32_t& left) const {
    const int64_t words = (a_.graph.rows + 31) / 32;
    for (;;) {
      if (!__syncthreads_or(left != 0)) {
        if (next_word >= words) return false;
        word = next_word + threadIdx.x;
        left = passing_word(a_.filter, a_.query_begin + query_, word, a_.graph.rows);
        next_word += kThreads;
        continue;
      }
      if (left != 0) s_.ids[atomicAdd(&s_.fill, 1)] = static_cast<int32_t>(32 * word + __ffs(static_cast<int>(left)) - 1);
      left &= left - 1;
      __syncthreads();
      if (s_.fill > Room::kBatch - kThreads) return true;
    }
  }

  // Neighbours of the row that is expanded, or of the next ones as long as there are none; false at the end of the walk.
  __device__ __forceinline__ bool gather(Hop& hop) const {
    int fill = 0;
    bool more = true;
    while (fill <= Room::kBatch - kWarp) {
      if (hop.list.at >= hop.list.length) {
        if (hop.next < hop.failing && hop.found < this->degree()) {
          hop.list = {a_.graph.row(own_failing()[hop.next++]), this->degree(), 0};
          hop.first = false;
        } else {
          if (fill > 0) break;  // they come into the pool before a row is chosen
          more = expand(hop);
          if (!more) break;
        }
      }
      const int32_t row = this->read(hop.list);
      if (hop.filtered) {
        fill = look_through(hop, row, fill);
      } else {
        fill = this->append(fill, row >= 0 && this->meet(row), row);
      }
    }
    if (lane_id() == 0) s_.fill = fill;
    return more;
  }

  // The smallest that was not expanded; false for none.
  __device__ __forceinline__ bool expand(Hop& hop) const {
    const bool ends = kNotes ? hop.last : a_.stage == WalkStage::start;
    const int place = ends ? -1 : pool_.smallest_open();
    if (place < 0) return false;
    const int32_t row = row_of(pool_.slots[place]);
    if (kNotes) note(pool_.slots[place]);
    pool_.mark_expanded(place);
    hop = {{a_.graph.row(row), this->degree(), 0}, hop.through, hop.through, true, false, 0, 0, 0};
    return true;
  }

  // The last `s_.most_noted`, without the row that the walk is to.
  __device__ __forceinline__ void note(Entry entry) const {
    const Candidates& c = a_.candidates;
    if (lane_id() == 0 && row_of(entry) != c.rows[query_]) c.near[query_ * c.most + s_.found++ % s_.most_noted] = entry;
  }

  // Rows that pass are found, those that fail are kept for their neighbours: in the order of the list, since it decides how
  // far the hop goes.
  __device__ __forceinline__ int look_through(Hop& hop, int32_t row, int fill) const {
    const bool passes = row >= 0 && this->pass(row);
    bool fresh = hop.first ? row >= 0 : passes;
    if (hop.first) {  // a row that stands there twice counts where it stands first
      const unsigned equal = __match_any_sync(kAllLanes, row < 0 ? -1 - lane_id() : row);
      fresh = fresh && __ffs(static_cast<int>(equal)) - 1 == lane_id();
    }
    fresh = fresh && this->meet(row);
    const bool fails = fresh && !passes;
    const unsigned failed = __ballot_sync(kAllLanes, fails);
    if (fails) own_failing()[hop.failing + __popc(failed & ((1u << lane_id()) - 1u))] = row;
    hop.failing += __popc(failed);
    const int after = this->append(fill, fresh && passes, row);
    hop.found += after - fill;
    __syncwarp();
    return after;
  }
  __device__ __forceinline__ int32_t* own_failing() const { return a_.failing + blockIdx.x * a_.graph.degree; }

  // The first `wanted` of the pool that pass.
  __device__ __forceinline__ void emit() const {
    if (warp_id() == 0) {
      const int wanted = static_cast<int>(a_.wanted), size = s_.size;
      int found = 0;
      for (int at = 0; at < size && found < wanted; at += kWarp) {
        const Entry entry = at + lane_id() < size ? pool_.slots[at + lane_id()] : kNoEntry;
        const bool passes = entry != kNoEntry && this->pass(row_of(entry));
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
    if (a_.found != nullptr) {
      a_.found[at] = entry == kNoEntry ? -1 : row_of(entry);
    } else {
      a_.out.neighbour(at, order_of(entry), row_of(entry));
    }
  }
};

// Candidates of prunings (growth.h), instead of results.
template <class Rows>
class CandidateWalk : Walk<Rows, true> {
  using Base = Walk<Rows, true>;
  using Base::a_, Base::kThreads, Base::pool_, Base::s_;
  using typename Base::Hop, typename Base::List, typename Base::Met;

 public:
  using typename Base::Room;

  __device__ __forceinline__ CandidateWalk(const Rows& rows, const WalkArgs& a, Room& s, unsigned char* shared)
      : Base(rows, a, s, shared) {}

  __device__ __forceinline__ void find(int64_t query) {
    const Candidates& c = a_.candidates;
    const int most = static_cast<int>(c.most);
    Entry* const near = c.near + query * most;
    const int64_t row = c.rows[query];
    const int own = row < 0 ? 0 : c.lists.states[row].length, room = most - own;
    this->open(query);
    this->begin(row < 0 ? 0 : c.listed ? room : a_.window, Met::table);
    if (threadIdx.x == 0) {
      s_.found = 0;
      s_.most_noted = room;
    }
    // What is met first, and behind it the row's own list, for which there is room.
    for (bool last = room == 0 || (c.listed && c.edges.counts == nullptr); row >= 0; last = true) {
      Hop hop;
      hop.list = list_of(row, last);
      hop.last = c.listed || last;
      if (c.listed && last) pool_.capacity = static_cast<int>(most < a_.graph.rows ? most : a_.graph.rows);
      if (!c.listed && last) sort(near, room);
      this->search(false, hop);
      if (last) break;
    }
    for (int i = static_cast<int>(threadIdx.x); i < most; i += kThreads) near[i] = i < s_.size ? pool_.slots[i] : kNoEntry;
    __syncthreads();
  }

 private:
  __device__ __forceinline__ List list_of(int64_t row, bool own) const {
    const Candidates& c = a_.candidates;
    if (own) return {c.lists.of(row), c.lists.states[row].length, 0};
    if (!c.listed) return {a_.graph.entries, static_cast<int>(a_.graph.entry_count), 0};
    const int64_t count = c.edges.counts[row];
    return {c.edges.sources + (c.edges.ends[row] - count), static_cast<int>(count), 0};
  }

  // What was noted, through a pool that the list fits, too. Of the list nothing counts as met: the pool takes no row twice.
  __device__ __forceinline__ void sort(const Entry* near, int room) {
    const int noted = s_.found < room ? s_.found : room;
    this->begin(a_.candidates.most, Met::table);
    for (int first = 0; first < noted; first += Room::kBatch) {
      const int here = noted - first < Room::kBatch ? noted - first : Room::kBatch;
      for (int i = static_cast<int>(threadIdx.x); i < here; i += kThreads) s_.batch[i] = near[first + i];
      __syncthreads();
      pool_.merge(here);
    }
  }
};

template <class Rows>
__global__ void __launch_bounds__(Rows::kThreads, Rows::kBlocks) walk_kernel(const Rows rows, const WalkArgs a) {
  ANNK_DYN_SHARED(unsigned char, shared);
  ANNK_SHARED(typename Walk<Rows>::Room, room, [1]);
  Walk<Rows> walk(rows, a, room[0], shared);
  for (int64_t query = blockIdx.x; query < a.m; query += gridDim.x) walk.run(query);
}

template <class Rows>
__global__ void __launch_bounds__(Rows::kThreads, Rows::kBlocks) look_ahead_kernel(const Rows rows, const WalkArgs a) {
  ANNK_DYN_SHARED(unsigned char, shared);
  ANNK_SHARED(typename LookAhead<Rows>::Room, room, [1]);
  LookAhead<Rows>(rows, a, room[0], shared).run(blockIdx.x / kWalkSlots, static_cast<int>(blockIdx.x % kWalkSlots));
}

// Walks towards rows out of reach, one after the other: each gives an edge to one, which may bring others within reach. One
// block, which may have twice the registers of a walk; where no number of blocks is given, nvcc spills to have more of them.
template <class Rows>
__global__ void __launch_bounds__(Rows::kThreads, Rows::kBlocks / 2) attach_kernel(const Rows rows, const WalkArgs a) {
  ANNK_DYN_SHARED(unsigned char, shared);
  ANNK_SHARED(typename Walk<Rows>::Room, room, [1]);
  Walk<Rows> walk(rows, a, room[0], shared);
  const ReachBlock<Rows::kThreads> block{a.reach};
  for (int64_t query = 0; query < a.m; ++query) {
    const int64_t row = a.reach.lost[query];
    if (row < 0) return;
    if (a.reach.parents[row] >= 0) continue;
    walk.run(query);
    block.attach(row, a.found + query * a.wanted, a.wanted);
  }
}

template <class Rows>
__global__ void __launch_bounds__(Rows::kThreads, Rows::kBlocks) candidates_kernel(const Rows rows, const WalkArgs a) {
  ANNK_DYN_SHARED(unsigned char, shared);
  ANNK_SHARED(typename CandidateWalk<Rows>::Room, room, [1]);
  CandidateWalk<Rows> walk(rows, a, room[0], shared);
  for (int64_t query = blockIdx.x; query < a.m; query += gridDim.x) walk.find(query);
}

template <class Rows>
void launch_walk(const Rows& rows, const WalkArgs& a, bool ahead, void* stream) {
  const size_t shared_bytes = WalkBlock<Rows>::shared_bytes(rows, a);
  if (ahead) {
    ANNK_LAUNCH(look_ahead_kernel<Rows>, a.m * kWalkSlots, Rows::kThreads, shared_bytes, stream, rows, a);
  } else if (a.stage == WalkStage::attach) {
    ANNK_LAUNCH(attach_kernel<Rows>, 1, Rows::kThreads, shared_bytes, stream, rows, a);
  } else if (a.stage == WalkStage::candidates) {
    ANNK_LAUNCH(candidates_kernel<Rows>, a.blocks, Rows::kThreads, shared_bytes, stream, rows, a);
  } else {
    ANNK_LAUNCH(walk_kernel<Rows>, a.blocks, Rows::kThreads, shared_bytes, stream, rows, a);
  }
}

}  // namespace annk::cuda
