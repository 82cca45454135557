// SPDX-License-Identifier: Apache-2.0
// Atomics, ordered loads and stores, fences. Real atomics underneath: blocks may run on several host threads.
#pragma once
#include <type_traits>

#include "thread.h"

inline void __threadfence() { emu::fence(emu::Scope::device); }
inline void __threadfence_block() { emu::fence(emu::Scope::block); }

#define EMU_UPDATE(name, expression)                                                                       \
  template <class V>                                                                                       \
  EMU_ENTRY inline V name(V* address, std::type_identity_t<V> value, EMU_HERE) {                           \
    emu::atomic_access(address, sizeof(V), emu::Access::atomic_update, emu::Order::relaxed, EMU_LOCATION); \
    V old, next;                                                                                           \
    __atomic_load(address, &old, __ATOMIC_RELAXED);                                                        \
    do next = (expression);                                                                                \
    while (!__atomic_compare_exchange(address, &old, &next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));   \
    return old;                                                                                            \
  }
EMU_UPDATE(atomicAdd, static_cast<V>(old + value))
EMU_UPDATE(atomicSub, static_cast<V>(old - value))
EMU_UPDATE(atomicMin, value < old ? value : old)
EMU_UPDATE(atomicMax, old < value ? value : old)
EMU_UPDATE(atomicAnd, static_cast<V>(old& value))
EMU_UPDATE(atomicOr, static_cast<V>(old | value))
EMU_UPDATE(atomicXor, static_cast<V>(old ^ value))
EMU_UPDATE(atomicExch, value)
EMU_UPDATE(atomicInc, old >= value ? V(0) : static_cast<V>(old + 1))
EMU_UPDATE(atomicDec, old == 0 || old > value ? value : static_cast<V>(old - 1))
#undef EMU_UPDATE

template <class V>
EMU_ENTRY inline V atomicCAS(V* address, std::type_identity_t<V> expected, std::type_identity_t<V> value, EMU_HERE) {
  emu::atomic_access(address, sizeof(V), emu::Access::atomic_update, emu::Order::relaxed, EMU_LOCATION);
  __atomic_compare_exchange(address, &expected, &value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}

namespace emu {

// Twins of ld.relaxed, ld.acquire, st.relaxed and st.release at device scope.
template <class V>
EMU_ENTRY inline V load_relaxed(const V* address, EMU_HERE) {
  atomic_access(address, sizeof(V), Access::atomic_read, Order::relaxed, EMU_LOCATION);
  V value;
  __atomic_load(address, &value, __ATOMIC_RELAXED);
  return value;
}
template <class V>
EMU_ENTRY inline V load_acquire(const V* address, EMU_HERE) {
  atomic_access(address, sizeof(V), Access::atomic_read, Order::acquire, EMU_LOCATION);
  V value;
  __atomic_load(address, &value, __ATOMIC_ACQUIRE);
  return value;
}
template <class V>
EMU_ENTRY inline void store_relaxed(V* address, std::type_identity_t<V> value, EMU_HERE) {
  atomic_access(address, sizeof(V), Access::atomic_write, Order::relaxed, EMU_LOCATION);
  __atomic_store(address, &value, __ATOMIC_RELAXED);
}
template <class V>
EMU_ENTRY inline void store_release(V* address, std::type_identity_t<V> value, EMU_HERE) {
  atomic_access(address, sizeof(V), Access::atomic_write, Order::release, EMU_LOCATION);
  __atomic_store(address, &value, __ATOMIC_RELEASE);
}

}  // namespace emu
