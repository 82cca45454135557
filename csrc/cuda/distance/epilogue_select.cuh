// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "cuda/distance/epilogue.cuh"
#include "cuda/select/warp_select.cuh"

namespace annk::cuda {

// lists[split, q, 0..k) = the best entries of the split among the rows that the filter allows, ascending; positions count
// from the split's first row.
struct Select {
  static constexpr bool kBySplits = true;
  Filter filter;
  KeyId* lists = nullptr;
  int32_t k = 0;

  int64_t shared_bytes(const ScanShape& shape) const {
    return static_cast<int64_t>(shape.row_warps * shape.queries()) * k * static_cast<int64_t>(sizeof(KeyId));
  }
  Select part(const ScanArgs& all, int64_t, int64_t splits) const { return {filter, lists + splits * all.m * k, k}; }

  template <class, ScanShape kShape>
  class OfWarp {
    static constexpr int kQ = kShape.queries_per_warp, kR = kShape.rows_per_lane;

   public:
    // A warp's lists lie in shared memory; their worst entries, once they have filled, are limits in registers.
    __device__ __forceinline__ OfWarp(const Select& select, const ScanWarp<kShape>& warp, unsigned char* shared)
        : s_(select), warp_(warp), lists_(reinterpret_cast<KeyId*>(shared)) {
      limit_ = lane_id() < warp.queries ? kNoKey : 0;
      for (int i = 0; i < kQ; ++i)
        for (int e = lane_id(); e < s_.k; e += kWarp) list_of(i)[e] = kNoKeyId;
    }

    __device__ __forceinline__ void take(const WarpKeys<kShape>& keys, int row) {
      each_query_below(keys, limit_, [&](int q, const QueryKeys<kShape>& mine) {
        s_.k <= kWarp ? add<1>(mine, q, row) : add<2>(mine, q, row);
      });
    }

    __device__ __forceinline__ void finish() const {
      __syncthreads();
      s_.k <= kWarp ? merge<1>() : merge<2>();
    }

   private:
    __device__ __forceinline__ KeyId* list_of(int q) const {
      return lists_ + (warp_.row_warp() * kShape.queries() + warp_.query_warp() * kQ + q) * s_.k;
    }

    // Rows come in ascending order: a key equal to the worst of a full list never enters.
    template <int kRegisters>
    __device__ __forceinline__ void add(const QueryKeys<kShape>& mine, int q, int row) {
      uint32_t limit = __shfl_sync(kAllLanes, limit_, q);
      KeyId* const list_at = list_of(q);
      WarpSelect<kRegisters> list;
      list.load(list_at, s_.k);
#pragma unroll 1
      for (int r = 0; r < kR; ++r) {
        uint32_t key_bits = mine[0];
#pragma unroll
        for (int i = 1; i < kR; ++i) key_bits = i == r ? mine[i] : key_bits;
        const bool enters = key_bits < limit && warp_.is_allowed(s_.filter, q, row + r * kWarp);
        if (!__any_sync(kAllLanes, enters)) continue;
        list.add(enters ? make_key_id(key_bits, static_cast<uint32_t>(row + r * kWarp)) : kNoKeyId);
        limit = key_bits_of(list.worst(s_.k));
      }
      list.store(list_at, s_.k);
      if (lane_id() == q) limit_ = limit;
    }

    // Lists of the same query held by different warps become one, in memory.
    template <int kRegisters>
    __device__ __forceinline__ void merge() const {
      for (int q = warp_id(); q < kShape.queries() && warp_.block_query0 + q < warp_.args.m; q += kScanThreads / kWarp) {
        WarpSelect<kRegisters> list;
        list.load(lists_ + q * s_.k, s_.k);
        for (int other = 1; other < kShape.row_warps; ++other)
          for (int e = 0; e < s_.k; e += kWarp) {
            const int at = e + lane_id();
            list.merge_sorted(at < s_.k ? lists_[(other * kShape.queries() + q) * s_.k + at] : kNoKeyId);
          }
        list.store(s_.lists + (warp_.split * warp_.args.m + warp_.block_query0 + q) * s_.k, s_.k);
      }
    }

    const Select& s_;
    const ScanWarp<kShape>& warp_;
    KeyId* lists_;  // of the block
    uint32_t limit_;
  };
};

}  // namespace annk::cuda
