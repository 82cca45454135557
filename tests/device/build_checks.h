// SPDX-License-Identifier: Apache-2.0
// Builders of graphs against plain loops over the device's own distances.
#pragma once
#include <algorithm>

#include "core/tie_order.h"
#include "graph_checks.h"
#include "ops/build_graph.h"
#include "ops/nn_descent.h"

namespace check {

struct DescentCase {
  Shape s;  // m is not used
  int64_t width, sample, degree;
  int starts = 1, rounds = 1;
  int64_t batch_bytes = int64_t{1} << 20;
  int64_t left_out = 0;  // rows that the order lacks
};

// keys[q * n + i]: of row q, decoded, as a query and row i.
inline std::vector<double> keys_of_rows(const Inputs& in, const Shape& s) {
  const int64_t n = s.n;
  const Matrix rows = in.store ? Matrix{in.store->decoded.data<float>(), n, s.d, s.d * 4, DType::f32}
                               : static_cast<const Matrix&>(in.base.view);
  if (in.store)
    if (const auto own = cpu_distances(in.searched, rows, s.metric, true)) {
      std::vector<double> keys(own.get(), own.get() + n * n);
      if (is_similarity(s.metric))
        for (double& key : keys) key = -key;
      return keys;
    }
  const Bytes out(n * n * 4);
  run(PairwiseArgs{rows, in.searched, s.metric, out.data(), nullptr, {}}, pairwise, pairwise_workspace);
  std::vector<double> keys(static_cast<size_t>(n * n));
  for (size_t i = 0; i < keys.size(); ++i) {
    const double value = is_int_metric(s.metric) ? out.data<int32_t>()[i] : static_cast<double>(out.data<float>()[i]);
    keys[i] = is_similarity(s.metric) ? -value : value;
  }
  return keys;
}

// csrc/ops/nn_descent.h and reference/nn_descent.py, word by word.
class PlainDescent {
 public:
  PlainDescent(int64_t n, int64_t width, std::vector<double> keys)
      : lists(static_cast<size_t>(n)), n_(n), width_(static_cast<size_t>(width)), keys_(std::move(keys)) {}

  std::vector<std::vector<uint64_t>> lists;

  void start(int32_t* rows, int64_t count) {
    if (count <= 128) {
      join({rows, rows + count}, static_cast<size_t>(count));
      return;
    }
    const int64_t sets = std::min<int64_t>(16, (2 * count + 127) / 128);
    std::vector<std::vector<int32_t>> own(static_cast<size_t>(sets));
    for (int64_t i = 0; i < count; ++i) {
      int64_t best = 0;
      for (int64_t p = 1; p < sets; ++p)
        if (order(rows[p], rows[i]) < order(rows[best], rows[i])) best = p;
      own[static_cast<size_t>(best)].push_back(rows[i]);
    }
    for (const std::vector<int32_t>& set : own) {
      const int64_t size = static_cast<int64_t>(set.size()), most = size > count / 16 * 15 ? 128 : size;
      std::copy(set.begin(), set.end(), rows);
      for (int64_t at = 0; at < size; at += most) start(rows + at, std::min(most, size - at));
      rows += size;
    }
  }

  void round(const std::vector<int32_t>& rows, int64_t sample) {
    const size_t most = static_cast<size_t>(sample);
    std::vector<std::vector<int32_t>> taken[2];
    std::vector<std::vector<uint64_t>> takers[2];
    for (auto& of : taken) of.resize(lists.size());
    for (auto& of : takers) of.resize(lists.size());
    for (int64_t row = 0; row < n_; ++row)
      for (uint64_t& entry : lists[static_cast<size_t>(row)]) {
        auto& own = taken[entry & 1][static_cast<size_t>(row)];
        if (own.size() == most) continue;
        own.push_back(static_cast<int32_t>(id(row, entry)));
        takers[entry & 1][static_cast<size_t>(own.back())].push_back(entry_of(own.back(), row, entry >> 32));
        entry |= 1;
      }
    for (const int32_t row : rows) {
      std::vector<int32_t> group;
      size_t fresh = 0;
      for (const int age : {0, 1}) {
        auto& near = takers[age][static_cast<size_t>(row)];
        std::sort(near.begin(), near.end());
        if (near.size() > most) near.resize(most);
        auto all = taken[age][static_cast<size_t>(row)];
        for (const uint64_t entry : near) all.push_back(static_cast<int32_t>(id(row, entry)));
        for (const int32_t one : all)
          if (std::find(group.begin(), group.end(), one) == group.end()) group.push_back(one);
        if (age == 0) fresh = group.size();
      }
      join(group, fresh);
    }
  }

  std::vector<std::vector<int32_t>> prune(int64_t degree) const {
    const size_t most = static_cast<size_t>(degree);
    std::vector<std::vector<int32_t>> kept(lists.size()), woven(lists.size());
    std::vector<std::vector<std::pair<size_t, uint64_t>>> leading(lists.size());
    for (int64_t row = 0; row < n_; ++row) {
      const auto own = ids(row);
      std::vector<std::pair<int, size_t>> ranked;
      for (size_t j = 0; j < own.size(); ++j) {
        int detours = 0;
        for (size_t i = 0; i < j; ++i) {
          const auto other = ids(own[i]);
          detours += std::find(other.begin(), other.end(), own[j]) - other.begin() <
                     static_cast<int64_t>(std::min(j, other.size()));
        }
        ranked.emplace_back(detours, j);
      }
      std::sort(ranked.begin(), ranked.end());
      if (ranked.size() > most) ranked.resize(most);
      for (const auto& [detours, j] : ranked) {
        leading[static_cast<size_t>(own[j])].emplace_back(kept[static_cast<size_t>(row)].size(), place(own[j], row));
        kept[static_cast<size_t>(row)].push_back(own[j]);
      }
    }
    for (int64_t row = 0; row < n_; ++row) {
      auto& others = leading[static_cast<size_t>(row)];
      const auto& own = kept[static_cast<size_t>(row)];
      std::sort(others.begin(), others.end());
      if (others.size() > most) others.resize(most);
      std::vector<int32_t> all(own.begin(), own.begin() + static_cast<int64_t>(std::min(own.size(), (most + 1) / 2)));
      for (const auto& [at, place] : others)
        all.push_back(static_cast<int32_t>(generic::TieOrder::id(row, static_cast<uint32_t>(place))));
      all.insert(all.end(), own.begin(), own.end());
      auto& to = woven[static_cast<size_t>(row)];
      for (const int32_t one : all)
        if (to.size() < most && std::find(to.begin(), to.end(), one) == to.end()) to.push_back(one);
    }
    return woven;
  }

 private:
  uint32_t order(int64_t query, int64_t row) const {
    return generic::sortable_bits(static_cast<float>(keys_[static_cast<size_t>(query * n_ + row)]));
  }
  static uint64_t place(int64_t row, int64_t id) { return generic::TieOrder::place(row, id); }
  static int64_t id(int64_t row, uint64_t entry) {
    return generic::TieOrder::id(row, static_cast<uint32_t>(entry >> 1 & 0x7fffffff));
  }
  uint64_t entry_of(int64_t row, int64_t id, uint64_t order) const { return order << 32 | place(row, id) << 1; }
  std::vector<int32_t> ids(int64_t row) const {
    std::vector<int32_t> all;
    for (const uint64_t entry : lists[static_cast<size_t>(row)]) all.push_back(static_cast<int32_t>(id(row, entry)));
    return all;
  }
  void join(const std::vector<int32_t>& group, size_t fresh) {
    for (size_t q = 0; q < fresh; ++q)
      for (size_t i = q + 1; i < group.size(); ++i) {
        offer(group[q], group[i], order(group[q], group[i]));
        offer(group[i], group[q], order(group[q], group[i]));
      }
  }
  void offer(int64_t row, int64_t id, uint64_t order) {
    auto& list = lists[static_cast<size_t>(row)];
    const uint64_t own = entry_of(row, id, order);
    const auto same =
        std::find_if(list.begin(), list.end(), [&](uint64_t there) { return ((there ^ own) & 0xfffffffe) == 0; });
    if (same != list.end() && *same >> 32 <= order) return;
    if (same != list.end()) list.erase(same);
    list.insert(std::lower_bound(list.begin(), list.end(), own), own);
    if (list.size() > width_) list.resize(width_);
  }

  const int64_t n_;
  const size_t width_;
  const std::vector<double> keys_;
};

inline void compare(const char* what, int64_t row, int64_t place, uint64_t got, uint64_t expected) {
  if (got == expected) return;
  wrong(std::string(what) + " (" + std::to_string(row) + "," + std::to_string(place) + ") is " + std::to_string(got) +
        ", not " + std::to_string(expected));
}

inline void check_descent(const DescentCase& c) {
  const Shape& s = c.s;
  const Inputs in(s);
  PlainDescent plain(s.n, c.width, keys_of_rows(in, s));
  const Bytes lists(s.n * c.width * 8), order(s.n * 4), still_new(8), neighbors(s.n * c.degree * 4);
  NnDescentArgs args;
  args.base = in.searched;
  args.metric = s.metric;
  args.order = order.data<int32_t>();
  args.count = s.n - c.left_out;
  args.width = c.width;
  args.sample = c.sample;
  args.degree = c.degree;
  args.lists = lists.data<uint64_t>();
  args.neighbors = neighbors.data<int32_t>();
  args.still_new = still_new.data<int64_t>();
  args.batch_bytes = c.batch_bytes;
  std::mt19937 random(37);
  std::vector<int32_t> rows(static_cast<size_t>(s.n));
  const auto look = [&](const char* what) {
    for (int64_t i = 0; i < s.n * c.width; ++i) {
      const auto& own = plain.lists[static_cast<size_t>(i / c.width)];
      const size_t at = static_cast<size_t>(i % c.width);
      compare(what, i / c.width, i % c.width, args.lists[i], at < own.size() ? own[at] : ~uint64_t{0});
    }
  };
  for (int start = 0; start < c.starts; ++start) {
    std::iota(rows.begin(), rows.end(), 0);
    std::shuffle(rows.begin(), rows.end() - c.left_out, random);
    std::copy(rows.begin(), rows.end(), args.order);
    args.empties = start == 0;
    run(args, nn_descent_start, nn_descent_start_workspace);
    plain.start(rows.data(), args.count);
    for (int64_t i = 0; i < args.count; ++i)
      compare("order", i, 0, static_cast<uint64_t>(args.order[i]), static_cast<uint64_t>(rows[static_cast<size_t>(i)]));
    look("start");
  }
  rows.resize(static_cast<size_t>(args.count));
  for (int round = 0; round < c.rounds; ++round) {
    run(args, nn_descent_round, nn_descent_round_workspace);
    plain.round(rows, c.sample);
    look("round");
    uint64_t open = 0;
    for (const auto& list : plain.lists)
      for (const uint64_t entry : list) open += (entry & 1) == 0;
    compare("still_new", round, 0, static_cast<uint64_t>(*args.still_new), open);
  }
  run(args, nn_descent_prune, nn_descent_prune_workspace);
  const auto woven = plain.prune(c.degree);
  for (int64_t i = 0; i < s.n * c.degree; ++i) {
    const auto& own = woven[static_cast<size_t>(i / c.degree)];
    const size_t at = static_cast<size_t>(i % c.degree);
    compare("prune", i / c.degree, i % c.degree, static_cast<uint64_t>(args.neighbors[i]),
            static_cast<uint64_t>(at < own.size() ? own[at] : -1));
  }
}

// csrc/ops/build_graph.h, finish_graph: rows in the order of a queue, edges given to what it does not come to.
class PlainReach {
 public:
  PlainReach(std::vector<int32_t>& neighbors, std::vector<int32_t> entries, int64_t n, int64_t degree)
      : neighbors_(neighbors), entries_(std::move(entries)), parents(static_cast<size_t>(n), -1), n_(n), degree_(degree) {
    for (const int32_t entry : entries_) meet(entry, entry);
    spread();
  }
  bool reached(int64_t row) const { return parents[static_cast<size_t>(row)] >= 0; }
  void attach(int64_t row, const std::vector<Keyed>& near) {
    bool done = false;
    for (size_t i = 0; i < near.size() && !done; ++i) done = give(near[i].second, row);
    for (int64_t i = 0; i < n_ && !done; ++i) done = give(i, row);
    spread();
  }
  GraphView view() const {
    return {neighbors_.data(), entries_.data(), n_, degree_, degree_, static_cast<int64_t>(entries_.size())};
  }

 private:
  void meet(int64_t row, int64_t from) {
    if (reached(row)) return;
    parents[static_cast<size_t>(row)] = from;
    queue_.push_back(row);
  }
  void spread() {
    for (; done_ < queue_.size(); ++done_)
      for (int64_t e = 0; e < degree_; ++e)
        if (at(queue_[done_], e) >= 0) meet(at(queue_[done_], e), queue_[done_]);
  }
  int32_t& at(int64_t row, int64_t e) { return neighbors_[static_cast<size_t>(row * degree_ + e)]; }
  bool give(int64_t from, int64_t to) {
    if (!reached(from)) return false;
    int64_t place = 0;
    while (place < degree_ && at(from, place) >= 0) ++place;
    if (place == degree_)
      for (--place; place >= 0 && parents[static_cast<size_t>(at(from, place))] == from; --place) {
      }
    if (place < 0) return false;
    at(from, place) = static_cast<int32_t>(to);
    meet(to, from);
    return true;
  }

  std::vector<int32_t>& neighbors_;
  const std::vector<int32_t> entries_;
  std::vector<int64_t> parents, queue_;
  const int64_t n_, degree_;
  size_t done_ = 0;
};

struct FinishCase {
  Shape s;  // m is not used
  int64_t degree, entries, window;
  uint32_t parts;  // that have edges only within themselves
};

inline void check_finish(const FinishCase& c) {
  const Shape& s = c.s;
  const Inputs in(s);
  const auto keys = keys_of_rows(in, s);
  std::mt19937 random(41);
  const uint32_t n = static_cast<uint32_t>(s.n);
  std::vector<int32_t> own(static_cast<size_t>(s.n * c.degree), -1), entries;
  const Bytes neighbors(s.n * c.degree * 4), state(s.n * 8), order(s.n * 4);
  for (uint32_t row = 0; row < n; ++row) {
    order.data<int32_t>()[row] = static_cast<int32_t>((row * 7 + 3) % n);
    const uint32_t length =
        random() % 4 == 0 ? random() % static_cast<uint32_t>(c.degree + 1) : static_cast<uint32_t>(c.degree);
    for (uint32_t e = 0; e < length; ++e) {
      uint32_t to = random() % n;
      to = to - to % c.parts + row % c.parts;  // of its part
      own[row * static_cast<size_t>(c.degree) + e] = static_cast<int32_t>(to < n ? to : row);
    }
    state.data<int32_t>()[2 * row] = state.data<int32_t>()[2 * row + 1] = static_cast<int32_t>(length);
  }
  std::copy(own.begin(), own.end(), neighbors.data<int32_t>());
  entries.assign(order.data<int32_t>(), order.data<int32_t>() + c.entries);
  BuildGraphArgs args;
  args.base = in.searched;
  args.metric = s.metric;
  args.order = order.data<int32_t>();
  args.entry_point_count = c.entries;
  args.count = s.n;
  args.degree = args.room = c.degree;
  args.window = c.window;
  args.neighbors = neighbors.data<int32_t>();
  args.state = state.data<int32_t>();
  run(args, finish_graph, finish_graph_workspace);
  PlainReach reach(own, entries, s.n, c.degree);
  for (int64_t row = 0; row < s.n; ++row)
    if (!reach.reached(row))
      reach.attach(row, PlainSearch(reach.view(), {}, 0, keys.data() + row * s.n).search(c.window, c.window, c.window));
  for (int64_t i = 0; i < s.n * c.degree; ++i)
    compare("finish", i / c.degree, i % c.degree, static_cast<uint64_t>(args.neighbors[i]),
            static_cast<uint64_t>(own[static_cast<size_t>(i)]));
}

inline std::string text_of(const DescentCase& c) {
  return text_of(c.s) + " width=" + std::to_string(c.width) + " sample=" + std::to_string(c.sample) +
         " degree=" + std::to_string(c.degree) + " batch=" + std::to_string(c.batch_bytes) +
         " without=" + std::to_string(c.left_out);
}
inline std::string text_of(const FinishCase& c) {
  return text_of(c.s) + " degree=" + std::to_string(c.degree) + " entries=" + std::to_string(c.entries) +
         " window=" + std::to_string(c.window) + " parts=" + std::to_string(c.parts);
}

// Every way of making keys; leaves of one level and of several, of rows in one place; lists wider than the groups, lists
// that shared memory does not hold; batches of few groups, and of all; orders that lack rows.
inline std::vector<DescentCase> descent_cases() {
  using M = Metric;
  constexpr DType f32 = DType::f32, f16 = DType::f16, bf16 = DType::bf16, i8 = DType::i8, u8 = DType::u8, bits = DType::bits;
  std::vector<DescentCase> cases = {
      {{1, 300, 9, f32, f32, M::sqeuclidean}, 12, 4, 6, 2, 2},
      {{1, 310, 5, f32, f32, M::inner_product, {}, true}, 40, 3, 7, 2, 2, 100'000},
      {{1, 200, 33, f32, f32, M::cosine, {4, 4, false}}, 9, 2, 4, 2, 2, 0, 3},
      {{1, 150, 3, f32, f32, M::chebyshev, {}, true}, 1100, 2, 33, 1, 1},
      {{1, 640, 1, f32, f32, M::sqeuclidean, {}, true}, 6, 1, 3, 1, 3},  // sets larger than a leaf; full groups
      {{1, 420, 1, f32, f32, M::sqeuclidean}, 6, 1, 3},                  // sets of both kinds, side by side
      {{1, 129, 7, f16, f16, M::cityblock}, 33, 4, 40, 1, 2, 50'000, 40},
      {{1, 140, 20, bf16, bf16, M::sqeuclidean, {2, 2, false}}, 20, 5, 10},
      {{1, 150, 20, i8, i8, M::cosine}, 12, 4, 8, 1, 2},
      {{1, 135, 24, u8, u8, M::sqeuclidean, {4, 4, false}}, 12, 3, 5},
      {{1, 150, 40, bits, bits, M::hamming}, 12, 3, 5, 1, 2},
      {{1, 100, 16, bits, bits, M::jaccard}, 12, 3, 5},
      {{1, 150, 40, f32, f32, M::inner_product, {}, false, 1, {8, 0}}, 12, 3, 5, 1, 2, 60'000},
      {{1, 140, 40, f32, f32, M::cosine, {}, false, 1, {4, 0}}, 12, 3, 5},
      {{1, 150, 35, f32, f32, M::inner_product, {}, false, 1, {4, 8}}, 12, 3, 5, 1, 2, 60'000},
      {{1, 130, 40, f32, f32, M::sqeuclidean, {}, false, 1, {8, 0}}, 12, 2, 5},
      {{1, 135, 35, f32, f32, M::sqeuclidean, {}, false, 1, {4, 0}}, 12, 2, 5},
      {{1, 130, 64, f32, f32, M::sqeuclidean, {}, false, 1, {4, 0, false, 0, StoreKind::rabitq}}, 12, 2, 5},
      {{1, 130, 24, f32, f32, M::sqeuclidean, {}, false, 1, {8, 0, false, 0, StoreKind::pq, 6}}, 12, 2, 5},
  };
  for (const int64_t n : {0, 1, 2, 5}) cases.push_back({{1, n, 3, f32, f32, M::sqeuclidean}, 4, 2, 3, 2, 2});
  return cases;
}
inline std::vector<FinishCase> finish_cases() {
  using M = Metric;
  constexpr DType f32 = DType::f32, u8 = DType::u8;
  return {
      {{1, 300, 9, f32, f32, M::sqeuclidean}, 4, 2, 8, 20},
      {{1, 250, 6, f32, f32, M::inner_product, {}, true}, 1, 3, 5, 7},
      {{1, 1060, 3, f32, f32, M::cosine}, 4, 1, 1040, 3},
      {{1, 200, 24, u8, u8, M::sqeuclidean}, 3, 1, 8, 9},
      {{1, 150, 35, f32, f32, M::inner_product, {}, false, 1, {4, 8}}, 3, 1, 8, 9},
      {{1, 150, 64, f32, f32, M::sqeuclidean, {}, false, 1, {4, 0, false, 0, StoreKind::rabitq}}, 3, 1, 8, 9},
      {{1, 1, 3, f32, f32, M::sqeuclidean}, 2, 1, 3, 1},
  };
}

}  // namespace check
