// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>

#include "core/buffer.h"
#include "core/topk.h"
#include "cpu/distance/distance_computer.h"
#include "cpu/simd/vec.h"

namespace annk::ANNK_ISA {

// The `capacity` rows of smallest (key, id) among those pushed, each once: a row comes again from each list that holds it,
// under the same key. In memory of room().
class ListPool {
 public:
  // Up to here an entry is put in its place at once; beyond, entries are sorted when there are twice as many.
  static constexpr int64_t kInserted = 512;
  static constexpr int64_t room(int64_t capacity) { return capacity <= kInserted ? capacity : 2 * capacity; }

  void begin(KeyId* memory, int64_t capacity) {
    entries_ = memory;
    capacity_ = capacity;
    size_ = 0;
    limit_ = NAN;
  }

  // Rows ids[i] under keys[i]; keys is readable kLanes beyond `count`.
  template <class Ids>
  void push_all(const float* keys, const Ids& ids, int count) {
    for (int i = 0; i < count; i += kLanes) {
      uint32_t hits = below(F32::load(keys + i), F32::broadcast(limit_));
      if (count - i < kLanes) hits &= (1u << (count - i)) - 1;
      for (; hits != 0; hits &= hits - 1) {
        const int at = i + __builtin_ctz(hits);
        push(keys[at], ids[at]);
      }
    }
  }

  // The key from which on nothing enters; NaN: everything does.
  float limit() const { return limit_; }
  ANNK_HD void push(float key, int32_t id) { push(KeyId::of(sortable_bits(key), static_cast<uint32_t>(id))); }

  // How many there are, in order.
  int64_t finish() {
    if (capacity_ > kInserted) prune();
    return size_;
  }
  const KeyId* entries() const { return entries_; }

 private:
  void push(KeyId entry) {
    if (capacity_ > kInserted) {
      entries_[size_++] = entry;
      if (size_ == 2 * capacity_) prune();
      return;
    }
    int64_t at = size_;
    while (at > 0 && entry < entries_[at - 1]) --at;
    if (at == capacity_ || (at > 0 && !(entries_[at - 1] < entry))) return;
    if (size_ < capacity_) ++size_;
    for (int64_t i = size_ - 1; i > at; --i) entries_[i] = entries_[i - 1];
    entries_[at] = entry;
    if (size_ == capacity_) limit_at(entries_[size_ - 1]);
  }

  void prune() {
    std::sort(entries_, entries_ + size_);
    int64_t kept = 0;
    for (int64_t i = 0; i < size_; ++i)
      if (kept == 0 || entries_[kept - 1] < entries_[i]) entries_[kept++] = entries_[i];
    size_ = std::min(kept, capacity_);
    if (size_ == capacity_ && size_ > 0) limit_at(entries_[size_ - 1]);
  }

  // Keys from here on cannot enter: the key after the last one's, since an equal key enters where its id is smaller. Behind
  // infinity there is none, and NaN lets everything in.
  void limit_at(KeyId last) { limit_ = key_of_bits(last.key_bits() + 1u); }

  KeyId* entries_ = nullptr;
  int64_t capacity_ = 0, size_ = 0;
  float limit_ = NAN;
};

}  // namespace annk::ANNK_ISA
