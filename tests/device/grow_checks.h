// SPDX-License-Identifier: Apache-2.0
// Vamana graphs, batch by batch, against plain loops over the device's own distances.
#pragma once
#include "build_checks.h"

namespace check {

struct GrowCase {
  Shape s;  // m is not used
  int64_t degree, room, window, most, entries;
  float alpha = 1.2f;
  int64_t batch_bytes = int64_t{1} << 20;
  int64_t batch = 1;  // of a graph of as many rows: so many times that
};

// csrc/ops/build_graph.h and reference/build_graph.py, word by word.
class PlainGrowth {
 public:
  PlainGrowth(const GrowCase& c, const int32_t* order, std::vector<double> keys)
      : lists(static_cast<size_t>(c.s.n)), kept(lists.size()), c_(c), order_(order), keys_(std::move(keys)) {}

  std::vector<std::vector<int32_t>> lists;
  std::vector<size_t> kept;  // of each list, since its last pruning

  void build(int64_t first, int64_t count, int64_t entries, float alpha) {
    alpha_ = alpha;
    const auto own = packed(c_.room);
    const GraphView graph{own.data(), order_, c_.s.n, c_.room, c_.room, entries};
    for (int64_t i = first; i < first + count && entries > 0; ++i) {
      const int32_t row = order_[i];
      PlainSearch search(graph, {}, 0, keys_of(row));
      search.search(c_.window, c_.window, c_.window);
      std::vector<Keyed> near = search.expanded;
      near.erase(std::remove_if(near.begin(), near.end(), [&](const Keyed& one) { return one.second == row; }), near.end());
      const std::vector<int32_t> listed = lists[static_cast<size_t>(row)];
      const int64_t all = static_cast<int64_t>(near.size()), most = c_.most - static_cast<int64_t>(listed.size());
      near.erase(near.begin(), near.end() - std::min(all, most));
      for (const int32_t id : listed) near.emplace_back(keys_of(row)[id], id);
      std::sort(near.begin(), near.end());
      near.erase(std::unique(near.begin(), near.end()), near.end());
      prune(row, near);
    }
  }
  // How many lists are pruned.
  uint64_t link(int64_t first, int64_t count) {
    std::vector<std::vector<int32_t>> sources(lists.size());
    for (int64_t i = first; i < first + count; ++i)
      for (const int32_t to : lists[static_cast<size_t>(order_[i])]) {
        const auto& there = lists[static_cast<size_t>(to)];
        if (std::find(there.begin(), there.end(), order_[i]) == there.end())
          sources[static_cast<size_t>(to)].push_back(order_[i]);
      }
    uint64_t pruned = 0;
    for (size_t row = 0; row < lists.size(); ++row) {
      auto& list = lists[row];
      auto& own = sources[row];
      const size_t most = static_cast<size_t>(c_.most) - list.size();
      const bool outgrows = static_cast<int64_t>(list.size() + own.size()) > c_.room;
      if (outgrows) {
        const double* const keys = keys_of(static_cast<int64_t>(row));
        std::sort(own.begin(), own.end(), [&](int32_t a, int32_t b) { return Keyed(keys[a], a) < Keyed(keys[b], b); });
        if (own.size() > most) own.resize(most);
      }
      list.insert(list.end(), own.begin(), own.end());
      if (outgrows) prune_list(static_cast<int64_t>(row));
      pruned += outgrows;
    }
    return pruned;
  }
  void finish() {
    for (size_t row = 0; row < lists.size(); ++row)
      if (static_cast<int64_t>(lists[row].size()) > c_.degree) prune_list(static_cast<int64_t>(row));
  }
  // (n, width), -1 behind each list.
  std::vector<int32_t> packed(int64_t width) const {
    std::vector<int32_t> all(lists.size() * static_cast<size_t>(width), -1);
    for (size_t row = 0; row < lists.size(); ++row)
      std::copy(lists[row].begin(), lists[row].end(), all.begin() + static_cast<int64_t>(row) * width);
    return all;
  }
  const double* keys_of(int64_t row) const { return keys_.data() + row * c_.s.n; }

 private:
  void prune_list(int64_t row) {
    std::vector<Keyed> near;
    for (const int32_t id : lists[static_cast<size_t>(row)]) near.emplace_back(keys_of(row)[id], id);
    prune(row, std::move(near));
  }
  void prune(int64_t row, std::vector<Keyed> near) {
    std::sort(near.begin(), near.end());
    auto& list = lists[static_cast<size_t>(row)];
    list.clear();
    for (const Keyed& one : near) {
      const int64_t room = one.first == near[0].first ? (c_.degree + 1) / 2 : c_.degree;
      const float own = static_cast<float>(one.first);
      const bool occluded = std::any_of(list.begin(), list.end(), [&](int32_t s) {
        const float between = scale(row, s) * static_cast<float>(keys_of(s)[one.second]);
        return between < own;
      });
      if (static_cast<int64_t>(list.size()) < room && !occluded) list.push_back(static_cast<int32_t>(one.second));
    }
    kept[static_cast<size_t>(row)] = list.size();
  }

  // For similarities, a kept row that is longer counts as if it were as long.
  float scale(int64_t row, int32_t kept) const {
    const float p = static_cast<float>(keys_of(row)[row]), s = static_cast<float>(keys_of(kept)[kept]);
    return is_similarity(c_.s.metric) && s < p ? alpha_ * std::sqrt(p / s) : alpha_;
  }

  const GrowCase& c_;
  const int32_t* order_;
  const std::vector<double> keys_;
  float alpha_ = 1.0f;
};

inline void compare_lists(const char* what, const BuildGraphArgs& args, const PlainGrowth& plain, const GrowCase& c) {
  const auto want = plain.packed(c.room);
  for (int64_t i = 0; i < c.s.n * c.room; ++i)
    compare(what, i / c.room, i % c.room, static_cast<uint64_t>(args.neighbors[i]),
            static_cast<uint64_t>(want[static_cast<size_t>(i)]));
  for (int64_t i = 0; i < c.s.n; ++i) {
    compare("length", i, 0, static_cast<uint64_t>(args.state[2 * i]), plain.lists[static_cast<size_t>(i)].size());
    compare("kept", i, 0, static_cast<uint64_t>(args.state[2 * i + 1]), plain.kept[static_cast<size_t>(i)]);
  }
}

inline void check_grow(const GrowCase& c) {
  const Shape& s = c.s;
  const Inputs in(s);
  const Bytes neighbors(s.n * c.room * 4), state(s.n * 8), order(s.n * 4), outgrown(8);
  std::mt19937 random(43);
  std::iota(order.data<int32_t>(), order.data<int32_t>() + s.n, 0);
  std::shuffle(order.data<int32_t>(), order.data<int32_t>() + s.n, random);
  std::fill_n(neighbors.data<int32_t>(), s.n * c.room, -1);
  std::fill_n(state.data<int32_t>(), s.n * 2, 0);
  PlainGrowth plain(c, order.data<int32_t>(), keys_of_rows(in, s));
  BuildGraphArgs args;
  args.base = in.searched;
  args.metric = s.metric;
  args.order = order.data<int32_t>();
  args.degree = c.degree;
  args.room = c.room;
  args.window = c.window;
  args.most = c.most;
  args.neighbors = neighbors.data<int32_t>();
  args.state = state.data<int32_t>();
  args.outgrown = outgrown.data<int64_t>();
  args.batch_bytes = c.batch_bytes;
  // Once a graph that grows, once a graph that is there, a third of it at a time.
  for (const bool grows : {true, false}) {
    args.alpha = grows ? 1.0f : c.alpha;
    for (args.first = 0; args.first < s.n; args.first += args.count) {
      args.count = grows ? std::max<int64_t>(args.first * c.batch, 1) : s.n / 3 + 1;
      args.count = std::min(args.count, s.n - args.first);
      args.entry_point_count = grows ? std::min(c.entries, args.first) : c.entries;
      run(args, build_graph, build_graph_workspace);
      plain.build(args.first, args.count, args.entry_point_count, args.alpha);
      compare_lists("build", args, plain, c);
      args.pruned = *args.outgrown;
      run(args, link_graph, link_graph_workspace);
      compare("outgrown", args.first, 0, static_cast<uint64_t>(args.pruned), plain.link(args.first, args.count));
      compare_lists("link", args, plain, c);
    }
  }
  args.entry_point_count = c.entries;
  args.first = 0;
  args.count = s.n;
  args.window = 8;  // of wider ones check_finish knows
  run(args, finish_graph, finish_graph_workspace);
  plain.finish();
  auto lists = plain.packed(c.degree);
  PlainReach reach(lists, {args.order, args.order + c.entries}, s.n, c.degree);
  for (int64_t row = 0; row < s.n; ++row)
    if (!reach.reached(row)) reach.attach(row, PlainSearch(reach.view(), {}, 0, plain.keys_of(row)).search(8, 8, 8));
  for (int64_t i = 0; i < s.n * c.room; ++i) {
    const int64_t row = i / c.room, place = i % c.room;
    compare("finish", row, place, static_cast<uint64_t>(args.neighbors[i]),
            static_cast<uint64_t>(place < c.degree ? lists[static_cast<size_t>(row * c.degree + place)] : -1));
  }
}

inline std::string text_of(const GrowCase& c) {
  return text_of(c.s) + " degree=" + std::to_string(c.degree) + " room=" + std::to_string(c.room) +
         " window=" + std::to_string(c.window) + " most=" + std::to_string(c.most) +
         " entries=" + std::to_string(c.entries) + " batch=" + std::to_string(c.batch_bytes);
}

// Every way of making keys; batches as large as what is there, so that lists outgrow their room and have more sources than
// a pruning looks at; searches that expand more than that; a row at a time, and all; buffers that shared memory does not
// hold.
inline std::vector<GrowCase> grow_cases() {
  using M = Metric;
  constexpr DType f32 = DType::f32, f16 = DType::f16, bf16 = DType::bf16, i8 = DType::i8, u8 = DType::u8, bits = DType::bits;
  std::vector<GrowCase> cases = {
      {{1, 150, 9, f32, f32, M::sqeuclidean}, 6, 8, 12, 24, 2},
      {{1, 130, 5, f32, f32, M::inner_product, {}, true}, 7, 9, 12, 16, 3, 0.95f, 0},
      {{1, 90, 3, f32, f32, M::chebyshev, {4, 4, false}}, 4, 5, 9, 8, 1, 1.2f, 20'000},
      {{1, 1060, 9, f32, f32, M::sqeuclidean}, 6, 8, 1030, 8, 1, 1.2f, int64_t{1} << 20, 1056},
      {{1, 100, 7, f16, f16, M::cityblock}, 40, 41, 50, 48, 2},
      {{1, 70, 20, bf16, bf16, M::cosine, {2, 2, false}}, 5, 6, 8, 16, 1},
      {{1, 70, 20, i8, i8, M::cosine}, 5, 7, 10, 16, 2},
      {{1, 70, 24, u8, u8, M::sqeuclidean, {4, 4, false}}, 5, 7, 10, 16, 2},
      {{1, 100, 40, bits, bits, M::hamming}, 5, 7, 10, 16, 2},
      {{1, 60, 16, bits, bits, M::jaccard}, 5, 7, 10, 16, 2},
      {{1, 90, 40, f32, f32, M::inner_product, {}, false, 1, {8, 0}}, 5, 7, 10, 16, 2, 0.95f},
      {{1, 45, 40, f32, f32, M::cosine, {}, false, 1, {4, 0}}, 5, 7, 10, 16, 2},
      {{1, 60, 35, f32, f32, M::inner_product, {}, false, 1, {4, 8}}, 5, 7, 10, 16, 2, 0.95f, 60'000},
      {{1, 30, 64, f32, f32, M::sqeuclidean, {}, false, 1, {4, 0, false, 0, StoreKind::rabitq}}, 3, 4, 6, 8, 1},
      {{1, 60, 24, f32, f32, M::sqeuclidean, {}, false, 1, {8, 0, false, 0, StoreKind::pq, 6}}, 3, 4, 6, 8, 1},
  };
  for (const int64_t n : {1, 2, 5}) cases.push_back({{1, n, 3, f32, f32, M::sqeuclidean}, 3, 4, 4, 8, 1});
  return cases;
}

}  // namespace check
