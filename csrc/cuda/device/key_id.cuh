// SPDX-License-Identifier: Apache-2.0
// A candidate in one word: sortable_bits(key), then its position. Comparing words compares (key, position), so that ties
// go to the smaller position at once.
#pragma once
#include "core/numeric.h"
#include "cuda/device/device.cuh"

namespace annk::cuda {

using KeyId = unsigned long long;
inline constexpr uint32_t kNoKey = 0xffffffffu;  // above sortable_bits(inf), so it marks what is not there
inline constexpr KeyId kNoKeyId = ~KeyId{0};

__device__ __forceinline__ KeyId make_key_id(uint32_t key_bits, uint32_t position) {
  return key_bits == kNoKey ? kNoKeyId : static_cast<KeyId>(key_bits) << 32 | position;
}
__device__ __forceinline__ uint32_t key_bits_of(KeyId key_id) { return static_cast<uint32_t>(key_id >> 32); }
__device__ __forceinline__ uint32_t position_of(KeyId key_id) { return static_cast<uint32_t>(key_id); }

// The order of (key, position) itself. Another order, over ids that lie elsewhere, is in select_source.cuh.
struct ByPosition {
  __device__ __forceinline__ bool operator()(KeyId a, KeyId b) const { return a < b; }
};

}  // namespace annk::cuda
