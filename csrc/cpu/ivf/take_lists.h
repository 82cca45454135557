// SPDX-License-Identifier: Apache-2.0
// Which lists the queries of a block take (csrc/ops/search_lists.h).
#pragma once
#include <algorithm>

#include "core/buffer.h"
#include "cpu/ops.h"

namespace annk::ANNK_ISA {

// A list that a query of the block takes.
struct ListQuery {
  int64_t list;
  int query;
};

class ListTaker {
 public:
  explicit ListTaker(const SearchListsArgs& args) : args_(args), filtered_(args.filter.kind != Filter::Kind::none) {
    if (filtered_ && args.filter.shared()) {
      allowed_.reset(static_cast<size_t>(args.lists.count));
      std::fill_n(allowed_.get(), allowed_.size(), int64_t{-1});
    }
  }

  // taken: those of queries [first, first + count), query after query, in their order; starts[q] is where those of q begin.
  void take(int64_t first, int count, Growing<ListQuery>& taken, int64_t* starts) {
    const int64_t depth = filtered_ ? args_.lists.count : args_.probes;
    order(first, count, depth, order_);
    taken.clear();
    for (int q = 0; q < count; ++q) {
      starts[q] = static_cast<int64_t>(taken.size());
      const int64_t* const own = order_.get() + q * depth;
      if (take_one(first + q, q, own, depth, taken)) continue;
      order(first + q, 1, args_.lists.count, all_);
      taken.shrink(static_cast<size_t>(starts[q]));
      take_one(first + q, q, all_.get(), args_.lists.count, taken);
    }
    starts[count] = static_cast<int64_t>(taken.size());
  }

 private:
  int64_t size(int64_t list) const { return args_.lists.offsets[list + 1] - args_.lists.offsets[list]; }

  // False: `depth` lists are not enough, and there are more.
  bool take_one(int64_t query, int local, const int64_t* lists, int64_t depth, Growing<ListQuery>& taken) {
    int64_t wanted = 0, held = 0;
    for (int64_t i = 0; i < std::min(args_.probes, depth); ++i) wanted += size(lists[i]);
    wanted = std::max(wanted, args_.lists.copies * args_.k);
    for (int64_t i = 0; i < depth && held < wanted; ++i) {
      const int64_t here = filtered_ ? allowed(query, lists[i]) : size(lists[i]);
      held += here;
      if (here > 0) taken.push({lists[i], local});
    }
    return held >= wanted || depth == args_.lists.count;
  }

  // How many members of the list the filter passes. Those of a filter that all queries share are counted once.
  int64_t allowed(int64_t query, int64_t list) {
    int64_t* const known = allowed_.size() > 0 ? allowed_.get() + list : nullptr;
    if (known != nullptr && *known >= 0) return *known;
    int64_t count = 0;
    for (int64_t at = args_.lists.offsets[list]; at < args_.lists.offsets[list + 1]; ++at)
      count += args_.filter.is_allowed(query, args_.lists.ids[at]);
    if (known != nullptr) *known = count;
    return count;
  }

  // The `depth` lists nearest to each of the queries: (count, depth).
  void order(int64_t first, int count, int64_t depth, Buffer<int64_t>& lists) {
    const size_t entries = static_cast<size_t>(count * depth);
    if (lists.size() < entries) lists.reset(entries);
    if (distances_.size() < entries) distances_.reset(entries);
    KnnArgs nearest;
    nearest.base = args_.centroids;
    nearest.queries = args_.centroid_queries;
    nearest.queries.data = args_.centroid_queries.row(first);
    nearest.queries.rows = count;
    nearest.metric = args_.order_metric;
    nearest.k = depth;
    nearest.distances = distances_.get();
    nearest.indices = lists.get();
    nearest.exec.threads = 1;
    ANNK_ISA::knn(nearest);
  }

  const SearchListsArgs& args_;
  const bool filtered_;
  Buffer<int64_t> order_, all_, allowed_;
  Buffer<float> distances_;
};

}  // namespace annk::ANNK_ISA
