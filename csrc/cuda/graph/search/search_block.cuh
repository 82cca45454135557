// SPDX-License-Identifier: Apache-2.0
// What a block that walks a graph keeps: the pool, what was met, the rows found. Warp 0 chooses rows and gathers their
// neighbours; all threads make the keys and take them into the pool.
//
// What was met is remembered in a table of one place for each hash, where a later row pushes out an earlier one. Forgetting
// costs a key made twice and changes no result: a row that is in the pool is not taken in again, and one that has left it,
// or never came in, is behind a worst that only gets better. Where a walk looks through rows that a filter fails, what it
// comes to does depend on what was met: there each block has a bit for each row.
#pragma once
#include "cuda/graph/search/beam_search.h"
#include "cuda/graph/search/search_buffer.cuh"

namespace annk::cuda {

inline constexpr uint32_t kNoRow = 0xffffffffu;

template <class Rows>
class WalkBlock {
 protected:
  static constexpr int kThreads = Rows::kThreads;

 public:
  using Room = WalkRoom<kThreads>;

  // shared: the table, the pool where it lies there, and what Rows wants.
  __device__ __forceinline__ WalkBlock(const Rows& rows, const WalkArgs& a, Room& s, unsigned char* shared)
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

 protected:
  enum class Met { table, bits, asked };  // asked: the table is read, not written

  // A list of rows that is being read.
  struct List {
    const int32_t* rows = nullptr;
    int length = 0, at = 0;
  };

  __device__ __forceinline__ bool pool_in_shared() const { return a_.room <= kSharedPool; }
  __device__ __forceinline__ int degree() const { return static_cast<int>(a_.graph.degree); }
  __device__ __forceinline__ bool pass(int32_t row) const { return a_.filter.pass(a_.query_begin + query_, row); }

  __device__ __forceinline__ void open(int64_t query) {
    query_ = query;
    if (!pool_in_shared()) pool_.slots = a_.pools + (a_.shared != nullptr ? query : blockIdx.x) * a_.room;
  }

  // An empty pool, and nothing met.
  __device__ __forceinline__ void begin(int64_t window, Met met) {
    pool_.begin(window < a_.graph.rows ? window : a_.graph.rows);
    met_ = met;
    if (met == Met::bits) {
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
  const WalkArgs& a_;
  Room& s_;
  uint32_t* table_;
  WalkPool<kThreads> pool_;
  unsigned char* scratch_;
  int64_t query_;
  Met met_ = Met::table;
};

}  // namespace annk::cuda
