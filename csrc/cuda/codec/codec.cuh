// SPDX-License-Identifier: Apache-2.0
// Rows of a compressed store from and to float32 on the device. A codec is a plain struct made from a Dataset:
//   kLanes                           threads that share a row: a power of two, at most a warp
//   scratch_floats                   of shared memory, lent to each row
//   encode_row(team, x, row, scratch)    x(j) is element j, finite; false, for all of the team: the store cannot hold it
//   decode_row(team, row, out, scratch)  dims floats
// Both give the bytes of the store's codec on the CPU (cpu/codec/<kind>_codec.h).
#pragma once
#include "cuda/device/device.cuh"

namespace annk::cuda {

// The threads of a row. The others of the warp may be elsewhere.
template <int kLanes>
struct RowTeam {
  static_assert(kLanes <= kWarp && (kLanes & (kLanes - 1)) == 0);
  static constexpr int kSize = kLanes;
  int lane;
  unsigned mask;

  __device__ __forceinline__ RowTeam() : lane(lane_id() % kLanes) {
    mask = static_cast<unsigned>((uint64_t{1} << kLanes) - 1) << (lane_id() / kLanes * kLanes);
  }
  // One thread's value, for all.
  template <class T>
  __device__ __forceinline__ T of(T value, int from) const {
    return __shfl_sync(mask, value, from, kLanes);
  }
  // combine(a, b) of all values; combine must not care for their order.
  template <class T, class Combine>
  __device__ __forceinline__ T all(T value, Combine&& combine) const {
    for (int step = kLanes / 2; step > 0; step /= 2) value = combine(value, __shfl_xor_sync(mask, value, step, kLanes));
    return value;
  }
  template <class T>
  __device__ __forceinline__ T sum(T value) const {
    return all(value, [](T a, T b) { return a + b; });
  }
  // The sum that sum16 makes of them: `partial` of lane i is partial sum i.
  template <class T>
  __device__ __forceinline__ T total16(T partial) const {
    static_assert(kLanes >= 16);
    T total = 0;
    for (int i = 0; i < 16; ++i) total += of(partial, i);
    return total;
  }
  // sum16 of term(j) for all; 16 lanes are enough for it, and those behind them do the same.
  template <class Term>
  __device__ __forceinline__ double sum16(int64_t count, Term&& term) const {
    double partial = 0.0;
    for (int64_t j = lane % 16; j < count; j += 16) partial += term(j);
    return total16(partial);
  }
  __device__ __forceinline__ bool every(bool holds) const { return __all_sync(mask, holds) != 0; }
  __device__ __forceinline__ void sync() const { __syncwarp(mask); }
};

}  // namespace annk::cuda
