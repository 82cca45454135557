// SPDX-License-Identifier: Apache-2.0
// The kernels of ops/search_graph.h: a query's search by a block, and a round of searches that several share.
#pragma once
#include "cuda/device/filter_words.cuh"
#include "cuda/graph/reach.cuh"
#include "cuda/graph/search/multi_block_search.cuh"

namespace annk::cuda {

// kNotes: notes what it expands, in Candidates::near.
template <class Rows, bool kNotes = false>
class SingleBlockSearch : protected ResumableSearch<Rows> {
 protected:
  using Parent = ResumableSearch<Rows>;
  using Parent::a_, Parent::kThreads, Parent::buffer_, Parent::query_, Parent::s_;
  using typename Parent::List, typename Parent::Visited;

 public:
  using typename Parent::Room;

  __device__ __forceinline__ SingleBlockSearch(const Rows& rows, const BeamSearchArgs& a, Room& s, unsigned char* shared)
      : Parent(rows, a, s, shared) {}

  // A search from start to end, or its start or its end. Both kinds of search share one loop, so that a kernel holds the
  // code of the keys once.
  __device__ __forceinline__ void run(int64_t query) {
    this->open(query);
    const FilterPlan plan = plan_filter(count_allowed(), a_.graph.rows, a_.window);
    if (a_.stage == SearchStage::start) {
      if (plan.filtered) return this->leave();
      this->table_ = this->own_table();
    }
    bool all = plan.exact;  // compares every allowed row
    for (;;) {
      Hop hop;
      begin_search(all, plan, hop);
      search(all, hop);
      if (a_.stage == SearchStage::start) return this->save(true);
      if (all || !plan.filtered || s_.ended != 0) return emit();
      all = true;
    }
  }

 protected:
  // The state of the search and of its present hop. Of warp 0.
  struct Hop {
    List list;
    bool two_hop = false;        // excluded rows are not scored
    bool first = true;           // the list is that of the row that is expanded
    bool last = false;           // nothing is expanded
    int next = 0, excluded = 0;  // excluded rows expanded, and seen
    int found = 0;
    // Under a filter, as in cpu/graph/filtered_search.h.
    FilterPlan plan;
    bool judged = false;
    int expanded = 0;  // allowed rows
    int64_t least = 0;
  };

  // Searches the graph, or (`all`) compares every allowed row.
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
      if (count > 0) buffer_.merge(count);
      if (all && threadIdx.x == 0) s_.fill = 0;
    }
  }

 private:
  __device__ __forceinline__ int64_t count_allowed() const {
    if (a_.filter.kind == Filter::Kind::none) return a_.graph.rows;
    const int32_t* const parts = a_.allowed + (a_.filter.shared() ? 0 : query_ * kAllowedParts);
    int64_t sum = 0;
    for (int i = 0; i < kAllowedParts; ++i) sum += parts[i];
    return sum;
  }

  __device__ __forceinline__ void begin_search(bool all, const FilterPlan& plan, Hop& hop) {
    const int64_t most = plan.allowed < 1 ? 1 : plan.allowed;
    this->begin(!all ? plan.steps : a_.wanted < most ? a_.wanted : most, plan.filtered ? Visited::bits : Visited::table);
    hop.plan = plan;
    if (threadIdx.x == 0) s_.ended = 0;
    if (all) {
      if (threadIdx.x == 0) s_.fill = 0;
    } else if (a_.stage == SearchStage::finish && this->shared_search().begun != 0) {
      this->resume();
    } else {
      hop.list = {a_.graph.entry_points, static_cast<int>(a_.graph.entry_point_count), 0};
    }
  }

  // Allowed rows, as many as a batch holds; whether something is left.
  __device__ __forceinline__ bool gather_all(int64_t& next_word, int64_t& word, uint32_t& left) const {
    const int64_t words = (a_.graph.rows + 31) / 32;
    for (;;) {
      if (!__syncthreads_or(left != 0)) {
        if (next_word >= words) return false;
        word = next_word + threadIdx.x;
        left = allowed_word(a_.filter, a_.query_begin + query_, word, a_.graph.rows);
        next_word += kThreads;
        continue;
      }
      if (left != 0) s_.ids[atomicAdd(&s_.fill, 1)] = static_cast<int32_t>(32 * word + __ffs(static_cast<int>(left)) - 1);
      left &= left - 1;
      __syncthreads();
      if (s_.fill > Room::kBatch - kThreads) return true;
    }
  }

  // Neighbors of the row that is expanded, or of the next ones as long as there are none; false at the end of the search.
  __device__ __forceinline__ bool gather(Hop& hop) const {
    int fill = 0;
    bool more = true;
    while (fill <= Room::kBatch - kWarp) {
      if (hop.list.at >= hop.list.length) {
        if (hop.next < hop.excluded && hop.found < this->degree()) {
          hop.list = {a_.graph.row(excluded_of_block()[hop.next++]), this->degree(), 0};
          hop.first = false;
        } else {
          if (fill > 0) break;  // they come into the buffer before a row is chosen
          more = expand(hop);
          if (!more) break;
        }
      }
      const int32_t row = this->read(hop.list);
      if (hop.two_hop) {
        fill = gather_two_hop(hop, row, fill);
      } else {
        fill = this->append(fill, row >= 0 && this->visit(row), row);
      }
    }
    if (lane_id() == 0) s_.fill = fill;
    return more;
  }

  // The smallest that was not expanded; false for none.
  __device__ __forceinline__ bool expand(Hop& hop) const {
    const bool ends = kNotes ? hop.last : a_.stage == SearchStage::start;
    int place = ends ? -1 : buffer_.smallest_open(!kNotes && !hop.plan.filtered ? a_.expand : INT32_MAX);
    if (!kNotes && hop.plan.filtered) place = choose(hop, place);
    if (place < 0) return false;
    const int32_t row = row_of(buffer_.slots[place]);
    if (kNotes) note(buffer_.slots[place]);
    buffer_.mark_expanded(place);
    hop.list = {a_.graph.row(row), this->degree(), 0};
    hop.first = true;
    hop.next = hop.excluded = hop.found = 0;
    return true;
  }

  // What of the smallest, at `place`, becomes of a search under a filter: -1 at its end.
  __device__ __forceinline__ int choose(Hop& hop, int place) const {
    if (place < 0) return -1;
    const int confirmed = hop.expanded >= kSample ? allowed_before(place) : 0;
    int next = place;
    if (!hop.judged && confirmed >= kSample) {
      hop.judged = true;
      hop.least = hop.plan.least(place);
      hop.two_hop = hop.plan.is_two_hop(place);
      if (hop.two_hop) {
        drop_excluded(place);
        next = buffer_.smallest_open();
      }
    }
    if (!hop.judged && hop.plan.is_hopeless(place)) return -1;
    if (confirmed >= hop.plan.window && place >= hop.least) {
      if (lane_id() == 0) s_.ended = 1;
      return -1;
    }
    if (next >= 0 && this->is_allowed(row_of(buffer_.slots[next]))) ++hop.expanded;
    return next;
  }
  __device__ __forceinline__ int allowed_before(int place) const {
    int count = 0;
    for (int at = 0; at < place; at += kWarp) {
      const bool mine = at + lane_id() < place;
      count += __popc(__ballot_sync(kAllLanes, mine && this->is_allowed(row_of(buffer_.slots[mine ? at + lane_id() : 0]))));
    }
    return count;
  }
  // Excluded rows from `place` on that were not expanded leave the buffer, and may be visited again.
  __device__ __forceinline__ void drop_excluded(int place) const {
    const int size = s_.size;
    int count = place;
    for (int at = place; at < size; at += kWarp) {
      const bool mine = at + lane_id() < size;
      const KeyId key_id = mine ? buffer_.slots[at + lane_id()] : kNoKeyId;
      const bool kept = mine && (expanded(key_id) || this->is_allowed(row_of(key_id)));
      if (mine && !kept) this->forget(row_of(key_id));
      const unsigned all = __ballot_sync(kAllLanes, kept);
      __syncwarp();  // all have read
      if (kept) buffer_.slots[count + __popc(all & ((1u << lane_id()) - 1u))] = key_id;
      count += __popc(all);
      __syncwarp();
    }
    if (lane_id() == 0) s_.size = count;
    __syncwarp();
  }

  // The last `s_.most_noted`, without the row that the search is to.
  __device__ __forceinline__ void note(KeyId key_id) const {
    const Candidates& c = a_.candidates;
    if (lane_id() == 0 && row_of(key_id) != c.rows[query_]) c.near[query_ * c.most + s_.noted++ % s_.most_noted] = key_id;
  }

  // Appends allowed rows and keeps excluded ones for their neighbors, in the order of the list, since it decides how far the
  // hop goes.
  __device__ __forceinline__ int gather_two_hop(Hop& hop, int32_t row, int fill) const {
    const bool allowed = row >= 0 && this->is_allowed(row);
    bool fresh = hop.first ? row >= 0 : allowed;
    if (hop.first) {  // a row that stands there twice counts where it stands first
      const unsigned equal = __match_any_sync(kAllLanes, row < 0 ? -1 - lane_id() : row);
      fresh = fresh && __ffs(static_cast<int>(equal)) - 1 == lane_id();
    }
    fresh = fresh && this->visit(row);
    const bool is_excluded = fresh && !allowed;
    const unsigned excluded = __ballot_sync(kAllLanes, is_excluded);
    if (is_excluded) excluded_of_block()[hop.excluded + __popc(excluded & ((1u << lane_id()) - 1u))] = row;
    hop.excluded += __popc(excluded);
    const int after = this->append(fill, fresh && allowed, row);
    hop.found += after - fill;
    __syncwarp();
    return after;
  }
  __device__ __forceinline__ int32_t* excluded_of_block() const { return a_.excluded + blockIdx.x * a_.graph.degree; }

  // The first `wanted` allowed rows of the buffer.
  __device__ __forceinline__ void emit() const {
    if (warp_id() == 0) {
      const int wanted = static_cast<int>(a_.wanted), size = s_.size;
      int found = 0;
      for (int at = 0; at < size && found < wanted; at += kWarp) {
        const KeyId key_id = at + lane_id() < size ? buffer_.slots[at + lane_id()] : kNoKeyId;
        const bool allowed = key_id != kNoKeyId && this->is_allowed(row_of(key_id));
        const unsigned here = __ballot_sync(kAllLanes, allowed);
        const int rank = found + __popc(here & ((1u << lane_id()) - 1u));
        if (allowed && rank < wanted) put(rank, key_id);
        found += __popc(here);
      }
      found = found < wanted ? found : wanted;
      for (int rank = found + lane_id(); rank < wanted; rank += kWarp) put(rank, kNoKeyId);
    }
    __syncthreads();
  }
  __device__ __forceinline__ void put(int rank, KeyId key_id) const {
    const int64_t at = query_ * a_.wanted + rank;
    if (a_.found != nullptr) {
      a_.found[at] = key_id == kNoKeyId ? -1 : row_of(key_id);
    } else {
      a_.out.neighbor(at, key_bits_of(key_id), row_of(key_id));
    }
  }
};

// Candidates of prunings (growth.h), instead of results.
template <class Rows>
class CandidateSearch : SingleBlockSearch<Rows, true> {
  using Parent = SingleBlockSearch<Rows, true>;
  using Parent::a_, Parent::kThreads, Parent::buffer_, Parent::s_;
  using typename Parent::Hop, typename Parent::List, typename Parent::Visited;

 public:
  using typename Parent::Room;

  __device__ __forceinline__ CandidateSearch(const Rows& rows, const BeamSearchArgs& a, Room& s, unsigned char* shared)
      : Parent(rows, a, s, shared) {}

  __device__ __forceinline__ void find(int64_t query) {
    const Candidates& c = a_.candidates;
    const int most = static_cast<int>(c.most);
    KeyId* const near = c.near + query * most;
    const int64_t row = c.rows[query];
    const int length = row < 0 ? 0 : c.lists.states[row].length, room = most - length;
    this->open(query);
    this->begin(row < 0 ? 0 : c.listed ? room : a_.window, Visited::table);
    if (threadIdx.x == 0) {
      s_.noted = 0;
      s_.most_noted = room;
    }
    // The search comes first, and then the row's present list, for which there is room.
    for (bool last = room == 0 || (c.listed && c.edges.counts == nullptr); row >= 0; last = true) {
      Hop hop;
      hop.list = list_of(row, last);
      hop.last = c.listed || last;
      if (c.listed && last) buffer_.capacity = static_cast<int>(most < a_.graph.rows ? most : a_.graph.rows);
      if (!c.listed && last) sort(near, room);
      this->search(false, hop);
      if (last) break;
    }
    for (int i = static_cast<int>(threadIdx.x); i < most; i += kThreads) near[i] = i < s_.size ? buffer_.slots[i] : kNoKeyId;
    __syncthreads();
  }

 private:
  __device__ __forceinline__ List list_of(int64_t row, bool growing) const {
    const Candidates& c = a_.candidates;
    if (growing) return {c.lists.of(row), c.lists.states[row].length, 0};
    if (!c.listed) return {a_.graph.entry_points, static_cast<int>(a_.graph.entry_point_count), 0};
    const int64_t count = c.edges.counts[row];
    return {c.edges.sources + (c.edges.ends[row] - count), static_cast<int>(count), 0};
  }

  // What was noted, through a buffer that the list fits, too. No row of the list counts as visited: the buffer takes no row
  // twice.
  __device__ __forceinline__ void sort(const KeyId* near, int room) {
    const int noted = s_.noted < room ? s_.noted : room;
    this->begin(a_.candidates.most, Visited::table);
    for (int first = 0; first < noted; first += Room::kBatch) {
      const int here = noted - first < Room::kBatch ? noted - first : Room::kBatch;
      for (int i = static_cast<int>(threadIdx.x); i < here; i += kThreads) s_.batch[i] = near[first + i];
      __syncthreads();
      buffer_.merge(here);
    }
  }
};

template <class Rows>
__global__ void __launch_bounds__(Rows::kThreads, Rows::kBlocks)
    single_block_kernel(const Rows rows, const BeamSearchArgs a) {
  ANNK_DYN_SHARED(unsigned char, shared);
  ANNK_SHARED(typename SingleBlockSearch<Rows>::Room, room, [1]);
  SingleBlockSearch<Rows> search(rows, a, room[0], shared);
  for (int64_t query = blockIdx.x; query < a.m; query += gridDim.x) search.run(query);
}

template <class Rows>
__global__ void __launch_bounds__(Rows::kThreads, Rows::kBlocks)
    multi_block_kernel(const Rows rows, const BeamSearchArgs a) {
  ANNK_DYN_SHARED(unsigned char, shared);
  ANNK_SHARED(typename MultiBlockRound<Rows>::Room, room, [1]);
  MultiBlockRound<Rows>(rows, a, room[0], shared)
      .run(blockIdx.x / kSearchSlots, static_cast<int>(blockIdx.x % kSearchSlots));
}

// Searches towards rows out of reach, one after the other: each gives an edge to one, which may bring others within reach.
// One block, which may have twice the registers of a search; where no number of blocks is given, nvcc spills to have more of
// them.
template <class Rows>
__global__ void __launch_bounds__(Rows::kThreads, Rows::kBlocks / 2) attach_kernel(const Rows rows, const BeamSearchArgs a) {
  ANNK_DYN_SHARED(unsigned char, shared);
  ANNK_SHARED(typename SingleBlockSearch<Rows>::Room, room, [1]);
  SingleBlockSearch<Rows> search(rows, a, room[0], shared);
  const ReachBlock<Rows::kThreads> block{a.reach};
  for (int64_t query = 0; query < a.m; ++query) {
    const int64_t row = a.reach.lost[query];
    if (row < 0) return;
    if (a.reach.parents[row] >= 0) continue;
    search.run(query);
    block.attach(row, a.found + query * a.wanted, a.wanted);
  }
}

template <class Rows>
__global__ void __launch_bounds__(Rows::kThreads, Rows::kBlocks) candidates_kernel(const Rows rows, const BeamSearchArgs a) {
  ANNK_DYN_SHARED(unsigned char, shared);
  ANNK_SHARED(typename CandidateSearch<Rows>::Room, room, [1]);
  CandidateSearch<Rows> search(rows, a, room[0], shared);
  for (int64_t query = blockIdx.x; query < a.m; query += gridDim.x) search.find(query);
}

template <class Rows>
void launch_beam_search(const Rows& rows, const BeamSearchArgs& a, bool ahead, void* stream) {
  const size_t shared_bytes = SearchBlock<Rows>::shared_bytes(rows, a);
  if (ahead) {
    ANNK_LAUNCH(multi_block_kernel<Rows>, a.m * kSearchSlots, Rows::kThreads, shared_bytes, stream, rows, a);
  } else if (a.stage == SearchStage::attach) {
    ANNK_LAUNCH(attach_kernel<Rows>, 1, Rows::kThreads, shared_bytes, stream, rows, a);
  } else if (a.stage == SearchStage::candidates) {
    ANNK_LAUNCH(candidates_kernel<Rows>, a.blocks, Rows::kThreads, shared_bytes, stream, rows, a);
  } else {
    ANNK_LAUNCH(single_block_kernel<Rows>, a.blocks, Rows::kThreads, shared_bytes, stream, rows, a);
  }
}

}  // namespace annk::cuda
