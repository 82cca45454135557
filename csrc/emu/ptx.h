// SPDX-License-Identifier: Apache-2.0
// Host twins of PTX instructions, for the wrappers that hold the inline assembly on the device.
#pragma once
#include <cstdint>
#include <cstring>

#include "thread.h"

namespace emu {

// cp.async: copies source_bytes of N bytes and zeroes the rest. A deferred copy: the bytes land in cp_async_wait, so
// that a forgotten wait shows.
template <int N>
EMU_ENTRY inline void cp_async(void* shared, const void* global, int source_bytes = N, EMU_HERE) {
  static_assert(N == 4 || N == 8 || N == 16);
  copy_async(shared, global, N, source_bytes, EMU_LOCATION);
}
inline void cp_async_commit() { commit_copies(); }
// Waits until at most `InFlight` groups are on their way.
template <int InFlight>
inline void cp_async_wait() {
  wait_copies(InFlight);
}

// bar.sync and bar.arrive (.aligned: the whole warp together). `threads` counts whole warps, arrivals included.
EMU_ENTRY inline void bar_sync(int id, int threads, EMU_HERE) { named_barrier(id, threads, Op::bar_sync, EMU_LOCATION); }
EMU_ENTRY inline void bar_arrive(int id, int threads, EMU_HERE) { named_barrier(id, threads, Op::bar_arrive, EMU_LOCATION); }

template <class Sum>
EMU_UNTRACED inline void mma(Op op, Sum (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const Sum (&c)[4],
                             Location here) {
  Lane& lane = my_lane();
  std::memcpy(lane.in, a, sizeof a);
  std::memcpy(lane.in + 2, b, sizeof b);
  std::memcpy(lane.in + 3, c, sizeof c);
  collective(~0u, op, here);
  std::memcpy(d, lane.out, sizeof d);
}
// mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32, and of bf16; m16n8k8 of tf32.
EMU_ENTRY inline void mma_m16n8k16_f16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const float (&c)[4],
                                       EMU_HERE) {
  mma(Op::mma_f16, d, a, b, c, EMU_LOCATION);
}
EMU_ENTRY inline void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const float (&c)[4],
                                        EMU_HERE) {
  mma(Op::mma_bf16, d, a, b, c, EMU_LOCATION);
}
EMU_ENTRY inline void mma_m16n8k8_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const float (&c)[4],
                                       EMU_HERE) {
  mma(Op::mma_tf32, d, a, b, c, EMU_LOCATION);
}
// mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32, and of u8.
EMU_ENTRY inline void mma_m16n8k32_s8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const int32_t (&c)[4],
                                      EMU_HERE) {
  mma(Op::mma_s8, d, a, b, c, EMU_LOCATION);
}
EMU_ENTRY inline void mma_m16n8k32_u8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const int32_t (&c)[4],
                                      EMU_HERE) {
  mma(Op::mma_u8, d, a, b, c, EMU_LOCATION);
}

// ldmatrix.sync.aligned.m8n8.x1, .x2 or .x4 (Count), and .trans: lane i names row i % 8 of matrix i / 8.
template <int Count, bool Transposed = false>
EMU_ENTRY inline void ldmatrix(uint32_t (&r)[Count], const void* row, EMU_HERE) {
  static_assert(Count == 1 || Count == 2 || Count == 4);
  Lane& lane = my_lane();
  lane.in[0] = reinterpret_cast<uintptr_t>(row);
  lane.argument = Count;
  collective(~0u, Transposed ? Op::ldmatrix_trans : Op::ldmatrix, EMU_LOCATION);
  std::memcpy(r, lane.out, sizeof r);
}

}  // namespace emu
