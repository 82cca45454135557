// SPDX-License-Identifier: Apache-2.0
// The k smallest of a stream of keys, by (key, position).
#pragma once
#include <algorithm>
#include <utility>

#include "core/numeric.h"

namespace annk::ANNK_ISA {

// A key and where it came from, as one number that sorts as (key, position). A type of its own, so that the standard
// algorithms over it are compiled once per instruction set too.
struct KeyId {
  uint64_t value;
  ANNK_HD static KeyId of(uint32_t key_bits, uint32_t position) {
    return {static_cast<uint64_t>(key_bits) << 32 | position};
  }
  ANNK_HD uint32_t key_bits() const { return static_cast<uint32_t>(value >> 32); }
  ANNK_HD uint32_t position() const { return static_cast<uint32_t>(value); }
  friend ANNK_HD bool operator<(KeyId a, KeyId b) { return a.value < b.value; }
};

// A key and an id of 64 bits.
struct Neighbor {
  uint32_t bits;
  int64_t id;
  ANNK_HD uint32_t key_bits() const { return bits; }
  friend ANNK_HD bool operator<(const Neighbor& a, const Neighbor& b) {
    return a.bits < b.bits || (a.bits == b.bits && a.id < b.id);
  }
};

// The k smallest of n entries come first, in any order; 0 < k < n. Quickselect by a partition without branches: on the few
// thousand entries of a pruning, std::nth_element spends most of its time in mispredicted ones (Zen 4: 17 us against 5).
template <class E>
void keep_smallest(E* entries, int64_t k, int64_t n) {
  E *first = entries, *last = entries + n, *wanted = entries + k;
  for (int rounds = 64; last - first > 32 && rounds > 0; --rounds) {
    E *const middle = first + (last - first) / 2, *const end = last - 1;
    if (*middle < *first) std::swap(*middle, *first);
    if (*end < *first) std::swap(*end, *first);
    if (*end < *middle) std::swap(*end, *middle);
    const E pivot = *middle;
    E* split = first;  // what is below the pivot lies in [first, split)
    for (E* at = first; at != last; ++at) {
      const E entry = *at;
      *at = *split;
      *split = entry;
      split += entry < pivot;
    }
    if (split >= wanted)
      last = split;
    else if (split > first)
      first = split;
    else
      break;  // the pivot is the smallest, so that nothing was gained
    if (split == wanted) return;
  }
  if (wanted > first && wanted < last) std::nth_element(first, wanted - 1, last);
}

// Room for what comes between two prunings: half the work of a pruning is then paid for by as many pushes.
constexpr int64_t topk_capacity(int64_t k, int64_t stream) { return std::min(stream, 2 * k + 56); }

// Entries are collected in lent memory of topk_capacity() and pruned to the k smallest when it is full. `threshold` is
// NaN until then, so that below(key, threshold) lets everything in; afterwards it is the k-th key. A later entry of equal
// key has a larger position, so "below" need not ask about ties. Positions must come in ascending order.
// E is KeyId, or another type with key_bits() that compares as (key, id); then pushes may come in any order, because push()
// compares whole entries and only `threshold` leaves ties out.
template <class E>
class TopK {
 public:
  void begin(E* memory, int64_t k, int64_t capacity, float* threshold) {
    entries_ = memory;
    k_ = k;
    capacity_ = capacity;
    threshold_ = threshold;
    clear();
  }

  void clear() {
    count_ = 0;
    limited_ = false;
    *threshold_ = NAN;
  }

  ANNK_HD void push(E entry) {
    if (limited_ && !(entry < limit_)) return;  // a NaN key is below every threshold, and comes here as +infinity
    entries_[count_++] = entry;
    if (count_ == capacity_ && count_ > k_) prune();
  }

  // Prunes before memory is full, for callers to whom each push that a lower threshold spares is worth tens of nanoseconds.
  ANNK_HD void tighten() {
    if (count_ - k_ > k_ / 4 + 8) prune();
  }

  // The k smallest of what was pushed, sorted; they stay in the lent memory.
  int64_t finish() {
    if (count_ > k_) prune();
    std::sort(entries_, entries_ + count_);
    return count_;
  }
  const E* entries() const { return entries_; }

 private:
  void prune() {
    keep_smallest(entries_, k_, count_);
    count_ = k_;
    limit_ = *std::max_element(entries_, entries_ + k_);
    limited_ = true;
    *threshold_ = key_of_bits(limit_.key_bits());
  }

  E* entries_ = nullptr;
  int64_t count_ = 0, k_ = 0, capacity_ = 0;
  E limit_{};
  bool limited_ = false;
  float* threshold_ = nullptr;
};

}  // namespace annk::ANNK_ISA
