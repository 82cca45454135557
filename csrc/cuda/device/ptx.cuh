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
// The same for 4 bytes.
__device__ __forceinline__ void cp_async4(void* shared, const void* global, int bytes) {
#if defined(ANNK_EMULATED)
  emu::cp_async<4>(shared, global, bytes);
#else
  const unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(global), "r"(bytes) : "memory");
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
// The larger number; NaN where either is.
__device__ __forceinline__ float larger_or_nan(float a, float b) {
#if defined(ANNK_EMULATED)
  return a >= b || a != a ? a : b;
#else
  float larger;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(larger) : "f"(a), "f"(b));
  return larger;
#endif
}

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

// Four 8 x 16-byte matrices from shared memory: lane i names row i % 8 of matrix i / 8, and receives of each matrix the word
// at row lane / 4, place lane % 4.
__device__ __forceinline__ void ldmatrix_x4(uint32_t (&words)[4], const void* row) {
#if defined(ANNK_EMULATED)
  emu::ldmatrix<4>(words, row);
#else
  const unsigned from = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(from)
               : "memory");
#endif
}

// sums += A B, of 16 rows of A and 8 columns of B (both along k, 32 bytes a row), in tensor cores. Products are exact; how
// sums round is the hardware's (prefilter.h bounds it), but for integers, which are exact.
__device__ __forceinline__ void mma_f16(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#if defined(ANNK_EMULATED)
  emu::mma_m16n8k16_f16(sums, a, {b0, b1}, sums);
#else
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}
__device__ __forceinline__ void mma_bf16(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#if defined(ANNK_EMULATED)
  emu::mma_m16n8k16_bf16(sums, a, {b0, b1}, sums);
#else
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}
__device__ __forceinline__ void mma_tf32(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#if defined(ANNK_EMULATED)
  emu::mma_m16n8k8_tf32(sums, a, {b0, b1}, sums);
#else
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}
__device__ __forceinline__ void mma_s8(int32_t (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#if defined(ANNK_EMULATED)
  emu::mma_m16n8k32_s8(sums, a, {b0, b1}, sums);
#else
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}
__device__ __forceinline__ void mma_u8(int32_t (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#if defined(ANNK_EMULATED)
  emu::mma_m16n8k32_u8(sums, a, {b0, b1}, sums);
#else
  asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.u8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}

// The same address, of which the compiler does not know whose it is.
template <class T>
__device__ __forceinline__ T* opaque(T* address) {
#if defined(ANNK_EMULATED)
  return address;
#else
  asm volatile("" : "+l"(address));
  return address;
#endif
}

}  // namespace annk::cuda::ptx
