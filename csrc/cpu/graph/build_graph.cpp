// SPDX-License-Identifier: Apache-2.0
#include "ops/build_graph.h"

#include <algorithm>

#include "core/threads.h"
#include "cpu/exact/scan.h"
#include "cpu/graph/prune.h"
#include "cpu/ops.h"

namespace annk::ANNK_ISA {
namespace {

constexpr int64_t kRowsATask = 16;

struct ListState {
  int32_t length, kept;  // the first `kept` entries came out of the list's last pruning together
};

// The graph under construction.
struct Growth {
  const BuildGraphArgs& args;
  int32_t* list(int64_t row) const { return args.neighbors + row * args.room; }
  ListState& state(int64_t row) const { return reinterpret_cast<ListState*>(args.state)[row]; }
  GraphView view(int64_t entries) const {
    return {args.neighbors, args.order, args.base.rows, args.room, args.room, entries};
  }
  void write(int64_t row, int64_t kept) const {
    const ListState was = state(row);
    for (int64_t i = kept; i < was.length; ++i) list(row)[i] = -1;
    state(row) = {static_cast<int32_t>(kept), static_cast<int32_t>(kept)};
  }
};

// One thread's scratch.
class Builder {
 public:
  Builder(const Growth& growth, int64_t entries)
      : growth_(growth),
        rows_(growth.args.base, growth.args.metric),
        pruner_(growth.args, rows_),
        search_(growth.view(entries), rows_.computer()),
        query_(rows_.computer().query_bytes * kQueryStep) {}

  bool finite() const { return pruner_.finite() && finite_; }

  // The buffer of a search towards a row.
  const SearchBuffer& search(int64_t row) {
    expanded_.clear();
    search_.begin(rows_.pack(row, search_.query_room()), growth_.args.window, &expanded_);
    while (search_.step(true)) {
    }
    finite_ = finite_ && search_.finite();
    return search_.buffer();
  }

  // The new neighbors of a row; returns how many.
  int64_t insert(int64_t row, int32_t* out) {
    search(row);
    const ListState state = growth_.state(row);
    int64_t others = 0;
    for (size_t i = 0; i < expanded_.size(); ++i) others += expanded_[i].id() != row;
    int64_t passed_over = others + state.length - growth_.args.most;
    near_.clear();
    fresh_.clear();
    for (size_t i = 0; i < expanded_.size(); ++i) {
      if (expanded_[i].id() == row || passed_over-- > 0) continue;
      near_.push({expanded_[i], false});
      fresh_.push(static_cast<int32_t>(expanded_[i].id()));
    }
    push_listed(row, state);
    return prune_near(row, 0, out);
  }

  void add(int64_t row, const int32_t* sources, int64_t count) {
    ListState& state = growth_.state(row);
    int32_t* const list = growth_.list(row);
    fresh_.clear();
    for (int64_t i = 0; i < count; ++i)
      if (!holds(list, state.length, sources[i])) fresh_.push(sources[i]);
    const int64_t fresh = static_cast<int64_t>(fresh_.size());
    if (state.length + fresh > growth_.args.room) return prune(row, fresh_.get(), fresh);
    for (int64_t i = 0; i < fresh; ++i) list[state.length++] = fresh_[i];
  }

  // Of the list and of `count` rows that it does not hold.
  void prune(int64_t row, const int32_t* sources, int64_t count) {
    const ListState state = growth_.state(row);
    int32_t* const list = growth_.list(row);
    const int64_t all = state.length + count;
    make_room(all);
    for (int64_t i = 0; i < all; ++i) ids_[i] = i < state.length ? list[i] : sources[i - state.length];
    const PackedQueries query = rows_.pack(row, query_.get());
    finite_ = rows_.computer().score_rows(query, 1, {ids_.get(), 0, static_cast<int>(all)}, keys_.get(), all) && finite_;
    near_.clear();
    for (int64_t i = 0; i < all; ++i) near_.push({SearchNeighbor::of(keys_[i], ids_[i]), i < state.kept});
    growth_.write(row, prune_near(row, state.length, list));
  }

 private:
  static bool holds(const int32_t* list, int64_t length, int32_t id) {
    bool there = false;
    for (int64_t e = 0; e < length; ++e) there |= list[e] == id;
    return there;
  }
  void make_room(int64_t count) {
    if (static_cast<int64_t>(ids_.size()) >= count) return;
    ids_.reset(static_cast<size_t>(count * 2));
    keys_.reset(static_cast<size_t>(count * 2 + kLanes));
  }

  // What the list holds and fresh_ does not, to near_. The query of the search is the row.
  void push_listed(int64_t row, ListState state) {
    const int32_t* const list = growth_.list(row);
    make_room(state.length);
    int64_t count = 0, kept = 0;
    for (int64_t e = 0; e < state.length; ++e) {
      if (holds(fresh_.get(), static_cast<int64_t>(fresh_.size()), list[e])) continue;
      ids_[count++] = list[e];
      kept += e < state.kept;
    }
    if (count == 0) return;
    const RowList rows{ids_.get(), 0, static_cast<int>(count)};
    finite_ = rows_.computer().score_rows(search_.query(), 1, rows, keys_.get(), count) && finite_;
    for (int64_t i = 0; i < count; ++i) near_.push({SearchNeighbor::of(keys_[i], ids_[i]), i < kept});
  }

  // Of what is in near_, `fixed` rows of the list in front, `most` are compared. Returns how many are kept.
  int64_t prune_near(int64_t row, int64_t fixed, int32_t* out) {
    PruneCandidate* const near = near_.get();
    const int64_t all = static_cast<int64_t>(near_.size()), count = std::min(all, growth_.args.most);
    if (count < all) std::nth_element(near + fixed, near + count, near + all);
    std::sort(near, near + count);
    return pruner_.prune(row, near, count, out);
  }

  const Growth growth_;
  RowQueries rows_;
  Pruner pruner_;
  BeamSearch search_;
  Buffer<char> query_;
  Growing<SearchNeighbor> expanded_;
  Growing<PruneCandidate> near_;
  Growing<int32_t> fresh_;  // rows that were expanded, or that lead to a list and are not in it
  Buffer<int64_t> ids_;
  Buffer<float> keys_;
  bool finite_ = true;
};

class Builders {
 public:
  Builders(const Growth& growth, int64_t entries, BadRow& bad)
      : growth_(growth), entries_(entries), bad_(bad), count_(workers_for(growth.args.exec.threads, INT64_MAX)) {
    all_ = new Builder*[static_cast<size_t>(count_)]();
  }
  ~Builders() {
    for (int w = 0; w < count_; ++w) delete all_[w];
    delete[] all_;
  }
  Builders(const Builders&) = delete;
  Builders& operator=(const Builders&) = delete;

  // body(builder, i) for i in [0, count).
  template <class Body>
  void each(int threads, int64_t count, Body&& body) {
    auto task = [&](int w, int64_t t) {
      if (all_[w] == nullptr) all_[w] = new Builder(growth_, entries_);
      const int64_t end = std::min(count, (t + 1) * kRowsATask);
      for (int64_t i = t * kRowsATask; i < end && !bad_.noted(); ++i) body(*all_[w], i);
      if (!all_[w]->finite() && bad_.is_asked()) bad_.note();
    };
    parallel_for(threads, (count + kRowsATask - 1) / kRowsATask, growth_.args.exec.interrupted, task);
  }

 private:
  const Growth& growth_;
  const int64_t entries_;
  BadRow& bad_;
  const int count_;
  Builder** all_;
};

// The new edges of a batch, by the row that they lead to: rows in the order in which they first appear, and for each the
// rows that lead to it, in the order of the batch.
struct Reversed {
  Growing<int32_t> targets;
  Buffer<int32_t> sources;
  Buffer<int64_t> ends;  // of a row's sources

  Reversed(const Growth& growth, int64_t first, int64_t count) : ends(static_cast<size_t>(growth.args.base.rows)) {
    __builtin_memset(ends.get(), 0, ends.size() * sizeof(int64_t));
    int64_t edges = 0;
    for (int64_t i = first; i < first + count; ++i) {
      const int64_t row = growth.args.order[i];
      for (int64_t e = 0; e < growth.state(row).length; ++e, ++edges)
        if (ends[growth.list(row)[e]]++ == 0) targets.push(growth.list(row)[e]);
    }
    sources.reset(static_cast<size_t>(edges));
    int64_t at = 0;
    for (size_t t = 0; t < targets.size(); ++t) {
      const int64_t here = ends[targets[t]];
      ends[targets[t]] = at;
      at += here;
    }
    for (int64_t i = first; i < first + count; ++i) {
      const int32_t row = growth.args.order[i];
      for (int64_t e = 0; e < growth.state(row).length; ++e) sources[ends[growth.list(row)[e]]++] = row;
    }
  }
  int64_t begin(int64_t t) const { return t == 0 ? 0 : ends[targets[t - 1]]; }
  int64_t end(int64_t t) const { return ends[targets[t]]; }
};

// Which rows a search from the entry points can reach, and through which edges first: these are never taken away.
class Reach {
 public:
  explicit Reach(const Growth& growth) : growth_(growth), parent_(static_cast<size_t>(growth.args.base.rows)) {
    for (size_t i = 0; i < parent_.size(); ++i) parent_[i] = -1;
    for (int64_t e = 0; e < growth.args.entry_point_count; ++e) reach(growth.args.order[e], growth.args.order[e]);
    spread();
  }
  bool reached(int64_t row) const { return parent_[row] >= 0; }

  // Gives `row` an edge from the first row of `near` that has one to give, or from any.
  void attach(int64_t row, const SearchBuffer& near) {
    bool done = false;
    for (int64_t i = 0; i < near.size() && !done; ++i) done = give(near[i].id(), row);
    for (int64_t i = 0; i < growth_.args.base.rows && !done; ++i) done = give(i, row);
    spread();
  }

 private:
  void reach(int64_t row, int64_t from) {
    if (reached(row)) return;
    parent_[row] = static_cast<int32_t>(from);
    queue_.push(static_cast<int32_t>(row));
  }
  void spread() {
    for (; done_ < queue_.size(); ++done_) {
      const int64_t row = queue_[done_];
      for (int64_t e = 0; e < growth_.state(row).length; ++e) reach(growth_.list(row)[e], row);
    }
  }
  bool give(int64_t from, int64_t to) {
    if (!reached(from)) return false;
    ListState& state = growth_.state(from);
    int32_t* const list = growth_.list(from);
    int64_t place = state.length;
    if (place == growth_.args.degree)
      for (--place; place >= 0 && parent_[list[place]] == from; --place) {
      }
    if (place < 0) return false;
    list[place] = static_cast<int32_t>(to);
    if (place == state.length) ++state.length;
    reach(to, from);
    return true;
  }

  const Growth& growth_;
  Buffer<int32_t> parent_;
  Growing<int32_t> queue_;
  size_t done_ = 0;
};

}  // namespace

void build_graph(const BuildGraphArgs& args) {
  BadRow bad(args.bad_row);
  const Growth growth{args};
  if (args.entry_point_count == 0) return;
  Builders builders(growth, args.entry_point_count, bad);
  Buffer<int32_t> lists(static_cast<size_t>(args.count * args.degree)), lengths(static_cast<size_t>(args.count));
  builders.each(args.exec.threads, args.count, [&](Builder& builder, int64_t i) {
    lengths[i] = static_cast<int32_t>(builder.insert(args.order[args.first + i], lists.get() + i * args.degree));
  });
  if (bad.report(args.base, args.exec)) return;
  for (int64_t i = 0; i < args.count; ++i) {
    const int64_t row = args.order[args.first + i];
    __builtin_memcpy(growth.list(row), lists.get() + i * args.degree, static_cast<size_t>(lengths[i]) * sizeof(int32_t));
    growth.write(row, lengths[i]);
  }
}

void link_graph(const BuildGraphArgs& args) {
  BadRow bad(args.bad_row);
  const Growth growth{args};
  Builders builders(growth, 0, bad);
  const Reversed reversed(growth, args.first, args.count);
  builders.each(args.exec.threads, static_cast<int64_t>(reversed.targets.size()), [&](Builder& builder, int64_t t) {
    const int64_t begin = reversed.begin(t);
    builder.add(reversed.targets[t], reversed.sources.get() + begin, reversed.end(t) - begin);
  });
  bad.report(args.base, args.exec);
}

void finish_graph(const BuildGraphArgs& args) {
  BadRow bad(args.bad_row);
  const Growth growth{args};
  if (args.base.rows == 0) return;
  Builders builders(growth, args.entry_point_count, bad);
  builders.each(args.exec.threads, args.base.rows, [&](Builder& builder, int64_t row) {
    if (growth.state(row).length > args.degree) builder.prune(row, nullptr, 0);
  });
  if (bad.report(args.base, args.exec)) return;
  Reach reach(growth);
  builders.each(1, args.base.rows, [&](Builder& builder, int64_t row) {
    if (!reach.reached(row)) reach.attach(row, builder.search(row));
  });
  bad.report(args.base, args.exec);
}

}  // namespace annk::ANNK_ISA
