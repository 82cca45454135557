// SPDX-License-Identifier: Apache-2.0
// One query's search of a graph: the buffer of the nearest rows so far, the set of visited rows, and the two steps of a
// hop. A hop has two so that several searches can take turns: while the rows of one are on their way from memory, another
// computes.
#pragma once
#include "core/buffer.h"
#include "cpu/distance/distance_computer.h"
#include "cpu/graph/filtered_search.h"
#include "cpu/simd/vec.h"
#include "ops/search_graph.h"

namespace annk::ANNK_ISA {

// The `capacity` smallest candidates, sorted, of which the first `expand` may be expanded.
class SearchBuffer {
 public:
  void begin(int64_t capacity, int64_t expand) {
    if (static_cast<int64_t>(slots_.size()) < capacity + 1) slots_.reset(static_cast<size_t>(capacity + 1));
    capacity_ = capacity;
    expand_ = expand;
    size_ = next_ = 0;
  }
  int64_t size() const { return size_; }
  const SearchNeighbor& operator[](int64_t i) const { return slots_[i]; }
  // Keys from here on cannot enter. The key after the last one's: an equal key enters where its id is smaller. NaN while
  // there is room.
  float limit() const {
    return size_ < capacity_ ? NAN : key_of_bits(static_cast<uint32_t>(slots_[size_ - 1].value >> 32) + 1u);
  }

  ANNK_HD void push(SearchNeighbor c) {
    if (size_ < capacity_)
      ++size_;
    else if (!(c < slots_[size_ - 1]))
      return;
    SearchNeighbor* const slots = slots_.get();
    int64_t at = size_ - 1;
    for (; at > 0 && c < slots[at - 1]; --at) slots[at] = slots[at - 1];
    slots[at] = c;
    if (at < next_) next_ = at;
  }

  // Rows ids[i] under keys[i]; keys is readable kLanes beyond `count`.
  void push_all(const float* keys, const int64_t* ids, int64_t count) {
    for (int64_t i = 0; i < count; i += kLanes) {
      uint32_t hits = below(F32::load(keys + i), F32::broadcast(limit()));
      if (count - i < kLanes) hits &= (1u << (count - i)) - 1;
      for (; hits != 0; hits &= hits - 1) {
        const int64_t at = i + __builtin_ctz(hits);
        push(SearchNeighbor::of(keys[at], ids[at]));
      }
    }
  }

  // The i-th smallest of those that may be and were not expanded, -1 where there are fewer.
  ANNK_HD int64_t peek(int i) const {
    for (int64_t at = next_; at < last(); ++at)
      if (!slots_[at].expanded() && i-- == 0) return slots_[at].id();
    return -1;
  }

  // The place of what was popped last, until more are pushed.
  ANNK_HD int64_t popped_place() const { return next_ - 1; }

  // The nearest that may be and was not expanded, which then counts as expanded. False: there is none.
  ANNK_HD bool pop_nearest(SearchNeighbor* out) {
    const int64_t end = last();
    while (next_ < end && slots_[next_].expanded()) ++next_;
    if (next_ >= end) return false;
    *out = slots_[next_];
    slots_[next_++].value |= 1u;
    return true;
  }

 private:
  ANNK_HD int64_t last() const { return expand_ < size_ ? expand_ : size_; }

  Buffer<SearchNeighbor> slots_;
  int64_t capacity_ = 0, expand_ = 0, size_ = 0, next_ = 0;
};

// Visited rows: a bit each.
class Visited {
 public:
  explicit Visited(int64_t rows) : words_(static_cast<size_t>((rows + 63) / 64)) {
    if (words_.size() > 0) __builtin_memset(words_.get(), 0, words_.size() * sizeof(uint64_t));
  }
  uint64_t* words() const { return words_.get(); }
  // True the first time.
  static ANNK_HD bool visit(uint64_t* words, int64_t row) {
    uint64_t& word = words[row >> 6];
    const uint64_t bit = uint64_t{1} << (row & 63);
    const bool first = (word & bit) == 0;
    word |= bit;
    return first;
  }
  static ANNK_HD bool contains(const uint64_t* words, int64_t row) { return words[row >> 6] >> (row & 63) & 1u; }
  ANNK_HD void forget(int64_t row) { words_[row >> 6] = 0; }  // and some others
  void forget_one(int64_t row) { words_[row >> 6] &= ~(uint64_t{1} << (row & 63)); }

 private:
  Buffer<uint64_t> words_;
};

class BeamSearch {
 public:
  BeamSearch(const GraphView& graph, const DistanceComputer& computer)
      : graph_(graph),
        computer_(&computer),
        most_(graph.degree * 2 > graph.entry_point_count ? graph.degree * 2 : graph.entry_point_count),
        visited_(graph.rows),
        query_room_(computer.query_bytes * kQueryStep),
        found_(static_cast<size_t>(most_ + kLanes)),
        excluded_(static_cast<size_t>(graph.degree)),
        prefetched_(static_cast<size_t>(most_ + kLanes)),
        keys_(static_cast<size_t>(most_ + kLanes)) {}

  // Further searches are by `computer`, which is of the same store and metric.
  void set_computer(const DistanceComputer& computer) { computer_ = &computer; }
  // Where the query of the next search may be packed.
  void* query_room() const { return query_room_.get(); }
  PackedQueries query() const { return query_; }
  SearchBuffer& buffer() { return buffer_; }
  // The row whose neighbors come next, and its place in the buffer; INT64_MAX between hops.
  struct Expanding {
    int64_t row, place;
  };
  Expanding expanding() const {
    if (!chosen_) return {at_.id(), INT64_MAX};
    return {at_.id(), filtered_.filters() ? filtered_.popped_place() : buffer_.popped_place()};
  }
  bool finite() const { return finite_; }
  void note_bad_row() { finite_ = false; }

  // The buffer holds `window` rows, or all where there are fewer. expanded: null, or where to note what is expanded.
  void begin(PackedQueries query, int64_t window, Growing<SearchNeighbor>* expanded) {
    filtered_.begin({}, nullptr, 0);
    begin_with(query, window, window, expanded);
  }
  // number: the query's, under which the filter knows it.
  void begin(PackedQueries query, const FilterPlan& plan, const Filter& filter, int64_t number, int64_t expand) {
    filtered_.begin(plan, plan.filtered ? &filter : nullptr, number);
    begin_with(query, plan.filtered ? 0 : plan.window, expand, nullptr);
  }
  const FilteredSearch& filtered() const { return filtered_; }

  // One of the two steps of a hop: the rows found last get their keys and the nearest row is popped, to be expanded; or the
  // neighbors of that row are gathered. What the next step reads is prefetched at the end of each. A search that takes turns
  // with no other prefetches further ahead, `alone`. False: the search is over.
  bool step(bool alone = false) {
    if (!chosen_) {
      score();
      if (filtered_.filters()) return pop_filtered();
      if (!buffer_.pop_nearest(&at_)) return false;
      fetch_edges(at_.id());
      for (int i = 0; alone && i < 2; ++i)
        if (const int64_t id = buffer_.peek(i); id >= 0) fetch_edges(id);
    } else {
      if (expanded_ != nullptr) expanded_->push(at_);
      if (at_.id() == prefetched_row_) {
        use_prefetched();
      } else {
        if (!filtered_.is_two_hop())
          gather(graph_.row(at_.id()), graph_.degree);
        else
          gather_two_hop(at_.id());
        computer_->prefetch({found_.get(), 0, static_cast<int>(count_)});
      }
      if (alone && !filtered_.filters()) prefetch_next();
    }
    chosen_ = !chosen_;
    return true;
  }

 private:
  void begin_with(PackedQueries query, int64_t window, int64_t expand, Growing<SearchNeighbor>* expanded) {
    query_ = query;
    for (size_t i = 0; i < visited_rows_.size(); ++i) visited_.forget(visited_rows_[i]);
    visited_rows_.clear();
    buffer_.begin(window < graph_.rows ? window : graph_.rows, expand);
    expanded_ = expanded;
    finite_ = true;
    prefetched_row_ = -1;
    count_ = 0;
    chosen_ = false;
    gather(graph_.entry_points, graph_.entry_point_count);
    computer_->prefetch({found_.get(), 0, static_cast<int>(count_)});
  }

  bool pop_filtered() {
    chosen_ = filtered_.pop_nearest(&at_, [this](int64_t row) { visited_.forget_one(row); });
    if (chosen_) fetch_edges(at_.id());
    return chosen_;
  }

  // What is read in the next hop but one, if nothing nearer turns up: it comes while the rows found last are compared.
  void prefetch_next() {
    prefetched_row_ = buffer_.peek(0);
    if (prefetched_row_ < 0) return;
    const int32_t* const edges = graph_.row(prefetched_row_);
    const uint64_t* const words = visited_.words();
    int64_t* const ahead = prefetched_.get();
    int64_t count = 0;
    for (int64_t e = 0; e < graph_.degree && edges[e] >= 0; ++e) {
      ahead[count] = edges[e];
      count += !Visited::contains(words, edges[e]);
    }
    prefetched_count_ = count;
    computer_->prefetch({ahead, 0, static_cast<int>(count)});
  }
  // The prefetched row is the next: since then no row was visited. A list may hold a row twice.
  void use_prefetched() {
    uint64_t* const words = visited_.words();
    int64_t* const ahead = prefetched_.get();
    int64_t count = 0;
    for (int64_t i = 0; i < prefetched_count_; ++i) {
      const int64_t row = ahead[i];
      ahead[count] = row;
      count += Visited::visit(words, row);
    }
    found_.swap(prefetched_);
    count_ = count;
  }

  // The members are copied: the compiler must think that a write to the list could change them.
  void gather(const int32_t* ids, int64_t most) {
    int64_t* const found = found_.get();
    uint64_t* const words = visited_.words();
    int64_t count = count_;
    for (int64_t e = 0; e < most && ids[e] >= 0; ++e) {
      found[count] = ids[e];
      count += Visited::visit(words, ids[e]);
    }
    count_ = count;
  }
  // Allowed neighbors, and the allowed neighbors of the others.
  void gather_two_hop(int64_t row) {
    int64_t excluded = 0;
    const int32_t* edges = graph_.row(row);
    for (int64_t e = 0; e < graph_.degree && edges[e] >= 0; ++e) {
      const int64_t id = edges[e];
      if (!Visited::visit(visited_.words(), id)) continue;
      if (filtered_.is_allowed(id)) {
        found_[count_++] = id;
      } else {
        visited_rows_.push(id);
        fetch_edges(id);
        excluded_[excluded++] = id;
      }
    }
    for (int64_t f = 0; f < excluded && count_ < graph_.degree; ++f) {
      edges = graph_.row(excluded_[f]);
      for (int64_t e = 0; e < graph_.degree && edges[e] >= 0; ++e)
        if (filtered_.is_allowed(edges[e]) && Visited::visit(visited_.words(), edges[e])) found_[count_++] = edges[e];
    }
  }

  ANNK_HD void fetch_edges(int64_t row) const {
    const char* const edges = reinterpret_cast<const char*>(graph_.row(row));
    for (int64_t at = 0; at < graph_.degree * static_cast<int64_t>(sizeof(int32_t)); at += 64)
      __builtin_prefetch(edges + at);
  }

  void score() {
    if (count_ == 0) return;
    visited_rows_.append(found_.get(), static_cast<size_t>(count_));
    finite_ =
        computer_->score_rows(query_, 1, {found_.get(), 0, static_cast<int>(count_), true}, keys_.get(), most_) && finite_;
    if (filtered_.filters())
      filtered_.push_all(keys_.get(), found_.get(), count_);
    else
      buffer_.push_all(keys_.get(), found_.get(), count_);
    count_ = 0;
  }

  const GraphView graph_;
  const DistanceComputer* computer_;
  const int64_t most_;
  Visited visited_;
  SearchBuffer buffer_;
  Buffer<char> query_room_;
  PackedQueries query_ = PackedQueries::none();
  Buffer<int64_t> found_, excluded_, prefetched_;
  Growing<int64_t> visited_rows_;
  Buffer<float> keys_;
  int64_t count_ = 0;
  int64_t prefetched_row_ = -1, prefetched_count_ = 0;  // prefetched_row_: the row whose neighbors are prefetched_
  FilteredSearch filtered_;
  Growing<SearchNeighbor>* expanded_ = nullptr;
  SearchNeighbor at_{};  // being expanded
  bool chosen_ = false;  // at_ waits for its neighbors
  bool finite_ = true;
};

}  // namespace annk::ANNK_ISA
