// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "cuda/distance/epilogue.cuh"

namespace annk::cuda {

// counts[q] += rows that the filter allows and whose sortable_bits(key) < limit.
struct Count {
  static constexpr bool kBySplits = false;
  Filter filter;
  unsigned long long* counts = nullptr;
  uint32_t limit = 0;

  static int64_t shared_bytes(const ScanShape&) { return 0; }
  Count part(const ScanArgs&, int64_t, int64_t) const { return *this; }

  template <class, ScanShape kShape>
  struct OfWarp {
    const Count& count;
    const ScanWarp<kShape>& warp;
    unsigned hits = 0;

    __device__ __forceinline__ OfWarp(const Count& c, const ScanWarp<kShape>& of, unsigned char*) : count(c), warp(of) {}
    __device__ __forceinline__ void take(const WarpKeys<kShape>& keys, int row) {
      const uint32_t limit = lane_id() < warp.queries ? count.limit : 0;
      each_query_below(keys, limit, [&](int q, const QueryKeys<kShape>& mine) {
        unsigned here = 0;
#pragma unroll
        for (int r = 0; r < kShape.rows_per_lane; ++r) {
          const bool hit = mine[r] < count.limit && warp.is_allowed(count.filter, q, row + r * kWarp);
          here += __popc(__ballot_sync(kAllLanes, hit));
        }
        if (lane_id() == q) hits += here;
      });
    }
    __device__ __forceinline__ void finish() const {
      if (lane_id() < warp.queries) atomicAdd(count.counts + warp.query0 + lane_id(), hits);
    }
  };
};

}  // namespace annk::cuda
