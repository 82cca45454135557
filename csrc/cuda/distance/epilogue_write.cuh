// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "cuda/distance/arith.cuh"
#include "cuda/distance/epilogue.cuh"

namespace annk::cuda {

// out[q, row - row_begin] = the reported distance, float32 or int32; or its sortable_bits(key), uint32, where
// `sortable` is kSortable. A mask, since ptxas takes a branch out of the loops, and then spills.
struct Write {
  static constexpr bool kBySplits = false;
  static constexpr uint32_t kSortable = ~uint32_t{0};
  uint32_t* out = nullptr;
  int64_t pitch = 0;  // elements
  uint32_t sortable = 0;

  static int64_t shared_bytes(const ScanShape&) { return 0; }
  Write part(const ScanArgs&, int64_t rows, int64_t) const { return {out + rows, pitch, sortable}; }

  template <class Arith, ScanShape kShape>
  struct OfWarp {
    const Write& write;
    const ScanWarp<kShape>& warp;

    __device__ __forceinline__ OfWarp(const Write& w, const ScanWarp<kShape>& of, unsigned char*) : write(w), warp(of) {}
    __device__ __forceinline__ void take(const WarpKeys<kShape>& keys, int row) const {
      uint32_t* to = write.out + warp.query0 * write.pitch + (warp.begin - warp.args.row_begin) + row;
#pragma unroll
      for (int q = 0; q < kShape.queries_per_warp; ++q, to += write.pitch) {
        if (q >= warp.queries) break;
#pragma unroll
        for (int r = 0; r < kShape.rows_per_lane; ++r) {
          const uint32_t reported = reported_bits<Arith>(warp.args.metric, keys[q][r]);
          if (row + r * kWarp < warp.rows) to[r * kWarp] = reported ^ ((reported ^ keys[q][r]) & write.sortable);
        }
      }
    }
    __device__ __forceinline__ void finish() const {}
  };
};

}  // namespace annk::cuda
