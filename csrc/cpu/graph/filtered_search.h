// SPDX-License-Identifier: Apache-2.0
// The rows of a search under a filter, and how it chooses the next (ops/filter_plan.h). A sorted buffer would hold many more
// rows than are expanded: here those that wait are a heap, and those that were expanded a sorted list.
#pragma once
#include <algorithm>

#include "core/buffer.h"
#include "cpu/graph/search_neighbor.h"
#include "ops/filter_plan.h"

namespace annk::ANNK_ISA {

class FilteredSearch {
 public:
  // filter: null for none.
  void begin(const FilterPlan& plan, const Filter* filter, int64_t query) {
    plan_ = plan;
    filter_ = filter;
    query_ = query;
    judged_ = is_two_hop_ = ended_ = false;
    allowed_ = least_ = place_ = 0;
    waiting_.clear();
    expanded_.clear();
  }
  bool filters() const { return filter_ != nullptr; }
  ANNK_HD bool is_allowed(int64_t row) const { return filter_->is_allowed(query_, row); }
  // Excluded rows are not scored any more.
  bool is_two_hop() const { return is_two_hop_; }
  // The search came to its end, and not to that of its steps or of the graph.
  bool ended() const { return ended_; }
  // The place of what was popped last among those expanded.
  int64_t popped_place() const { return place_; }

  void push_all(const float* keys, const int64_t* ids, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      waiting_.push(SearchNeighbor::of(keys[i], ids[i]));
      std::push_heap(waiting_.get(), waiting_.get() + waiting_.size(), further);
    }
  }

  // The nearest that waits, which then counts as expanded. False: the search is over. forget(row): it may be visited again.
  template <class Forget>
  bool pop_nearest(SearchNeighbor* out, const Forget& forget) {
    if (waiting_.size() == 0) return false;
    int64_t confirmed = allowed_;
    place_ = static_cast<int64_t>(expanded_.size());
    for (; place_ > 0 && waiting_[0] < expanded_[place_ - 1]; --place_) confirmed -= was_allowed(expanded_[place_ - 1]);
    if (place_ >= plan_.steps) return false;
    if (!judged_ && confirmed >= kSample) judge(forget);
    if (!judged_ && plan_.is_hopeless(place_)) return false;
    ended_ = confirmed >= plan_.window && place_ >= least_;
    if (ended_ || waiting_.size() == 0) return false;
    *out = pop();
    expand(*out);
    return true;
  }

  // The `wanted` nearest allowed rows of a search that has ended.
  void results(int64_t wanted, Growing<SearchNeighbor>& out) const {
    for (size_t i = 0; i < expanded_.size() && static_cast<int64_t>(out.size()) < wanted; ++i)
      if (was_allowed(expanded_[i])) out.push(expanded_[i]);
  }

 private:
  static bool further(SearchNeighbor a, SearchNeighbor b) { return b < a; }
  static bool was_allowed(SearchNeighbor expanded) { return expanded.expanded(); }  // the lowest bit is free here

  SearchNeighbor pop() {
    std::pop_heap(waiting_.get(), waiting_.get() + waiting_.size(), further);
    return waiting_.pop();
  }
  void expand(SearchNeighbor taken) {
    // Where rows have just been dropped, it may be further than the one that place_ was found for.
    const int64_t size = static_cast<int64_t>(expanded_.size());
    while (place_ < size && expanded_[place_] < taken) ++place_;
    if (is_allowed(taken.id())) {
      taken.value |= 1u;
      ++allowed_;
    }
    expanded_.push(taken);
    std::rotate(expanded_.get() + place_, expanded_.get() + expanded_.size() - 1, expanded_.get() + expanded_.size());
  }

  template <class Forget>
  void judge(const Forget& forget) {
    judged_ = true;
    least_ = plan_.least(place_);
    is_two_hop_ = plan_.is_two_hop(place_);
    if (!is_two_hop_) return;
    keep_nearest();
    SearchNeighbor* const first = waiting_.get();
    size_t kept = 0;
    for (size_t i = 0; i < waiting_.size(); ++i) {
      if (is_allowed(first[i].id()))
        first[kept++] = first[i];
      else
        forget(first[i].id());
    }
    waiting_.shrink(kept);
    std::make_heap(first, first + kept, further);
  }

  // Of all rows, those that wait and those expanded, the plan keeps the `steps` nearest.
  void keep_nearest() {
    const size_t steps = static_cast<size_t>(plan_.steps);
    SearchNeighbor* const first = waiting_.get();
    if (waiting_.size() > steps) {
      std::nth_element(first, first + steps, first + waiting_.size());
      waiting_.shrink(steps);
    }
    std::sort(first, first + waiting_.size());
    size_t here = 0, there = 0;  // rows of each that are kept
    while (here + there < steps && (here < waiting_.size() || there < expanded_.size())) {
      const bool waits = there == expanded_.size() || (here < waiting_.size() && first[here] < expanded_[there]);
      waits ? ++here : ++there;
    }
    waiting_.shrink(here);
    for (size_t i = there; i < expanded_.size(); ++i) allowed_ -= was_allowed(expanded_[i]);
    expanded_.shrink(there);
  }

  FilterPlan plan_;
  const Filter* filter_ = nullptr;
  int64_t query_ = 0;
  Growing<SearchNeighbor> waiting_, expanded_;  // a heap; in order
  bool judged_ = false, is_two_hop_ = false, ended_ = false;
  int64_t allowed_ = 0, least_ = 0, place_ = 0;  // allowed_: of those expanded
};

}  // namespace annk::ANNK_ISA
