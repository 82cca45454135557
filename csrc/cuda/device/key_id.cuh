// SPDX-License-Identifier: Apache-2.0
// A candidate in one word: its key in order, then its position. Comparing words compares (key, position), so ties go to the
// smaller position without another look.
#pragma once
#include "core/numeric.h"
#include "cuda/device/device.cuh"

namespace annk::cuda {

using Entry = unsigned long long;
inline constexpr uint32_t kNoOrder = 0xffffffffu;  // above ordered(inf), so it marks what is not there
inline constexpr Entry kNoEntry = ~Entry{0};

__device__ __forceinline__ Entry make_entry(uint32_t order, uint32_t position) {
  return order == kNoOrder ? kNoEntry : static_cast<Entry>(order) << 32 | position;
}
__device__ __forceinline__ uint32_t order_of(Entry entry) { return static_cast<uint32_t>(entry >> 32); }
__device__ __forceinline__ uint32_t position_of(Entry entry) { return static_cast<uint32_t>(entry); }

// The order of (key, position) itself. Another order, over ids that lie elsewhere, is in select_source.cuh.
struct ByPosition {
  __device__ __forceinline__ bool operator()(Entry a, Entry b) const { return a < b; }
};

}  // namespace annk::cuda
