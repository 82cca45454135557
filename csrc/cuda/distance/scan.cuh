// SPDX-License-Identifier: Apache-2.0
// The scan kernel: tiles of sums, turned into keys in registers, and there selected, counted or written.
#pragma once
#include "cuda/device/elements.h"
#include "cuda/distance/pairs.cuh"
#include "cuda/distance/tile.cuh"
#include "cuda/select/warp_select.cuh"

namespace annk::cuda {

// What becomes of a warp's keys. Lane q keeps the state of the warp's query q.
template <class Arith, bool kWide>
class Consumer {
  using Shared = TileOf<Arith, kWide>;
  static constexpr int kQ = Shared::kQ, kR = Shared::kR;
  using Keys = uint32_t[kQ][kR];
  using QueryTerm = typename Terms<Arith>::Query;
  using RowTerm = typename Terms<Arith>::Row;

 public:
  static constexpr ScanShape kShape = Shared::kShape;
  static_assert(kQ <= kWarp, "a lane for each query of a warp");

  // Rows count from `begin`, the first of the split.
  __device__ __forceinline__ Consumer(const ScanArgs& args, KeyId* lists, int query0, int64_t begin, int rows)
      : a_(args), begin_(begin), rows_(rows) {
    const int query_warp = warp_id() % kShape.query_warps, row_warp = warp_id() / kShape.query_warps;
    query0_ = query0 + query_warp * kQ;
    lists_ = lists + (row_warp * kShape.queries() + query_warp * kQ) * a_.k;
    queries_ = a_.m - query0_ < kQ ? a_.m - query0_ : kQ;
    const bool mine = lane_id() < queries_;
    limit_ = mine ? a_.limit : 0;
    if (!Terms<Arith>::kRead) query_word_ = mine && a_.query_words != nullptr ? a_.query_words[query0_ + lane_id()] : 0;
    if (a_.job == Job::select)
      for (int i = 0; i < kQ; ++i)
        for (int e = lane_id(); e < a_.k; e += kWarp) lists_[i * a_.k + e] = kNoKeyId;
  }

  __device__ __forceinline__ void take(const Shared& tile, const RowTerm* row_terms, int tile_row) {
    Keys keys;
    const int in_tile = warp_id() / kShape.query_warps * kWarp * kR + lane_id(), row = tile_row + in_tile;
    make_keys(tile, row_terms + in_tile, row, keys);
    if (a_.job == Job::distances || a_.job == Job::keys) {
      write(keys, row);
    } else {
      look_closer(keys, row);
    }
  }

  // Counts go to memory; lists after merge_lists, since other warps may hold lists of the same queries.
  __device__ __forceinline__ void finish_count() const {
    if (lane_id() < queries_) atomicAdd(a_.counts + query0_ + lane_id(), hits_);
  }

 private:
  __device__ __forceinline__ void make_keys(const Shared& tile, const RowTerm* row_terms, int row, Keys& keys) const {
    RowTerm terms[kR];
#pragma unroll
    for (int r = 0; r < kR; ++r) terms[r] = Terms<Arith>::needed(a_.metric) ? row_terms[r * kWarp] : RowTerm{};
    // Query by query: a branch around all keys at once would cost a second register for each.
#pragma unroll
    for (int q = 0; q < kQ; ++q) {
      const QueryTerm query_term = term_of(q);
      visit_list(typename Arith::Metrics{}, a_.metric, [&](auto metric) {
#pragma unroll
        for (int r = 0; r < kR; ++r) keys[q][r] = Arith::key_bits(metric, tile.sums[q][r], query_term, terms[r]);
      });
#pragma unroll
      for (int r = 0; r < kR; ++r) keys[q][r] = row + r * kWarp < rows_ ? keys[q][r] : kNoKey;
    }
  }

  __device__ __forceinline__ QueryTerm term_of(int q) const {
    if constexpr (Terms<Arith>::kRead) {
      return reinterpret_cast<const QueryTerm*>(a_.query_words)[query0_ + q];
    } else {
      return __shfl_sync(kAllLanes, query_word_, q);
    }
  }

  __device__ __forceinline__ bool is_allowed(int q, int row) const {
    return a_.filter.is_allowed(a_.query_begin + query0_ + q, begin_ + row);
  }

  // Few keys lie under the limit, which for a list is its worst entry once it has filled. So first the queries that have
  // any such key are marked, and only they are checked again.
  __device__ __forceinline__ void look_closer(const Keys& keys, int row) {
    unsigned hot = 0;
#pragma unroll
    for (int q = 0; q < kQ; ++q) {
      const uint32_t limit = __shfl_sync(kAllLanes, limit_, q);
      bool any = false;
#pragma unroll
      for (int r = 0; r < kR; ++r) any = any || keys[q][r] < limit;
      if (__any_sync(kAllLanes, any)) hot |= 1u << q;
    }
    while (hot != 0) {
      const int q = __ffs(static_cast<int>(hot)) - 1;
      hot &= hot - 1;
      uint32_t mine[kR];
#pragma unroll
      for (int r = 0; r < kR; ++r) {
        mine[r] = keys[0][r];
#pragma unroll
        for (int i = 1; i < kQ; ++i) mine[r] = i == q ? keys[i][r] : mine[r];
      }
      if (a_.job == Job::count) {
        count(mine, q, row);
      } else if (a_.k <= kWarp) {
        add<1>(mine, q, row);
      } else {
        add<2>(mine, q, row);
      }
    }
  }

  // Rows come in ascending order: a key equal to the worst of a full list never enters.
  template <int kRegisters>
  __device__ __forceinline__ void add(const uint32_t (&mine)[kR], int q, int row) {
    uint32_t limit = __shfl_sync(kAllLanes, limit_, q);
    KeyId* own = lists_ + q * a_.k;
    WarpSelect<kRegisters> list;
    list.load(own, a_.k);
#pragma unroll 1
    for (int r = 0; r < kR; ++r) {
      uint32_t key_bits = mine[0];
#pragma unroll
      for (int i = 1; i < kR; ++i) key_bits = i == r ? mine[i] : key_bits;
      const bool enters = key_bits < limit && is_allowed(q, row + r * kWarp);
      if (!__any_sync(kAllLanes, enters)) continue;
      list.add(enters ? make_key_id(key_bits, static_cast<uint32_t>(row + r * kWarp)) : kNoKeyId);
      limit = key_bits_of(list.worst(a_.k));
    }
    list.store(own, a_.k);
    if (lane_id() == q) limit_ = limit;
  }

  __device__ __forceinline__ void count(const uint32_t (&mine)[kR], int q, int row) {
    const uint32_t limit = __shfl_sync(kAllLanes, limit_, q);
    unsigned hits = 0;
#pragma unroll
    for (int r = 0; r < kR; ++r) hits += __popc(__ballot_sync(kAllLanes, mine[r] < limit && is_allowed(q, row + r * kWarp)));
    if (lane_id() == q) hits_ += hits;
  }

  __device__ __forceinline__ void write(const Keys& keys, int row) const {
    uint32_t* to = static_cast<uint32_t*>(a_.out) + query0_ * a_.out_pitch + (begin_ - a_.row_begin) + row;
#pragma unroll
    for (int q = 0; q < kQ; ++q, to += a_.out_pitch) {
      if (q >= queries_) break;
#pragma unroll
      for (int r = 0; r < kR; ++r) {
        const uint32_t word = a_.job == Job::distances ? reported_bits<Arith>(a_.metric, keys[q][r]) : keys[q][r];
        if (row + r * kWarp < rows_) to[r * kWarp] = word;
      }
    }
  }

  const ScanArgs& a_;
  KeyId* lists_;
  int64_t begin_;
  int rows_, query0_, queries_;
  uint32_t limit_, query_word_, hits_ = 0;
};

// Lists of the same query held by different warps become one, in memory.
template <class Arith, bool kWide, int kRegisters>
__device__ __forceinline__ void merge_lists(const ScanArgs& a, const KeyId* lists, int query0, int64_t split) {
  constexpr ScanShape kShape = TileOf<Arith, kWide>::kShape;
  for (int q = warp_id(); q < kShape.queries() && query0 + q < a.m; q += kScanThreads / kWarp) {
    WarpSelect<kRegisters> list;
    list.load(lists + q * a.k, a.k);
    for (int other = 1; other < kShape.row_warps; ++other)
      for (int e = 0; e < a.k; e += kWarp) {
        const int at = e + lane_id();
        list.merge_sorted(at < a.k ? lists[(other * kShape.queries() + q) * a.k + at] : kNoKeyId);
      }
    list.store(a.lists + (split * a.m + query0 + q) * a.k, a.k);
  }
}

template <class Arith, bool kWide>
__global__ void __launch_bounds__(kScanThreads, TileOf<Arith, kWide>::kShape.min_blocks) scan_kernel(const ScanArgs a) {
  using Shared = TileOf<Arith, kWide>;
  constexpr ScanShape kShape = Shared::kShape;
  constexpr int kOwn = Shared::kRows / kScanThreads;  // rows whose terms a thread sees to
  ANNK_DYN_SHARED(unsigned char, shared);
  const int stage_bytes = Shared::stage_bytes(a.base);
  using RowTerm = typename Terms<Arith>::Row;
  RowTerm* row_terms = reinterpret_cast<RowTerm*>(shared + Shared::kShape.stages * stage_bytes);
  KeyId* lists = reinterpret_cast<KeyId*>(row_terms + Shared::kRows);

  // Blocks of one split run side by side, so that its rows are read from memory once.
  const int64_t split = blockIdx.x / a.query_tiles;
  const int query0 = static_cast<int>(blockIdx.x % a.query_tiles) * kShape.queries();
  if (a.redo != nullptr) {
    const int query = query0 + static_cast<int>(threadIdx.x);
    const bool open = static_cast<int>(threadIdx.x) < kShape.queries() && query < a.m && a.redo[query] > a.redo_above;
    if (!__syncthreads_or(open)) return;
  }
  const int64_t begin = a.row_begin + split * a.splits.rows_each, left = a.row_end - begin;
  const int rows = static_cast<int>(left < a.splits.rows_each ? left : a.splits.rows_each);
  const bool needs_term = Terms<Arith>::needed(a.metric), summed = !Terms<Arith>::kRead && needs_term;
  Consumer<Arith, kWide> consumer(a, lists, query0, begin, rows);

  int fetch_row = 0, fetch_chunk = 0, fetch_stage = 0, stage = 0;
  const auto fetch_next = [&] {
    if (fetch_row < rows)
      Shared::fetch(a, shared + fetch_stage * stage_bytes, begin + fetch_row, rows - fetch_row, query0, fetch_chunk);
    ptx::cp_async_commit();
    fetch_stage = fetch_stage + 1 == kShape.stages ? 0 : fetch_stage + 1;
    if (++fetch_chunk == a.chunks) {
      fetch_chunk = 0;
      fetch_row += Shared::kRows;
    }
  };
#pragma unroll 1
  for (int s = 1; s < kShape.stages; ++s) fetch_next();

  for (int row = 0; row < rows; row += Shared::kRows) {
    Shared tile;
    tile.clear();
    const int own = row + static_cast<int>(threadIdx.x);
    RowTerm term[kOwn]{};  // asked for before the tile's dimensions, so that it is there behind them
    if constexpr (Terms<Arith>::kRead)
#pragma unroll
      for (int i = 0; i < kOwn; ++i)
        if (own + i * kScanThreads < rows) term[i] = Arith::row_term(a.metric, a.base, begin + own + i * kScanThreads);
    for (int chunk = 0; chunk < a.chunks; ++chunk) {
      // The barrier says both that the chunk has arrived for all, and that all are done with the stage fetched next.
      ptx::cp_async_wait<kShape.stages - 2>();
      __syncthreads();
      fetch_next();
      tile.accumulate(a.base, shared + stage * stage_bytes, chunk, summed);
      stage = stage + 1 == kShape.stages ? 0 : stage + 1;
    }
    if (needs_term) {
      if constexpr (!Terms<Arith>::kRead)
        term[0] = Arith::row_word(a.metric, tile.own, own < rows ? a.base.row(begin + own) : nullptr, a.base.dims);
#pragma unroll
      for (int i = 0; i < kOwn; ++i) row_terms[threadIdx.x + i * kScanThreads] = term[i];
      __syncthreads();
    }
    consumer.take(tile, row_terms, row);
  }

  if (a.job == Job::count) consumer.finish_count();
  if (a.job == Job::select) {
    __syncthreads();
    a.k <= kWarp ? merge_lists<Arith, kWide, 1>(a, lists, query0, split)
                 : merge_lists<Arith, kWide, 2>(a, lists, query0, split);
  }
}

template <class Arith, bool kWide>
void launch_scan(const ScanArgs& a, void* stream) {
  require_listed(typename Arith::Metrics{}, a.metric);
  using Shared = TileOf<Arith, kWide>;
  constexpr ScanShape kShape = Shared::kShape;
  const size_t lists = a.job == Job::select ? static_cast<size_t>(kShape.row_warps * kShape.queries()) * a.k : 0;
  const size_t ring = static_cast<size_t>(kShape.stages) * Shared::stage_bytes(a.base);
  const size_t shared_bytes = ring + Shared::kRows * sizeof(typename Terms<Arith>::Row) + lists * sizeof(KeyId);
  const int64_t grid = static_cast<int64_t>(a.query_tiles) * a.splits.count;
  ANNK_LAUNCH((scan_kernel<Arith, kWide>), grid, kScanThreads, shared_bytes, stream, a);
}

// The kernel of a job, of an arithmetic that has one shape, or two.
template <class Arith>
void launch_job_of_one_shape(const ScanArgs& a, bool, void* stream) {
  a.job == Job::pairs || a.job == Job::pair_keys ? launch_pairs<Arith>(a, stream) : launch_scan<Arith, false>(a, stream);
}
template <class Arith>
void launch_job(const ScanArgs& a, bool wide, void* stream) {
  if (a.job == Job::pairs || a.job == Job::pair_keys) return launch_pairs<Arith>(a, stream);
  wide ? launch_scan<Arith, true>(a, stream) : launch_scan<Arith, false>(a, stream);
}

// For rows that widen to float32.
template <class Step>
void scan_widened(const ScanArgs& a, bool wide, void* stream) {
  visit_element(a.base.dtype, [&]<class T>(T) { launch_job<FloatArith<Step, T>>(a, wide, stream); });
}

}  // namespace annk::cuda
