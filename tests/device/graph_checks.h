// SPDX-License-Identifier: Apache-2.0
// Graph search against plain loops over the device's own distances, and how far the rounds of a shared search come.
#pragma once
#include <set>

#include "checks.h"
#include "cuda/graph/search/beam_search.h"

namespace check {

struct GraphCase {
  Shape s;
  int64_t k, window, degree, entries;
  Filter::Kind kind = Filter::Kind::none;
  bool shared = true;
  uint32_t percent = 50;  // of allowed rows
  int64_t rerank_k = 0;   // by the base itself
  bool full = false;      // lists that never end early, in which the rows far from the first query come first
};

// Random neighbors: a row twice in a list, lists that -1 ends.
struct RandomGraph {
  Bytes neighbors, entries;
  GraphView view;
  explicit RandomGraph(const GraphCase& c) : neighbors(c.s.n * c.degree * 4), entries(c.entries * 4) {
    std::mt19937 random(29);
    int32_t* const to = neighbors.data<int32_t>();
    for (int64_t i = 0; i < c.s.n * c.degree; ++i) {
      to[i] = static_cast<int32_t>(random() % static_cast<uint32_t>(c.s.n));
      if (!c.full && i % c.degree > 1 && random() % 16 == 0) to[i] = -1;
      if (i % c.degree > 1 && random() % 16 == 0) to[i] = to[i - 1];
    }
    for (int64_t e = 0; e < c.entries; ++e)
      entries.data<int32_t>()[e] = static_cast<int32_t>(random() % static_cast<uint32_t>(c.s.n));
    view = {to, entries.data<int32_t>(), c.s.n, c.degree, c.degree, c.entries};
  }
  template <class Keys>
  void put_far_first(const Keys& keys) const {
    for (int64_t i = 0; i < view.rows; ++i) {
      int32_t* const list = neighbors.data<int32_t>() + i * view.degree;
      std::sort(list, list + view.degree, [&](int32_t a, int32_t b) { return keys[a] > keys[b]; });
    }
  }
};

struct RandomFilter {
  Filter filter;
  Bytes memory{0};
  explicit RandomFilter(const GraphCase& c) {
    if (c.kind == Filter::Kind::none) return;
    const int64_t width = c.kind == Filter::Kind::bytes ? c.s.n : (c.s.n + 31) / 32 * 4, count = c.shared ? 1 : c.s.m;
    memory = Bytes(width * count);
    std::mt19937 random(31);
    for (int64_t i = 0; i < width * count; ++i) {
      unsigned char& byte = memory.data()[i] = 0;
      for (int bit = 0; bit < 8; ++bit) byte = static_cast<unsigned char>(byte | (random() % 100 < c.percent) << bit);
      if (c.kind == Filter::Kind::bytes) byte &= 2;
    }
    filter = {memory.data(), c.shared ? 0 : width, c.kind};
  }
};

using Keyed = std::pair<double, int64_t>;

// csrc/ops/search_graph.h and reference/search_graph.py, word by word.
class PlainSearch {
 public:
  PlainSearch(const GraphView& graph, const Filter& filter, int64_t query, const double* keys)
      : graph_(graph), filter_(filter), query_(query), keys_(keys) {
    for (int64_t i = 0; i < graph.rows; ++i) allowed_ += filter.is_allowed(query, i);
  }

  std::vector<Keyed> search(int64_t k, int64_t window, int64_t wanted) {
    const FilterPlan plan = plan_filter(allowed_, graph_.rows, window);
    std::vector<Keyed> found;
    if (!plan.exact && search(plan)) {
      for (const Keyed& row : buffer_)
        if (filter_.is_allowed(query_, row.second)) found.push_back(row);
    } else {
      for (int64_t i = 0; i < graph_.rows; ++i)
        if (filter_.is_allowed(query_, i)) found.emplace_back(keys_[i], i);
      std::sort(found.begin(), found.end());
    }
    if (static_cast<int64_t>(found.size()) > wanted) found.resize(static_cast<size_t>(wanted));
    return found;
  }
  std::vector<Keyed> expanded;  // in the order in which the search came to them

 private:
  // False: all allowed rows are to be scored.
  bool search(const FilterPlan& plan) {
    std::vector<int64_t> found;
    for (int64_t e = 0; e < graph_.entry_point_count; ++e) visit(graph_.entry_points[e], found);
    for (;;) {
      for (const int64_t row : found) buffer_.emplace_back(keys_[row], row);
      std::sort(buffer_.begin(), buffer_.end());
      if (static_cast<int64_t>(buffer_.size()) > plan.steps) buffer_.resize(static_cast<size_t>(plan.steps));
      const int64_t place = first_open();
      if (place == static_cast<int64_t>(buffer_.size())) return !plan.filtered;
      if (plan.filtered) {
        const int64_t settled = std::count_if(buffer_.begin(), buffer_.begin() + place,
                                              [&](const Keyed& row) { return filter_.is_allowed(query_, row.second); });
        if (!judged_ && settled >= kSample) judge(plan, place);
        if (!judged_ && plan.is_hopeless(place)) return false;
        if (settled >= plan.window && place >= least_) return true;
      }
      found.clear();
      const int64_t at = first_open();
      if (at == static_cast<int64_t>(buffer_.size())) return false;
      const Keyed next = buffer_[static_cast<size_t>(at)];
      behind_.insert(next.second);
      expanded.push_back(next);
      two_hop_ ? hop_through(next.second, found) : hop(next.second, found);
    }
  }
  int64_t first_open() const {
    return std::find_if(buffer_.begin(), buffer_.end(), [&](const Keyed& row) { return behind_.count(row.second) == 0; }) -
           buffer_.begin();
  }
  void judge(const FilterPlan& plan, int64_t place) {
    judged_ = true;
    least_ = plan.least(place);
    two_hop_ = plan.is_two_hop(place);
    if (!two_hop_) return;
    const auto waits = [&](const Keyed& row) {
      return behind_.count(row.second) == 0 && !filter_.is_allowed(query_, row.second);
    };
    for (const Keyed& row : buffer_)
      if (waits(row)) visited_.erase(row.second);
    buffer_.erase(std::remove_if(buffer_.begin(), buffer_.end(), waits), buffer_.end());
  }
  void visit(int64_t row, std::vector<int64_t>& found) {
    if (visited_.insert(row).second) found.push_back(row);
  }
  void hop(int64_t row, std::vector<int64_t>& found) {
    for (int64_t e = 0; e < graph_.degree && graph_.row(row)[e] >= 0; ++e) visit(graph_.row(row)[e], found);
  }
  void hop_through(int64_t row, std::vector<int64_t>& found) {
    std::vector<int64_t> all, excluded;
    hop(row, all);
    for (const int64_t there : all) (filter_.is_allowed(query_, there) ? found : excluded).push_back(there);
    for (const int64_t through : excluded) {
      if (static_cast<int64_t>(found.size()) >= graph_.degree) return;
      for (int64_t e = 0; e < graph_.degree && graph_.row(through)[e] >= 0; ++e)
        if (filter_.is_allowed(query_, graph_.row(through)[e])) visit(graph_.row(through)[e], found);
    }
  }

  const GraphView graph_;
  const Filter filter_;
  int64_t query_, allowed_ = 0;
  const double* keys_;
  std::vector<Keyed> buffer_;
  std::set<int64_t> visited_, behind_;  // behind_: expanded
  bool judged_ = false, two_hop_ = false;
  int64_t least_ = 0;
};

inline std::vector<double> keys_of(const Inputs& in, const Shape& s, const Dataset& base) {
  Shape plain = s;
  const Bytes out(s.m * s.n * 4);
  run(PairwiseArgs{in.queries.view, base, s.metric, out.data(), nullptr, {}}, pairwise, pairwise_workspace);
  std::vector<double> keys(static_cast<size_t>(s.m * s.n));
  for (size_t i = 0; i < keys.size(); ++i) {
    const double value = is_int_metric(plain.metric) ? out.data<int32_t>()[i] : static_cast<double>(out.data<float>()[i]);
    keys[i] = is_similarity(s.metric) ? -value : value;
  }
  return keys;
}

inline void check_graph(const GraphCase& c) {
  const Shape& s = c.s;
  const Inputs in(s);
  const RandomGraph graph(c);
  const RandomFilter f(c);
  const auto keys = keys_of(in, s, in.searched), fine = keys_of(in, s, c.rerank_k > 0 ? Dataset(in.base.view) : in.searched);
  if (c.full) graph.put_far_first(keys);
  const Bytes out(s.m * c.k * 4), indices(s.m * c.k * 8);
  run(SearchGraphArgs{graph.view,
                      in.searched,
                      in.queries.view,
                      s.metric,
                      c.k,
                      c.window,
                      INT64_MAX,
                      in.base.view,
                      in.queries.view,
                      c.rerank_k,
                      f.filter,
                      out.data(),
                      indices.data<int64_t>(),
                      nullptr,
                      {}},
      search_graph, search_graph_workspace);
  for (int64_t q = 0; q < s.m; ++q) {
    auto expected =
        PlainSearch(graph.view, f.filter, q, keys.data() + q * s.n).search(c.k, c.window, c.rerank_k > 0 ? c.rerank_k : c.k);
    for (Keyed& found : expected) found.first = fine[static_cast<size_t>(q * s.n + found.second)];
    if (c.rerank_k > 0) std::sort(expected.begin(), expected.end());
    for (int64_t e = 0; e < c.k; ++e) {
      const int64_t at = q * c.k + e;
      const double got = is_int_metric(s.metric) ? out.data<int32_t>()[at] : static_cast<double>(out.data<float>()[at]);
      const bool there = e < static_cast<int64_t>(expected.size());
      const Keyed want = there ? expected[static_cast<size_t>(e)] : Keyed{0, -1};
      const double distance = is_similarity(s.metric) ? 0 - want.first : want.first;
      check_row("search_graph", q, e, got, indices.data<int64_t>()[at], there ? distance : missing(s.metric), want.second);
    }
  }
}

// Rounds until all shared searches are over: they are to be few, or looking ahead would be for nothing.
inline void check_rounds(const GraphCase& c, int64_t most) {
  const Shape& s = c.s;
  const Inputs in(s);
  const RandomGraph graph(c);
  const cuda::ScanPlan plan = cuda::plan_pairs(in.queries.view, in.base.view, s.metric, cuda::kQueriesPerLaunch, s.n);
  cuda::BeamSearchArgs search;
  const auto plan_all = [&](cuda::Workspace& workspace) {
    search.buffers = workspace.take<cuda::KeyId>(s.m * c.window);
    search.shared = workspace.take<cuda::SharedSearch>(s.m);
    search.tables = workspace.take<uint32_t>(s.m << search.table_bits);
    search.ahead = workspace.take<cuda::KeyId>(s.m * cuda::kSearchSlots * c.degree);
    return cuda::take_prepared(workspace, plan);
  };
  search.graph = graph.view;
  search.m = s.m;
  search.window = search.room = static_cast<int32_t>(c.window);
  search.k = search.wanted = c.k;
  search.blocks = static_cast<int32_t>(s.m);
  search.table_bits = cuda::visited_table_bits(c.window);
  search.stage = cuda::SearchStage::start;
  cuda::Workspace counted;
  plan_all(counted);
  const Bytes memory(counted.bytes());
  Exec exec;
  exec.workspace = memory.data();
  exec.workspace_bytes = counted.bytes();
  cuda::Workspace workspace(exec);
  const cuda::Prepared prepared = plan_all(workspace);
  const cuda::ScanArgs scan = cuda::prepare(plan, prepared, in.queries.view, in.base.view, s.metric, 0, s.m, nullptr);
  cuda::beam_search_floats({plan, scan, nullptr}, search, false);
  const auto open = [&] {
    return std::count_if(search.shared, search.shared + s.m, [](const cuda::SharedSearch& one) { return one.open != 0; });
  };
  if (open() != s.m) wrong("searches end before they have begun");
  int64_t rounds = 0;
  for (; open() > 0 && rounds <= most; ++rounds) cuda::beam_search_floats({plan, scan, nullptr}, search, true);
  if (rounds > most) wrong("searches are not over after " + std::to_string(most) + " rounds");
}

}  // namespace check
