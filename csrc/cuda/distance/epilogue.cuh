// SPDX-License-Identifier: Apache-2.0
// What becomes of the keys of a scan: an epilogue, which the scan kernel is compiled with. It gets a tile's keys while they
// lie in registers. An epilogue E is a plain struct, which the launch passes to the kernel as it is:
//   kBySplits                    whether what it writes goes by splits; a scan in parts is then cut into whole splits
//   shared_bytes(shape)          of shared memory that a block wants
//   part(all, rows, splits)      the epilogue of a part of the scan `all`, behind so many of its rows and splits
//   OfWarp<Arith, kShape>        what a warp does and keeps; lane q keeps the state of the warp's query q
//     OfWarp(e, warp, shared)    before the first tile
//     take(keys, row)            keys[q][r]: of query warp.query0 + q and row `row + 32 r` of the split, kNoKey beyond its
//                                end; `row` differs from lane to lane, and ascends from call to call
//     finish()                   after the last tile, by all threads of the block
// launch_scan<Arith, kWide> takes any epilogue; those of epilogues.h are compiled for every arithmetic.
#pragma once
#include <concepts>

#include "cuda/device/key_id.cuh"
#include "cuda/distance/scan.h"

namespace annk::cuda {

// What a warp scans: rows [begin, begin + rows) of the base, a split, under queries [query0, query0 + queries).
template <ScanShape kShape>
struct ScanWarp {
  const ScanArgs& args;
  int64_t split, begin;
  int rows, block_query0, query0, queries;

  // block_query0: the first query of the block, whose warps share them out.
  __device__ __forceinline__ ScanWarp(const ScanArgs& a, int64_t of_split, int query_of_block)
      : args(a), split(of_split), begin(a.row_begin + of_split * a.splits.rows_each), block_query0(query_of_block) {
    const int64_t left = a.row_end - begin;
    rows = static_cast<int>(left < a.splits.rows_each ? left : a.splits.rows_each);
    query0 = block_query0 + query_warp() * kShape.queries_per_warp;
    queries = a.m - query0 < kShape.queries_per_warp ? a.m - query0 : kShape.queries_per_warp;
  }
  __device__ static __forceinline__ int query_warp() { return warp_id() % kShape.query_warps; }
  __device__ static __forceinline__ int row_warp() { return warp_id() / kShape.query_warps; }
  __device__ __forceinline__ bool is_allowed(const Filter& filter, int q, int row) const {
    return filter.is_allowed(args.query_begin + query0 + q, begin + row);
  }
};

template <ScanShape kShape>
using WarpKeys = uint32_t[kShape.queries_per_warp][kShape.rows_per_lane];
template <ScanShape kShape>
using QueryKeys = uint32_t[kShape.rows_per_lane];

template <class W, class E, ScanShape kShape>
concept EpilogueOfWarp = requires(W of_warp, const E& epilogue, const ScanWarp<kShape>& warp, unsigned char* shared,
                                  const WarpKeys<kShape>& keys, int row) {
  W(epilogue, warp, shared);
  of_warp.take(keys, row);
  of_warp.finish();
};
template <class E, class Arith, ScanShape kShape>
concept Epilogue = std::is_trivially_copyable_v<E> && requires(const E& epilogue, const ScanArgs& all, int64_t count) {
  { E::kBySplits } -> std::convertible_to<bool>;
  { epilogue.shared_bytes(kShape) } -> std::same_as<int64_t>;
  { epilogue.part(all, count, count) } -> std::same_as<E>;
  requires EpilogueOfWarp<typename E::template OfWarp<Arith, kShape>, E, kShape>;
};

// body(q, of q's keys in this lane) for each query of the warp of which a lane holds a key below the limit that lane q
// gives. Few keys are: so first the queries that have any are marked, and only they are looked at again.
template <int kQ, int kR, class Body>
__device__ __forceinline__ void each_query_below(const uint32_t (&keys)[kQ][kR], uint32_t limit_of_lane, Body&& body) {
  unsigned hot = 0;
#pragma unroll
  for (int q = 0; q < kQ; ++q) {
    const uint32_t limit = __shfl_sync(kAllLanes, limit_of_lane, q);
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
    body(q, mine);
  }
}

}  // namespace annk::cuda
