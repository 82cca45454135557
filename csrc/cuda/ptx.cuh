// SPDX-License-Identifier: Apache-2.0
// The only inline assembly. Each wrapper has a host twin of the same meaning in csrc/emu.
#pragma once
#include <cuda_runtime.h>

#include "core/numeric.h"

namespace annk::cuda::ptx {

// Copies `bytes` <= 16 bytes from global to shared memory, asynchronously, and zeroes the rest of the 16. Both addresses
// are multiples of 16; with bytes = 0 the source is not read.
__device__ __forceinline__ void cp_async16(void* shared, const void* global, int bytes) {
#if defined(ANNK_EMULATED)
  emu::cp_async<16>(shared, global, bytes);
#else
  const unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(bytes) : "memory");
#endif
}

__device__ __forceinline__ void cp_async_commit() {
#if defined(ANNK_EMULATED)
  emu::cp_async_commit();
#else
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until at most kInFlight of this thread's committed groups are still on their way.
template <int kInFlight>
__device__ __forceinline__ void cp_async_wait() {
#if defined(ANNK_EMULATED)
  emu::cp_async_wait<kInFlight>();
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(kInFlight) : "memory");
#endif
}

// One instruction instead of the five of widen(Half); the same value, but for the payload of a NaN.
__device__ __forceinline__ float widen_half(uint32_t low_bits) {
#if defined(ANNK_EMULATED)
  return ANNK_ISA::widen(ANNK_ISA::Half{static_cast<uint16_t>(low_bits)});
#else
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(static_cast<unsigned short>(low_bits)));
  return value;
#endif
}

// sum + the products of four unsigned bytes with four signed ones.
__device__ __forceinline__ int32_t dot4_mixed(uint32_t bytes, uint32_t signed_bytes, int32_t sum) {
#if defined(ANNK_EMULATED)
  for (int i = 0; i < 4; ++i)
    sum += static_cast<int32_t>(bytes >> (8 * i) & 255u) * static_cast<int8_t>(signed_bytes >> (8 * i));
  return sum;
#else
  int32_t result;
  asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(result) : "r"(bytes), "r"(signed_bytes), "r"(sum));
  return result;
#endif
}

}  // namespace annk::cuda::ptx
