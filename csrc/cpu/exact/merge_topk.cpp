// SPDX-License-Identifier: Apache-2.0
#include "ops/merge_topk.h"

#include "core/buffer.h"
#include "core/result_key.h"
#include "core/threads.h"
#include "core/topk.h"
#include "cpu/ops.h"

namespace annk::ANNK_ISA {
namespace {

constexpr int64_t kEntriesATask = 1 << 16;  // about 0.3 ms

// One query's list in one part.
template <class T, bool kLargest>
struct List {
  const T* distances;
  const int64_t* ids;
  int64_t offset, width;
  int64_t count = 0, at = 0;  // of entries that are there, where they come first; the next one

  ANNK_HD ResultKey key(int64_t i) const { return result_key(distances[i], ids[i], offset, kLargest); }

  ANNK_HD bool is_there(int64_t i) const { return ids[i] >= 0 && distances[i] != missing_result<T>(kLargest); }
  // Best first, missing entries last: then counts them. NaN, an id that comes twice and ids that an offset could carry
  // beyond 63 bits are left to the selection.
  bool sorted() {
    int64_t i = 0, bits = offset;
    for (; i < width && is_there(i); ++i) {
      const T before = distances[i > 0 ? i - 1 : 0], here = distances[i];
      const bool nearer = kLargest ? here < before : before < here;
      if (!nearer && !(before == here && (i == 0 || ids[i - 1] < ids[i]))) return false;
      bits |= ids[i];
    }
    count = i;
    for (; i < width; ++i)
      if (is_there(i)) return false;
    return static_cast<uint64_t>(bits) >> 62 == 0;
  }
};

// Merges sorted lists: a tree of matches between lists, in which each node keeps the list that lost there, so that the next
// entry of the list that won last plays log2(lists) matches (Knuth, The Art of Computer Programming 3, 5.4.1). An entry is
// its key's bits and, below, its list; all ones stand above where a list is at its end. Each list's entry after the next
// is at hand, too: reading it when it is needed would take most of the time.
template <class T, bool kLargest>
class Merger {
 public:
  explicit Merger(int64_t lists) : lists_(static_cast<size_t>(lists)) {
    while (leaves_ < lists) leaves_ *= 2;
    following_.reset(static_cast<size_t>(lists));
    nodes_.reset(static_cast<size_t>(2 * leaves_));
  }
  List<T, kLargest>& list(int64_t i) const { return lists_[i]; }

  void begin() {
    const int64_t lists = static_cast<int64_t>(lists_.size());
    for (int64_t i = 0; i < leaves_; ++i) nodes_[leaves_ + i] = i < lists ? entry(i, 0) : kEnd;
    for (int64_t i = 0; i < lists; ++i) following_[i] = entry(i, 1);
    for (int64_t node = leaves_ - 1; node > 0; --node) {  // the winner goes up, and the loser waits below
      uint64_t winner = nodes_[2 * node], loser = nodes_[2 * node + 1];
      play(winner, loser);
      nodes_[node] = winner;
      nodes_[2 * node] = loser;
    }
    winner_ = nodes_[1];
    for (int64_t node = 1; node < leaves_; ++node) nodes_[node] = nodes_[2 * node];
  }

  // The list that has the nearest entry that is left, which is then taken, or null.
  const List<T, kLargest>* pop() {
    if (winner_ >= kEnd) return nullptr;
    const uint32_t index = static_cast<uint32_t>(winner_);
    List<T, kLargest>& list = lists_[index];
    uint64_t entered = following_[index];
    following_[index] = entry(index, ++list.at + 1);
    for (int64_t node = (leaves_ + index) / 2; node > 0; node /= 2) play(entered, nodes_[node]);
    winner_ = entered;
    return &list;
  }

 private:
  static constexpr uint64_t kEnd = static_cast<uint64_t>(~0u) << 32;

  ANNK_HD uint64_t entry(int64_t i, int64_t at) const {
    const List<T, kLargest>& list = lists_[i];
    return (at < list.count ? static_cast<uint64_t>(result_bits(list.distances[at], kLargest)) << 32 : kEnd) |
           static_cast<uint64_t>(i);
  }

  // The nearer entry comes first. Both are the next ones of their lists.
  ANNK_HD void play(uint64_t& winner, uint64_t& loser) const {
    const uint64_t a = winner, b = loser;
    bool swaps = b < a;
    if ((a ^ b) >> 32 == 0 && a < kEnd) [[unlikely]] {
      const auto &first = lists_[static_cast<uint32_t>(a)], &second = lists_[static_cast<uint32_t>(b)];
      swaps = second.key(second.at) < first.key(first.at);
    }
    // A branch would be predicted wrongly half the time, and costs twice as much in all.
    const uint64_t exchanged = (a ^ b) & (uint64_t{0} - static_cast<uint64_t>(swaps));
    winner = a ^ exchanged;
    loser = b ^ exchanged;
  }

  Buffer<List<T, kLargest>> lists_;
  Buffer<uint64_t> following_, nodes_;
  uint64_t winner_ = 0;
  int64_t leaves_ = 1;
};

template <class T, bool kLargest>
class Merge {
 public:
  explicit Merge(const MergeTopkArgs& args) : args_(args), most_(std::min(args.k, args.parts * args.width)) {}

  void run() const {
    const int64_t each = std::max<int64_t>(kEntriesATask / std::max<int64_t>(args_.parts * args_.width + args_.k, 1), 1);
    auto rows = [&](int, int64_t task) {
      Merger<T, kLargest> merger(args_.parts);
      for (int64_t r = task * each; r < args_.m && r < (task + 1) * each; ++r) merge(r, merger);
    };
    parallel_for(args_.exec.threads, (args_.m + each - 1) / each, args_.exec.interrupted, rows);
  }

 private:
  void merge(int64_t row, Merger<T, kLargest>& merger) const {
    bool sorted = true;
    for (int64_t p = 0; p < args_.parts; ++p) {
      merger.list(p) = {static_cast<const T*>(args_.distances) + p * args_.part_stride + row * args_.row_stride,
                        args_.ids + p * args_.ids_part_stride + row * args_.ids_row_stride,
                        args_.offsets == nullptr ? 0 : args_.offsets[p], args_.width};
      sorted = sorted && merger.list(p).sorted();
    }
    sorted ? merge_sorted(row, merger) : select(row, merger);
  }

  void merge_sorted(int64_t row, Merger<T, kLargest>& merger) const {
    merger.begin();
    int64_t place = 0;
    for (; place < most_; ++place) {
      const List<T, kLargest>* list = merger.pop();
      if (list == nullptr) break;
      static_cast<T*>(args_.out_distances)[row * args_.k + place] = list->distances[list->at - 1];
      args_.out_ids[row * args_.k + place] = list->ids[list->at - 1] + list->offset;
    }
    write_missing(row, place);
  }

  void select(int64_t row, const Merger<T, kLargest>& merger) const {
    const int64_t capacity = topk_capacity(most_, args_.parts * args_.width);
    Buffer<ResultKey> memory(static_cast<size_t>(capacity));
    float threshold;
    TopK<ResultKey> top;
    top.begin(memory.get(), most_, capacity, &threshold);
    for (int64_t p = 0; p < args_.parts; ++p)
      for (int64_t i = 0; i < args_.width; ++i) {
        const ResultKey key = merger.list(p).key(i);
        if (key < no_result()) top.push(key);
      }
    const int64_t found = top.finish();
    for (int64_t place = 0; place < found; ++place) write(row, place, top.entries()[place]);
    write_missing(row, found);
  }

  void write(int64_t row, int64_t place, ResultKey key) const {
    static_cast<T*>(args_.out_distances)[row * args_.k + place] = key.template distance<T>();
    args_.out_ids[row * args_.k + place] = key.id();
  }
  void write_missing(int64_t row, int64_t from) const {
    for (int64_t at = row * args_.k + from; at < (row + 1) * args_.k; ++at) {
      static_cast<T*>(args_.out_distances)[at] = missing_result<T>(kLargest);
      args_.out_ids[at] = -1;
    }
  }

  const MergeTopkArgs& args_;
  const int64_t most_;
};

}  // namespace

void merge_topk(const MergeTopkArgs& args) {
  if (args.m == 0 || args.k == 0) return;
  if (args.integers)
    args.largest ? Merge<int32_t, true>(args).run() : Merge<int32_t, false>(args).run();
  else
    args.largest ? Merge<float, true>(args).run() : Merge<float, false>(args).run();
}

}  // namespace annk::ANNK_ISA
