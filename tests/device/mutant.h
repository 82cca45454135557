// SPDX-License-Identifier: Apache-2.0
// Included before everything by tools/mutate.py, whose mutations call these: one program holds them all, and EMU_MUTANT in
// the environment turns one of them on. With MUTANT_TRACE none is on, and the program tells which ones it came by.
#pragma once
#include <cstdlib>
#include <cstring>

namespace mutant {

extern const int chosen;  // const: the thread sanitizer then leaves its reads alone
void reached(int number);

[[gnu::always_inline]] inline bool on(int number) {
#if defined(MUTANT_TRACE)
  reached(number);
#endif
  return number == chosen;
}

// What a variable without a first value holds: far below zero, far above, or (a float) near one, by the seed.
inline int pattern() {
  const char* seed = std::getenv("EMU_SEED");
  constexpr int kPatterns[] = {0x3f, 0xfe, 0x7f};
  return kPatterns[seed != nullptr ? std::atoi(seed) % 3 : 1];
}
template <class T>
[[gnu::always_inline]] inline void spoil(bool on, T& value) {
  if (on) std::memset(&value, pattern(), sizeof(T));
}
[[gnu::always_inline]] inline void spoil(bool on, bool& value) { value = value != on; }  // no more than two values

template <class V>
struct First {
  bool spoiled;
  V value;
  template <class T>
  [[gnu::always_inline]] operator T() const {
    T first = value;
    spoil(spoiled, first);
    return first;
  }
};
template <class V>
[[gnu::always_inline]] inline First<V> first(bool on, V value) {
  return {on, value};
}

template <class T>
T less(bool on, T bytes) {
  return on && bytes >= 4 ? bytes - 4 : bytes;
}

}  // namespace mutant
