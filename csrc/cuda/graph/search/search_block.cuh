// SPDX-License-Identifier: Apache-2.0
// What a block that searches a graph keeps: the buffer, the set of visited rows, the rows found. Warp 0 chooses rows and
// gathers their neighbors; all threads make the keys and take them into the buffer.
//
// Visited rows stand in a table of one place for each hash, where a later row pushes out an earlier one. Forgetting a row
// costs a key made twice and changes no result: a row that is in the buffer is not taken in again, and one that has left it,
// or never came in, is behind a worst that only gets better. What a two-hop search visits does depend on what it visited
// before: there each block has a bit for each row.
#pragma once
#include "cuda/graph/search/beam_search.h"
#include "cuda/graph/search/search_buffer.cuh"

namespace annk::cuda {

inline constexpr uint32_t kNoRow = 0xffffffffu;

template <class Rows>
class SearchBlock {
 protected:
  static constexpr int kThreads = Rows::kThreads;

 public:
  using Room = BlockState<kThreads>;

  // shared: the table, the buffer where it lies there, and what Rows wants.
  __device__ __forceinline__ SearchBlock(const Rows& rows, const BeamSearchArgs& a, Room& s, unsigned char* shared)
      : rows_(rows), a_(a), s_(s), table_(reinterpret_cast<uint32_t*>(shared)), buffer_{s, nullptr, 0} {
    unsigned char* next = shared + (sizeof(uint32_t) << a.table_bits);
    if (buffer_in_shared()) {
      buffer_.slots = reinterpret_cast<KeyId*>(next);
      next += a.room * sizeof(KeyId);
    }
    scratch_ = next;
  }
  static size_t shared_bytes(const Rows& rows, const BeamSearchArgs& a) {
    const size_t buffer = a.room <= kSharedBuffer ? static_cast<size_t>(a.room) * sizeof(KeyId) : 0;
    return (sizeof(uint32_t) << a.table_bits) + buffer + rows.scratch_bytes();
  }

 protected:
  enum class Visited { table, bits, asked };  // asked: the table is read, not written

  // A list of rows that is being read.
  struct List {
    const int32_t* rows = nullptr;
    int length = 0, at = 0;
  };

  __device__ __forceinline__ bool buffer_in_shared() const { return a_.room <= kSharedBuffer; }
  __device__ __forceinline__ int degree() const { return static_cast<int>(a_.graph.degree); }
  __device__ __forceinline__ bool is_allowed(int32_t row) const {
    return a_.filter.is_allowed(a_.query_begin + query_, row);
  }

  __device__ __forceinline__ void open(int64_t query) {
    query_ = query;
    if (!buffer_in_shared()) buffer_.slots = a_.buffers + (a_.shared != nullptr ? query : blockIdx.x) * a_.room;
  }

  // An empty buffer, and no row visited.
  __device__ __forceinline__ void begin(int64_t window, Visited how) {
    buffer_.begin(window < a_.graph.rows ? window : a_.graph.rows);
    visited_ = how;
    if (how == Visited::bits) {
      uint32_t* const bits = own_bits();
      for (int64_t i = threadIdx.x; i < a_.visited_words; i += kThreads) bits[i] = 0;
    } else {
      for (int i = static_cast<int>(threadIdx.x); i < 1 << a_.table_bits; i += kThreads) table_[i] = kNoRow;
    }
    __syncthreads();
  }

  // True where the row was not visited, as far as is known. Warp 0.
  __device__ __forceinline__ bool visit(int32_t row) const {
    if (visited_ == Visited::bits) {
      const uint32_t bit = 1u << (row & 31);
      return (atomicOr(own_bits() + (row >> 5), bit) & bit) == 0;
    }
    uint32_t* const place = place_of(row);
    if (visited_ == Visited::asked) return *place != static_cast<uint32_t>(row);
    return atomicExch(place, static_cast<uint32_t>(row)) != static_cast<uint32_t>(row);
  }
  // Of rows that have a bit. Warp 0.
  __device__ __forceinline__ void forget(int32_t row) const { atomicAnd(own_bits() + (row >> 5), ~(1u << (row & 31))); }
  // Fibonacci hashing: the upper bits of a product by 2^32 / phi.
  __device__ __forceinline__ uint32_t* place_of(int32_t row) const {
    return table_ + (static_cast<uint32_t>(row) * 2654435769u >> (32 - a_.table_bits));
  }
  __device__ __forceinline__ uint32_t* own_bits() const { return a_.visited + blockIdx.x * a_.visited_words; }

  // A lane's row of the next 32 of a list, -1 behind its end, which a -1 in it is, too. Warp 0.
  __device__ __forceinline__ int32_t read(List& list) const {
    const int place = list.at + lane_id();
    const int32_t row = place < list.length ? list.rows[place] : -1;
    const unsigned ends = __ballot_sync(kAllLanes, row < 0);
    list.at = ends != 0 ? list.length : list.at + kWarp;
    return ends != 0 && lane_id() >= __ffs(static_cast<int>(ends)) - 1 ? -1 : row;
  }
  // Puts a lane's row, where `wanted`, behind ids[0, fill). Warp 0.
  __device__ __forceinline__ int append(int fill, bool wanted, int32_t row) const {
    const unsigned found = __ballot_sync(kAllLanes, wanted);
    if (wanted) s_.ids[fill + __popc(found & ((1u << lane_id()) - 1u))] = row;
    return fill + __popc(found);
  }

  // The keys of ids[0, count) in s_.batch. Called from one place of a kernel, since it is most of its code.
  __device__ __forceinline__ void make_keys(int count) const {
    if (count > 0) rows_.keys(query_, s_.ids, count, scratch_, s_.batch);
    __syncthreads();
  }

  const Rows& rows_;
  const BeamSearchArgs& a_;
  Room& s_;
  uint32_t* table_;
  SearchBuffer<kThreads> buffer_;
  unsigned char* scratch_;
  int64_t query_;
  Visited visited_ = Visited::table;
};

}  // namespace annk::cuda
