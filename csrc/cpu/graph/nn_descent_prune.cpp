// SPDX-License-Identifier: Apache-2.0
// From lists of nearest rows to a graph (ops/nn_descent.h).
#include <algorithm>

#include "core/topk.h"
#include "cpu/graph/nearest_lists.h"
#include "cpu/ops.h"

namespace annk::ANNK_ISA {
namespace {

constexpr int64_t kRowsATask = 64;

// Where in a list a row stands: a table of 8 slots for each entry, so that most rows that are not in it find an empty one.
class Places {
 public:
  explicit Places(int64_t width) {
    while ((int64_t{1} << bits_) < 8 * width) ++bits_;
    slots_.reset(size_t{1} << bits_);
    clear();
  }
  void clear() {
    for (size_t i = 0; i < slots_.size(); ++i) slots_[i] = {-1, -1};
  }
  void put(int64_t id, int64_t place) {
    size_t at = first(id);
    while (slots_[at].id >= 0) at = next(at);
    slots_[at] = {static_cast<int32_t>(id), static_cast<int32_t>(place)};
  }
  // -1: nowhere.
  ANNK_HD int64_t find(int64_t id) const {
    size_t at = first(id);
    while (slots_[at].id != id && slots_[at].id >= 0) at = next(at);
    return slots_[at].place;
  }

 private:
  struct Slot {
    int32_t id, place;
  };
  ANNK_HD size_t first(int64_t id) const { return static_cast<uint32_t>(id) * 0x9e3779b9u >> (32 - bits_); }
  ANNK_HD size_t next(size_t at) const { return (at + 1) & (slots_.size() - 1); }

  int bits_ = 4;
  Buffer<Slot> slots_;
};

// One thread's scratch.
class DetourPruner {
 public:
  explicit DetourPruner(const NnDescentArgs& args)
      : args_(args),
        places_(args.width),
        ids_(static_cast<size_t>(args.width)),
        detours_(static_cast<size_t>(args.width + kNowhere)),
        ranked_(static_cast<size_t>(args.width)) {}

  static constexpr int64_t kNowhere = 16;

  // The entries of the row's list with the fewest detours, ties to the earlier one, into its neighbors.
  void prune(int64_t row) {
    const int64_t count = read(row);
    for (int64_t i = 0; i + 1 < count; ++i) {
      __builtin_prefetch(list(ids_[i + 1]));
      const uint64_t* const other = list(ids_[i]);
      for (int64_t r = 0; r + 1 < count && other[r] != kNoKeyId; ++r) {
        // Without a branch, which would be foreseen in three of four cases; rows that are not in the list are counted behind
        // it, in several places, so that one addition need not wait for the other.
        const int64_t j = places_.find(listed(ids_[i], other[r]));
        detours_[j >= 0 ? j : args_.width + r % kNowhere] += j > i && j > r;
      }
    }
    for (int64_t j = 0; j < count; ++j) ranked_[j] = KeyId::of(detours_[j], static_cast<uint32_t>(j));
    std::sort(ranked_.get(), ranked_.get() + count);
    int32_t* const out = args_.neighbors + row * args_.degree;
    for (int64_t e = 0; e < args_.degree; ++e) out[e] = e < count ? static_cast<int32_t>(ids_[ranked_[e].position()]) : -1;
  }

 private:
  const uint64_t* list(int64_t row) const { return args_.lists + row * args_.width; }
  int64_t read(int64_t row) {
    int64_t count = 0;
    places_.clear();
    for (; count < args_.width && list(row)[count] != kNoKeyId; ++count) {
      ids_[count] = listed(row, list(row)[count]);
      detours_[count] = 0;
      places_.put(ids_[count], count);
    }
    return count;
  }

  const NnDescentArgs& args_;
  Places places_;
  Buffer<int64_t> ids_;
  Buffer<uint32_t> detours_;
  Buffer<KeyId> ranked_;
};

// Neighbors of a row: the first half of its own, then those that lead to it, then the others of its own.
class Weaver {
 public:
  Weaver(const NnDescentArgs& args, const NearestLists& leading)
      : args_(args), leading_(leading), woven_(static_cast<size_t>(args.degree)) {}

  void weave(int64_t row) {
    int32_t* const neighbors = args_.neighbors + row * args_.degree;
    const uint64_t* const leading = leading_.list(row);
    count_ = 0;
    for (int64_t e = 0; e < (args_.degree + 1) / 2; ++e) add(neighbors[e]);
    for (int64_t i = 0; i < args_.degree && leading[i] != kNoKeyId; ++i) add(static_cast<int32_t>(listed(row, leading[i])));
    for (int64_t e = (args_.degree + 1) / 2; e < args_.degree; ++e) add(neighbors[e]);
    for (int64_t e = 0; e < args_.degree; ++e) neighbors[e] = e < count_ ? woven_[e] : -1;
  }

 private:
  void add(int32_t id) {
    if (id < 0 || count_ == args_.degree) return;
    bool present = false;
    for (int64_t i = 0; i < count_; ++i) present |= woven_[i] == id;
    if (!present) woven_[count_++] = id;
  }

  const NnDescentArgs& args_;
  const NearestLists& leading_;
  Buffer<int32_t> woven_;
  int64_t count_ = 0;
};

// body(scratch, row) for all rows, with a scratch made by make() for each task.
template <class Make, class Body>
void each_row(const NnDescentArgs& args, Make&& make, Body&& body) {
  auto task = [&](int, int64_t t) {
    auto scratch = make();
    for (int64_t row = t * kRowsATask; row < std::min(args.base.rows, (t + 1) * kRowsATask); ++row) body(scratch, row);
  };
  parallel_for(args.exec.threads, (args.base.rows + kRowsATask - 1) / kRowsATask, args.exec.interrupted, task);
}

}  // namespace

void nn_descent_prune(const NnDescentArgs& args) {
  const int64_t n = args.base.rows;
  each_row(args, [&] { return DetourPruner(args); }, [](DetourPruner& pruner, int64_t row) { pruner.prune(row); });
  const Buffer<uint64_t> entries = empty_lists(n, args.degree);
  NearestLists leading(entries.get(), n, args.degree, args.exec);
  each_row(
      args, [] { return 0; },
      [&](int, int64_t row) {
        const int32_t* const neighbors = args.neighbors + row * args.degree;
        for (int64_t e = 0; e < args.degree && neighbors[e] >= 0; ++e) {
          const uint64_t entry = leading.entry(neighbors[e], row, static_cast<float>(e));
          leading.update(neighbors[e], &entry, 1);
        }
      });
  each_row(args, [&] { return Weaver(args, leading); }, [](Weaver& weaver, int64_t row) { weaver.weave(row); });
}

}  // namespace annk::ANNK_ISA
