// SPDX-License-Identifier: Apache-2.0
// A list of the nearest rows for each row, which any number of threads update. What a list becomes depends on the set
// of all updates alone: it keeps, of each row, the smallest key that it came with, and of the rows the first `width` by
// (key, place). Which comes first does not show, because the last entry of a list never moves back: what was refused once
// would be refused again.
#pragma once
#include <sched.h>

#include "core/buffer.h"
#include "core/threads.h"
#include "core/tie_order.h"
#include "cpu/graph/beam_search.h"

namespace annk::ANNK_ISA {

// The row that an entry of the list of `row` names.
ANNK_HD int64_t listed(int64_t row, uint64_t entry) {
  return TieOrder::id(row, static_cast<uint32_t>(SearchNeighbor{entry}.id()));
}

inline constexpr uint64_t kNoKeyId = ~uint64_t{0};

inline Buffer<uint64_t> empty_lists(int64_t rows, int64_t width) {
  Buffer<uint64_t> entries(static_cast<size_t>(rows * width));
  for (size_t i = 0; i < entries.size(); ++i) entries[i] = kNoKeyId;
  return entries;
}

// Of one list; entries are Candidates whose id is a place, and whose lowest bit says that a round has taken them.
class NearestLists {
 public:
  NearestLists(uint64_t* entries, int64_t rows, int64_t width, const Exec& exec)
      : width_(width), entries_(entries), limits_(static_cast<size_t>(rows)), locks_(static_cast<size_t>(rows)) {
    auto task = [&](int, int64_t t) {
      const int64_t end = rows < (t + 1) * kRows ? rows : (t + 1) * kRows;
      for (int64_t row = t * kRows; row < end; ++row) {
        locks_[row] = 0;
        limits_[row] = limit_after(list(row)[width_ - 1]);
      }
    };
    parallel_for(exec.threads, (rows + kRows - 1) / kRows, exec.interrupted, task);
  }

  int64_t width() const { return width_; }
  uint64_t* list(int64_t row) const { return entries_ + row * width_; }
  // Keys from here on cannot enter the list now, nor later. NaN while it has room.
  ANNK_HD float limit(int64_t row) const {
    float limit;
    __atomic_load(limits_.get() + row, &limit, __ATOMIC_RELAXED);
    return limit;
  }

  // What update() will read.
  void prefetch(int64_t row) const {
    const uint64_t* const slots = list(row);
    for (int64_t at = 0; at < width_; at += 8) __builtin_prefetch(slots + at, 1);
    __builtin_prefetch(locks_.get() + row, 1);
  }
  uint64_t entry(int64_t row, int64_t id, float key) const {
    return SearchNeighbor::of(key, TieOrder::place(row, id)).value;
  }
  // Updates the list of `row` by `count` entries.
  void update(int64_t row, const uint64_t* entries, int64_t count) {
    acquire(row);
    uint64_t* const slots = list(row);
    for (int64_t i = 0; i < count; ++i)
      if (entries[i] < slots[width_ - 1]) insert(slots, entries[i]);
    float limit = limit_after(slots[width_ - 1]);
    __atomic_store(limits_.get() + row, &limit, __ATOMIC_RELAXED);
    __atomic_store_n(locks_.get() + row, 0, __ATOMIC_RELEASE);
  }

 private:
  static constexpr int64_t kRows = 4096;
  static constexpr uint64_t kPlace = 0xfffffffeu;

  static ANNK_HD float limit_after(uint64_t last) {
    return last == kNoKeyId ? NAN : key_of_bits(static_cast<uint32_t>(last >> 32) + 1u);
  }

  void insert(uint64_t* slots, uint64_t added) const {
    int64_t before = 0, same = 0;  // smaller entries; one more than where the row stands already
    for (int64_t i = 0; i < width_; ++i) {
      before += slots[i] < added;
      same += ((slots[i] ^ added) & kPlace) == 0 ? i + 1 : 0;
    }
    if (same != 0 && slots[same - 1] >> 32 <= added >> 32) return;
    const int64_t leaves = same != 0 ? same - 1 : width_ - 1;
    __builtin_memmove(slots + before + 1, slots + before, static_cast<size_t>(leaves - before) * sizeof(uint64_t));
    slots[before] = added;
  }

  void acquire(int64_t row) const {
    uint8_t* const lock = locks_.get() + row;
    for (int tries = 0; __atomic_exchange_n(lock, uint8_t{1}, __ATOMIC_ACQUIRE) != 0; ++tries)
      if (tries % 64 == 63) sched_yield();  // the thread that holds it may not be running
  }

  const int64_t width_;
  uint64_t* const entries_;
  Buffer<float> limits_;
  Buffer<uint8_t> locks_;
};

}  // namespace annk::ANNK_ISA
