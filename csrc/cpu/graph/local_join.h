// SPDX-License-Identifier: Apache-2.0
// Groups of rows whose members are compared with one another (ops/nn_descent.h).
#pragma once
#include <algorithm>

#include "cpu/exact/scan.h"
#include "cpu/graph/nearest_lists.h"
#include "cpu/graph/prune.h"
#include "ops/nn_descent.h"

namespace annk::ANNK_ISA {

// One thread's scratch, for groups of `most` members.
class LocalJoin {
 public:
  LocalJoin(const NnDescentArgs& args, NearestLists& lists, int64_t most)
      : lists_(lists),
        rows_(args.base, args.metric),
        stride_(most + kLanes),
        ids_(static_cast<size_t>(most)),
        limits_(static_cast<size_t>(most + kLanes)),
        queries_(rows_.computer().query_bytes * static_cast<size_t>(most + kQueryStep)),
        keys_(static_cast<size_t>(kQueries * stride_)),
        entries_(static_cast<size_t>(most * stride_)),
        updates_(static_cast<size_t>(most)) {}

  bool finite() const { return finite_; }
  int64_t size() const { return count_; }
  void begin() { count_ = 0; }
  void add(int64_t id) { ids_[count_++] = id; }
  void add_new(int64_t id) {
    uint64_t there = 0;
    for (int64_t i = 0; i < count_; ++i) there |= static_cast<uint64_t>(ids_[i] == id);
    if (there == 0) add(id);
  }

  // Compares each of the first `fresh` members, which are new, with all that come behind it.
  void run(int64_t fresh) {
    for (int64_t i = 0; i < count_; ++i) {
      lists_.prefetch(ids_[i]);
      limits_[i] = lists_.limit(ids_[i]);
      updates_[i] = 0;
    }
    pack(ids_.get(), fresh);
    for (int64_t first = 0; first < fresh; first += kQueries) {
      const int here = static_cast<int>(std::min<int64_t>(kQueries, fresh - first));
      find_keys(first, here, {ids_.get() + first, 0, static_cast<int>(count_ - first)});
      for (int q = 0; q < here; ++q) collect(first + q, first, keys_.get() + q * stride_);
    }
    for (int64_t i = 0; i < count_; ++i)
      if (updates_[i] > 0) lists_.update(ids_[i], entries_.get() + i * stride_, updates_[i]);
  }

  // nearest[i]: which of `pivots`, at most kQueries, row i of the group is nearest to; of equally near ones the first.
  void find_nearest(const int32_t* pivots, int count, uint8_t* nearest) {
    pack(pivots, count);
    find_keys(0, count, {ids_.get(), 0, static_cast<int>(count_)});
    for (int64_t i = 0; i < count_; ++i) {
      int best = 0;
      for (int p = 1; p < count; ++p)
        if (keys_[p * stride_ + i] < keys_[best * stride_ + i]) best = p;
      nearest[i] = static_cast<uint8_t>(best);
    }
  }

  static constexpr int64_t kQueries = 16;  // whose keys are made together: a tile stays in the L1 cache

 private:
  template <class Id>
  void pack(const Id* rows, int64_t count) {
    const size_t each = rows_.computer().query_bytes;
    for (int64_t q = 0; q < count; ++q) {
      const PackedQueries packed = rows_.pack(rows[q], queries_.get() + static_cast<size_t>(q) * each);
      if (q == 0) packed_ = packed;
    }
  }
  void find_keys(int64_t first, int count, const RowList& against) {
    const int together = rows_.computer().queries_apart ? count : 1;
    const DistanceComputer& computer = rows_.computer();
    for (int q = 0; q < count; q += together) {
      const PackedQueries queries = computer.behind(packed_, first + q);
      finite_ = computer.score_rows(queries, together, against, keys_.get() + q * stride_, stride_) && finite_;
    }
  }

  // Of member q and those behind it, what each is to the other; the key of member i stands at keys[i - first].
  void collect(int64_t q, int64_t first, const float* keys) {
    const int64_t row = ids_[q];
    for (int64_t from = first + (q + 1 - first) / kLanes * kLanes; from < count_; from += kLanes) {
      const F32 here = F32::load(keys + (from - first));
      uint32_t behind = ~0u;
      if (count_ - from < kLanes) behind = (1u << (count_ - from)) - 1;
      if (from <= q) behind &= ~0u << (q + 1 - from);
      for (uint32_t hits = below(here, F32::broadcast(limits_[q])) & behind; hits != 0; hits &= hits - 1) {
        const int64_t i = from + __builtin_ctz(hits);
        entries_[q * stride_ + updates_[q]++] = lists_.entry(row, ids_[i], keys[i - first]);
      }
      for (uint32_t hits = below(here, F32::load(limits_.get() + from)) & behind; hits != 0; hits &= hits - 1) {
        const int64_t i = from + __builtin_ctz(hits);
        entries_[i * stride_ + updates_[i]++] = lists_.entry(ids_[i], row, keys[i - first]);
      }
    }
  }

  NearestLists& lists_;
  RowQueries rows_;
  const int64_t stride_;
  int64_t count_ = 0;
  Buffer<int64_t> ids_;
  Buffer<float> limits_;
  Buffer<char> queries_;
  PackedQueries packed_ = PackedQueries::none();  // in queries_, one by one
  Buffer<float> keys_;
  Buffer<uint64_t> entries_;  // for the list of each member
  Buffer<int64_t> updates_;   // how many
  bool finite_ = true;
};

// A LocalJoin for each worker that wants one.
class LocalJoins {
 public:
  LocalJoins(const NnDescentArgs& args, NearestLists& lists, int64_t most, BadRow& bad)
      : args_(args), lists_(lists), most_(most), bad_(bad), count_(workers_for(args.exec.threads, INT64_MAX)) {
    all_ = new LocalJoin*[static_cast<size_t>(count_)]();
  }
  ~LocalJoins() {
    for (int w = 0; w < count_; ++w) delete all_[w];
    delete[] all_;
  }
  LocalJoins(const LocalJoins&) = delete;
  LocalJoins& operator=(const LocalJoins&) = delete;

  // body(local_join, t) for t in [0, tasks).
  template <class Body>
  void each(int64_t tasks, Body&& body) {
    auto task = [&](int w, int64_t t) {
      if (bad_.noted()) return;
      if (all_[w] == nullptr) all_[w] = new LocalJoin(args_, lists_, most_);
      body(*all_[w], t);
      if (!all_[w]->finite() && bad_.is_asked()) bad_.note();
    };
    parallel_for(args_.exec.threads, tasks, args_.exec.interrupted, task);
  }

 private:
  const NnDescentArgs& args_;
  NearestLists& lists_;
  const int64_t most_;
  BadRow& bad_;
  const int count_;
  LocalJoin** all_;
};

}  // namespace annk::ANNK_ISA
