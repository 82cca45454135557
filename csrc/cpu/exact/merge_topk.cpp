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

// One query's list in one part, as it is read.
template <class T, bool kLargest>
struct List {
  const T* distances;
  const int64_t* ids;
  int64_t offset, width, at;

  ANNK_HD ResultKey key(int64_t i) const { return result_key(distances[i], ids[i], offset, kLargest); }
  ANNK_HD ResultKey next() { return at < width ? key(at++) : no_result(); }

  ANNK_HD bool is_there(int64_t i) const { return ids[i] >= 0 && distances[i] != missing_result<T>(kLargest); }
  // Best first, missing entries last. Compares what lies in memory, which is cheaper than keys; NaN and an id that comes
  // twice count as not sorted.
  bool sorted() const {
    int64_t i = 0;
    for (; i < width && is_there(i); ++i) {
      if (i == 0) continue;
      const T before = distances[i - 1], here = distances[i];
      if (!(kLargest ? here < before : before < here) && !(before == here && ids[i - 1] < ids[i])) return false;
    }
    for (; i < width; ++i)
      if (is_there(i)) return false;
    return true;
  }
};

// Merges sorted lists: a tree of matches between lists, in which each node keeps the list that lost there, so that the next
// entry of the list that won last plays log2(lists) matches (Knuth, The Art of Computer Programming 3, 5.4.1).
template <class T, bool kLargest>
class Merger {
 public:
  explicit Merger(int64_t lists) : lists_(static_cast<size_t>(lists)), leaves_(1) {
    while (leaves_ < lists) leaves_ *= 2;
    keys_.reset(static_cast<size_t>(leaves_));
    losers_.reset(static_cast<size_t>(leaves_));
    winners_.reset(static_cast<size_t>(2 * leaves_));
  }
  List<T, kLargest>& list(int64_t i) const { return lists_[i]; }
  int64_t lists() const { return static_cast<int64_t>(lists_.size()); }

  void begin() {
    for (int64_t i = 0; i < leaves_; ++i) {
      keys_[i] = i < lists() ? lists_[i].next() : no_result();
      winners_[leaves_ + i] = i;
    }
    for (int64_t node = leaves_ - 1; node > 0; --node) {
      const int64_t a = winners_[2 * node], b = winners_[2 * node + 1];
      const bool second = keys_[b] < keys_[a];
      winners_[node] = second ? b : a;
      losers_[node] = second ? a : b;
    }
    winner_ = winners_[1];
  }

  // The smallest key that is left; no_result() where none is.
  ResultKey pop() {
    const ResultKey smallest = keys_[winner_];
    if (winner_ >= lists()) return smallest;
    keys_[winner_] = lists_[winner_].next();
    for (int64_t node = (leaves_ + winner_) / 2; node > 0; node /= 2) {
      const int64_t other = losers_[node];
      const bool loses = keys_[other] < keys_[winner_];
      losers_[node] = loses ? winner_ : other;
      winner_ = loses ? other : winner_;
    }
    return smallest;
  }

 private:
  Buffer<List<T, kLargest>> lists_;
  Buffer<ResultKey> keys_;  // of each leaf's list: its next entry
  Buffer<int64_t> losers_, winners_;
  int64_t leaves_, winner_ = 0;
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
                        args_.offsets == nullptr ? 0 : args_.offsets[p], args_.width, 0};
      sorted = sorted && merger.list(p).sorted();
    }
    sorted ? merge_sorted(row, merger) : select(row, merger);
  }

  void merge_sorted(int64_t row, Merger<T, kLargest>& merger) const {
    merger.begin();
    int64_t place = 0;
    for (; place < most_; ++place) {
      const ResultKey key = merger.pop();
      if (!(key < no_result())) break;
      write(row, place, key);
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
