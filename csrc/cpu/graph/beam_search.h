// SPDX-License-Identifier: Apache-2.0
// One query's walk of a graph: the pool of the best met so far, the set of rows met, and the two halves of a hop. A hop is
// cut in two so that several walks can take turns: while the rows of one are on their way from memory, another counts.
#pragma once
#include "core/buffer.h"
#include "core/numeric.h"
#include "cpu/distance/distance_computer.h"
#include "cpu/simd/vec.h"
#include "ops/search_graph.h"

namespace annk::ANNK_ISA {

// A row met, as one number that sorts as (key, id); the lowest bit says that it was expanded.
struct Candidate {
  uint64_t value;
  static ANNK_HD Candidate of(float key, int64_t id) {
    return {static_cast<uint64_t>(ordered(key)) << 32 | static_cast<uint64_t>(id) << 1};
  }
  ANNK_HD float key() const { return key_of_ordered(static_cast<uint32_t>(value >> 32)); }
  ANNK_HD int64_t id() const { return static_cast<int64_t>(value >> 1 & 0x7fffffffu); }
  ANNK_HD bool expanded() const { return value & 1u; }
  friend ANNK_HD bool operator<(Candidate a, Candidate b) { return a.value < b.value; }
};

// The `capacity` smallest candidates, sorted.
class Pool {
 public:
  void begin(int64_t capacity) {
    if (static_cast<int64_t>(slots_.size()) < capacity + 1) slots_.reset(static_cast<size_t>(capacity + 1));
    capacity_ = capacity;
    size_ = next_ = 0;
  }
  int64_t size() const { return size_; }
  const Candidate& operator[](int64_t i) const { return slots_[i]; }
  // Keys from here on cannot enter. The key after the last one's: an equal key enters where its id is smaller. NaN while
  // there is room.
  float limit() const {
    return size_ < capacity_ ? NAN : key_of_ordered(static_cast<uint32_t>(slots_[size_ - 1].value >> 32) + 1u);
  }

  ANNK_HD void push(Candidate c) {
    int64_t at = size_;
    if (size_ == capacity_) {
      if (!(c < slots_[at - 1])) return;
      --at;
    } else {
      ++size_;
    }
    for (; at > 0 && c < slots_[at - 1]; --at) slots_[at] = slots_[at - 1];
    slots_[at] = c;
    if (at < next_) next_ = at;
  }

  // Rows ids[i] under keys[i]; keys is readable kLanes beyond `count`.
  void push_all(const float* keys, const int64_t* ids, int64_t count) {
    for (int64_t i = 0; i < count; i += kLanes) {
      uint32_t hits = below(F32::load(keys + i), F32::broadcast(limit()));
      if (count - i < kLanes) hits &= (1u << (count - i)) - 1;
      for (; hits != 0; hits &= hits - 1) {
        const int64_t at = i + __builtin_ctz(hits);
        push(Candidate::of(keys[at], ids[at]));
      }
    }
  }

  // The i-th smallest of those that were not expanded, -1 where there are fewer.
  ANNK_HD int64_t upcoming(int i) const {
    for (int64_t at = next_; at < size_; ++at)
      if (!slots_[at].expanded() && i-- == 0) return slots_[at].id();
    return -1;
  }

  // Where that stands which was taken last, until more are pushed.
  ANNK_HD int64_t place_taken() const { return next_ - 1; }

  // The smallest that was not expanded, which then counts as expanded. False: there is none.
  ANNK_HD bool take(Candidate* out) {
    while (next_ < size_ && slots_[next_].expanded()) ++next_;
    if (next_ == size_) return false;
    *out = slots_[next_];
    slots_[next_++].value |= 1u;
    return true;
  }

 private:
  Buffer<Candidate> slots_;
  int64_t capacity_ = 0, size_ = 0, next_ = 0;
};

// Rows met: a bit each. clear() costs as much as was met.
class Visited {
 public:
  explicit Visited(int64_t rows) : words_(static_cast<size_t>((rows + 63) / 64)) {
    if (words_.size() > 0) __builtin_memset(words_.get(), 0, words_.size() * sizeof(uint64_t));
  }
  uint64_t* words() const { return words_.get(); }
  // True the first time.
  static ANNK_HD bool meet(uint64_t* words, int64_t row) {
    uint64_t& word = words[row >> 6];
    const uint64_t bit = uint64_t{1} << (row & 63);
    const bool first = (word & bit) == 0;
    word |= bit;
    return first;
  }
  static ANNK_HD bool met(const uint64_t* words, int64_t row) { return words[row >> 6] >> (row & 63) & 1u; }
  ANNK_HD void forget(int64_t row) { words_[row >> 6] = 0; }

 private:
  Buffer<uint64_t> words_;
};

class GraphWalk {
 public:
  GraphWalk(const GraphView& graph, const Tiles& tiles)
      : graph_(graph),
        tiles_(&tiles),
        most_(graph.degree * 2 > graph.entry_count ? graph.degree * 2 : graph.entry_count),
        visited_(graph.rows),
        query_(tiles.few_bytes * kFewStep),
        found_(static_cast<size_t>(most_ + kLanes)),
        failing_(static_cast<size_t>(graph.degree)),
        ahead_(static_cast<size_t>(most_ + kLanes)),
        keys_(static_cast<size_t>(most_ + kLanes)) {}

  // Further walks are over `tiles`, which are of the same store and metric.
  void set_tiles(const Tiles& tiles) { tiles_ = &tiles; }
  // The packed query, tiles.few_bytes; filled by the caller before begin().
  void* query() const { return query_.get(); }
  Pool& pool() { return pool_; }
  // The row whose neighbours come next, and its place in the pool; INT64_MAX between hops.
  struct Expanding {
    int64_t row, place;
  };
  Expanding expanding() const { return {at_.id(), chosen_ ? pool_.place_taken() : INT64_MAX}; }
  bool finite() const { return finite_; }
  void meet_bad_row() { finite_ = false; }

  // The pool holds `window` rows, or all where there are fewer. filter: null, or that which the walk looks through.
  // expanded: null, or where to note what is expanded.
  void begin(int64_t window, const Filter* filter, int64_t query, Growing<Candidate>* expanded) {
    for (size_t i = 0; i < met_.size(); ++i) visited_.forget(met_[i]);
    met_.clear();
    pool_.begin(window < graph_.rows ? window : graph_.rows);
    filter_ = filter;
    of_query_ = query;
    expanded_ = expanded;
    finite_ = true;
    looked_at_ = -1;
    count_ = 0;
    chosen_ = false;
    gather(graph_.entries, graph_.entry_count);
    tiles_->prefetch({found_.get(), 0, static_cast<int>(count_)});
  }

  // Half a hop: the rows found last get their keys and the next row to expand is chosen; or the neighbours of that row are
  // gathered. What the next half reads is asked for at the end of each. A walk that takes turns with no other looks further
  // ahead, `alone`. False: the walk is over.
  bool half_hop(bool alone = false) {
    if (!chosen_) {
      score();
      if (!pool_.take(&at_)) return false;
      fetch_edges(at_.id());
      for (int i = 0; alone && i < 2; ++i)
        if (const int64_t id = pool_.upcoming(i); id >= 0) fetch_edges(id);
    } else {
      if (expanded_ != nullptr) expanded_->push(at_);
      if (at_.id() == looked_at_) {
        take_ahead();
      } else {
        if (filter_ == nullptr)
          gather(graph_.row(at_.id()), graph_.degree);
        else
          gather_passing(at_.id());
        tiles_->prefetch({found_.get(), 0, static_cast<int>(count_)});
      }
      if (alone && filter_ == nullptr) look_ahead();
    }
    chosen_ = !chosen_;
    return true;
  }

 private:
  // What is read in the next hop but one, if nothing nearer turns up: it comes while the rows found last are compared.
  void look_ahead() {
    looked_at_ = pool_.upcoming(0);
    if (looked_at_ < 0) return;
    const int32_t* const edges = graph_.row(looked_at_);
    const uint64_t* const words = visited_.words();
    int64_t* const ahead = ahead_.get();
    int64_t count = 0;
    for (int64_t e = 0; e < graph_.degree && edges[e] >= 0; ++e) {
      ahead[count] = edges[e];
      count += !Visited::met(words, edges[e]);
    }
    ahead_count_ = count;
    tiles_->prefetch({ahead, 0, static_cast<int>(count)});
  }
  // The row looked at ahead is the next: since then nothing has been met.
  void take_ahead() {
    uint64_t* const words = visited_.words();
    const int64_t* const ahead = ahead_.get();
    for (int64_t i = 0; i < ahead_count_; ++i) words[ahead[i] >> 6] |= uint64_t{1} << (ahead[i] & 63);
    found_.swap(ahead_);
    count_ = ahead_count_;
  }

  // The members are copied: the compiler must think that a write to the list could change them.
  void gather(const int32_t* ids, int64_t most) {
    int64_t* const found = found_.get();
    uint64_t* const words = visited_.words();
    int64_t count = count_;
    for (int64_t e = 0; e < most && ids[e] >= 0; ++e) {
      found[count] = ids[e];
      count += Visited::meet(words, ids[e]);
    }
    count_ = count;
  }
  // Rows that pass, and what lies behind those that fail.
  void gather_passing(int64_t row) {
    int64_t failing = 0;
    const int32_t* edges = graph_.row(row);
    for (int64_t e = 0; e < graph_.degree && edges[e] >= 0; ++e) {
      const int64_t id = edges[e];
      if (!Visited::meet(visited_.words(), id)) continue;
      if (filter_->pass(of_query_, id)) {
        found_[count_++] = id;
      } else {
        met_.push(id);
        fetch_edges(id);
        failing_[failing++] = id;
      }
    }
    for (int64_t f = 0; f < failing && count_ < graph_.degree; ++f) {
      edges = graph_.row(failing_[f]);
      for (int64_t e = 0; e < graph_.degree && edges[e] >= 0; ++e)
        if (filter_->pass(of_query_, edges[e]) && Visited::meet(visited_.words(), edges[e])) found_[count_++] = edges[e];
    }
  }

  ANNK_HD void fetch_edges(int64_t row) const {
    const char* const edges = reinterpret_cast<const char*>(graph_.row(row));
    for (int64_t at = 0; at < graph_.degree * static_cast<int64_t>(sizeof(int32_t)); at += 64)
      __builtin_prefetch(edges + at);
  }

  void score() {
    if (count_ == 0) return;
    for (int64_t i = 0; i < count_; ++i) met_.push(found_[i]);
    finite_ =
        tiles_->few_keys(query_.get(), 1, {found_.get(), 0, static_cast<int>(count_), true}, keys_.get(), most_) && finite_;
    pool_.push_all(keys_.get(), found_.get(), count_);
    count_ = 0;
  }

  const GraphView graph_;
  const Tiles* tiles_;
  const int64_t most_;
  Visited visited_;
  Pool pool_;
  Buffer<char> query_;
  Buffer<int64_t> found_, failing_, ahead_;
  Growing<int64_t> met_;
  Buffer<float> keys_;
  int64_t count_ = 0, of_query_ = 0;
  int64_t looked_at_ = -1, ahead_count_ = 0;  // looked_at_: the row whose neighbours are ahead_
  const Filter* filter_ = nullptr;
  Growing<Candidate>* expanded_ = nullptr;
  Candidate at_{};       // being expanded
  bool chosen_ = false;  // at_ waits for its neighbours
  bool finite_ = true;
};

}  // namespace annk::ANNK_ISA
