// SPDX-License-Identifier: Apache-2.0
// Barriers and warp-wide operations of CUDA.
#pragma once
#include <cstring>
#include <type_traits>

#include "thread.h"

EMU_ENTRY inline void __syncthreads(EMU_HERE) { emu::block_barrier(false, EMU_LOCATION); }
EMU_ENTRY inline int __syncthreads_count(int vote, EMU_HERE) { return emu::block_barrier(vote != 0, EMU_LOCATION); }
EMU_ENTRY inline int __syncthreads_or(int vote, EMU_HERE) { return emu::block_barrier(vote != 0, EMU_LOCATION) > 0; }
EMU_ENTRY inline int __syncthreads_and(int vote, EMU_HERE) { return emu::block_barrier(vote == 0, EMU_LOCATION) == 0; }
EMU_ENTRY inline void __syncwarp(unsigned mask = ~0u, EMU_HERE) { emu::collective(mask, emu::Op::syncwarp, EMU_LOCATION); }

namespace emu {

template <class V>
EMU_UNTRACED inline V shuffle(unsigned mask, V value, Op op, int argument, int width, Location here) {
  static_assert(sizeof(V) <= sizeof(Lane::out) && std::is_trivially_copyable_v<V>);
  Lane& lane = my_lane();
  std::memcpy(lane.in, &value, sizeof value);
  lane.argument = argument;
  lane.width = width;
  collective(mask, op, here);
  std::memcpy(&value, lane.out, sizeof value);
  return value;
}

template <class V>
EMU_UNTRACED inline unsigned combine(unsigned mask, V value, Op op, Location here) {
  static_assert(sizeof(V) <= 8 && std::is_trivially_copyable_v<V>);
  Lane& lane = my_lane();
  lane.in[0] = 0;
  std::memcpy(lane.in, &value, sizeof value);
  collective(mask, op, here);
  return static_cast<unsigned>(lane.out[0]);
}

}  // namespace emu

template <class V>
EMU_ENTRY inline V __shfl_sync(unsigned mask, V value, int lane, int width = 32, EMU_HERE) {
  return emu::shuffle(mask, value, emu::Op::shfl, lane, width, EMU_LOCATION);
}
template <class V>
EMU_ENTRY inline V __shfl_up_sync(unsigned mask, V value, unsigned delta, int width = 32, EMU_HERE) {
  return emu::shuffle(mask, value, emu::Op::shfl_up, static_cast<int>(delta), width, EMU_LOCATION);
}
template <class V>
EMU_ENTRY inline V __shfl_down_sync(unsigned mask, V value, unsigned delta, int width = 32, EMU_HERE) {
  return emu::shuffle(mask, value, emu::Op::shfl_down, static_cast<int>(delta), width, EMU_LOCATION);
}
template <class V>
EMU_ENTRY inline V __shfl_xor_sync(unsigned mask, V value, int bits, int width = 32, EMU_HERE) {
  return emu::shuffle(mask, value, emu::Op::shfl_xor, bits, width, EMU_LOCATION);
}

#define EMU_VOTE(Result, name, op)                                                                               \
  EMU_ENTRY inline Result name(unsigned mask, int predicate, EMU_HERE) {                                         \
    return static_cast<Result>(emu::combine(mask, static_cast<int>(predicate != 0), emu::Op::op, EMU_LOCATION)); \
  }
EMU_VOTE(unsigned, __ballot_sync, ballot)
EMU_VOTE(int, __any_sync, any)
EMU_VOTE(int, __all_sync, all)
#undef EMU_VOTE

#define EMU_REDUCE(Type, name, op)                                                  \
  EMU_ENTRY inline Type name(unsigned mask, Type value, EMU_HERE) {                 \
    return static_cast<Type>(emu::combine(mask, value, emu::Op::op, EMU_LOCATION)); \
  }
EMU_REDUCE(int, __reduce_add_sync, add)
EMU_REDUCE(unsigned, __reduce_add_sync, add)
EMU_REDUCE(int, __reduce_min_sync, min_signed)
EMU_REDUCE(unsigned, __reduce_min_sync, min_unsigned)
EMU_REDUCE(int, __reduce_max_sync, max_signed)
EMU_REDUCE(unsigned, __reduce_max_sync, max_unsigned)
EMU_REDUCE(unsigned, __reduce_and_sync, bit_and)
EMU_REDUCE(unsigned, __reduce_or_sync, bit_or)
EMU_REDUCE(unsigned, __reduce_xor_sync, bit_xor)
#undef EMU_REDUCE

template <class V>
EMU_ENTRY inline unsigned __match_any_sync(unsigned mask, V value, EMU_HERE) {
  return emu::combine(mask, value, emu::Op::match_any, EMU_LOCATION);
}
