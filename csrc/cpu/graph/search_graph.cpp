// SPDX-License-Identifier: Apache-2.0
#include "ops/search_graph.h"

#include <algorithm>

#include "core/threads.h"
#include "cpu/exact/scan.h"
#include "cpu/graph/beam_search.h"
#include "cpu/graph/filter_rows.h"
#include "cpu/ops.h"

namespace annk::ANNK_ISA {
namespace {

// Searches of one thread that take turns: 40, 33 and 35 us a query for 1, 2 and 3 (Zen 4, lvq4, window 20; noise of 2 us).
constexpr int kTurns = 3;
constexpr int64_t kQueriesATask = 16;

// What one thread keeps from query to query.
class Searcher : public SearchScratch {
 public:
  Searcher(const SearchGraphArgs& args, const DistanceComputer& computer, const DistanceComputer* fine)
      : SearchScratch{[](SearchScratch* scratch) { delete static_cast<Searcher*>(scratch); }},
        args_(&args),
        computer_(&computer),
        fine_(fine),
        fine_query_(fine == nullptr ? 0 : fine->query_bytes * kQueryStep) {
    allowed_.begin(args.filter, args.graph.rows);
  }
  ~Searcher() {
    for (int t = 0; t < kTurns; ++t) delete turns_[t].search;
  }
  Searcher(const Searcher&) = delete;
  Searcher& operator=(const Searcher&) = delete;

  // For another search of the same graph, base, metric and rerank.
  void begin(const SearchGraphArgs& args, const DistanceComputer& computer, const DistanceComputer* fine) {
    args_ = &args;
    computer_ = &computer;
    fine_ = fine;
    allowed_.begin(args.filter, args.graph.rows);
    for (Turn& turn : turns_)
      if (turn.search != nullptr) turn.search->set_computer(computer);
  }

  // Queries [first, end). False: a row that was read holds NaN or infinity.
  bool run(int64_t first, int64_t end) {
    bool fit = true;
    int64_t next = first;
    const bool alone = end - first == 1;
    for (int going = 1; going > 0;) {
      going = 0;
      for (int t = 0; t < kTurns; ++t) {
        Turn& turn = turns_[t];
        if (turn.query < 0 && next < end) begin(turn, next++);
        if (turn.query < 0) continue;
        ++going;
        if (!turn.plan.exact && turn.search->step(alone)) {
          fetch_fine(turn.search->expanding());
          continue;
        }
        finish(turn);
        fit = fit && turn.search->finite();
        turn.query = -1;
      }
    }
    return fit;
  }

 private:
  // What a search expands among its nearest is nearly always reranked. It comes while the search goes on.
  void fetch_fine(BeamSearch::Expanding at) const {
    if (fine_ != nullptr && at.place < args_->rerank_k) fine_->prefetch({&at.row, 0, 1});
  }

  struct Turn {
    BeamSearch* search = nullptr;
    int64_t query = -1;
    FilterPlan plan;
    PackedQueries packed = PackedQueries::none();
  };

  void begin(Turn& turn, int64_t query) {
    if (turn.search == nullptr) turn.search = new BeamSearch(args_->graph, *computer_);
    turn.query = query;
    turn.plan = plan_filter(allowed_.count(query), args_->graph.rows, args_->window);
    turn.packed = computer_->pack_query(query, 1, turn.search->query_room());
    if (!turn.plan.exact) turn.search->begin(turn.packed, turn.plan, args_->filter, query, args_->expand);
  }

  void finish(Turn& turn) {
    const int64_t q = turn.query;
    const int64_t wanted = args_->rerank_k > 0 ? args_->rerank_k : args_->k;
    found_.clear();
    if (!turn.plan.filtered) {
      const SearchBuffer& buffer = turn.search->buffer();
      for (int64_t i = 0; i < std::min(buffer.size(), wanted); ++i) found_.push(buffer[i]);
    } else if (!turn.plan.exact && turn.search->filtered().ended()) {
      turn.search->filtered().results(wanted, found_);
    } else {
      score_allowed(turn, wanted);
    }
    if (args_->rerank_k > 0) rerank(turn);
    const int64_t count = std::min(static_cast<int64_t>(found_.size()), args_->k);
    for (int64_t i = 0; i < args_->k; ++i) {
      const int64_t at = q * args_->k + i;
      args_->indices[at] = i < count ? found_[i].id() : -1;
      if (i < count)
        write_key(args_->metric, args_->distances, at, found_[i].key());
      else
        write_missing_distance(args_->metric, args_->distances, at);
    }
  }

  // The `wanted` best of all allowed rows.
  void score_allowed(Turn& turn, int64_t wanted) {
    const Growing<int64_t>& ids = allowed_.list(turn.query);
    const int64_t count = static_cast<int64_t>(ids.size());
    SearchBuffer& buffer = turn.search->buffer();
    buffer.begin(std::min(wanted, std::max<int64_t>(count, 1)), 0);
    Buffer<float> keys(kRowBlock + kLanes);
    bool fit = true;
    for (int64_t i = 0; i < count; i += kRowBlock) {
      const int here = static_cast<int>(std::min<int64_t>(kRowBlock, count - i));
      fit = computer_->score_rows(turn.packed, 1, {ids.get() + i, 0, here}, keys.get(), kRowBlock) && fit;
      buffer.push_all(keys.get(), ids.get() + i, here);
    }
    if (!fit) turn.search->note_bad_row();
    for (int64_t i = 0; i < buffer.size(); ++i) found_.push(buffer[i]);
  }

  // Keys of the finer form, and their order.
  void rerank(Turn& turn) {
    const size_t count = found_.size();
    if (count == 0) return;
    ids_.clear();
    for (size_t i = 0; i < count; ++i) ids_.push(found_[i].id());
    Buffer<float> keys(count + kLanes);
    fine_->prefetch({ids_.get(), 0, static_cast<int>(count)});
    const PackedQueries query = fine_->pack_query(turn.query, 1, fine_query_.get());
    const int64_t stride = static_cast<int64_t>(count);
    if (!fine_->score_rows(query, 1, {ids_.get(), 0, static_cast<int>(count)}, keys.get(), stride))
      turn.search->note_bad_row();
    for (size_t i = 0; i < count; ++i) found_[i] = SearchNeighbor::of(keys[i], ids_[i]);
    std::sort(found_.get(), found_.get() + count);
  }

  const SearchGraphArgs* args_;
  const DistanceComputer* computer_;
  const DistanceComputer* fine_;
  Turn turns_[kTurns];
  Buffer<char> fine_query_;
  Growing<SearchNeighbor> found_;
  Growing<int64_t> ids_;
  FilterRows allowed_;
};

void write_missing(const SearchGraphArgs& args) {
  for (int64_t at = 0; at < args.queries.rows * args.k; ++at) {
    args.indices[at] = -1;
    write_missing_distance(args.metric, args.distances, at);
  }
}

}  // namespace

void search_graph(const SearchGraphArgs& args) {
  BadRow bad(args.bad_row);
  const int64_t m = args.queries.rows;
  if (m == 0 || args.k == 0) return;
  if (args.graph.rows == 0) return write_missing(args);
  const auto computer = make_distance_computer(args.base, args.queries, args.metric);
  const auto fine = args.rerank_k > 0 ? make_distance_computer(args.rerank, args.rerank_queries, args.metric) : nullptr;
  // A task is small enough that two threads end together, and large enough that its searches fill each other's waits.
  const int64_t each = std::clamp<int64_t>(m / (4 * workers_for(args.exec.threads, m)), 1, kQueriesATask);
  const int64_t tasks = (m + each - 1) / each;
  const size_t workers = static_cast<size_t>(workers_for(args.exec.threads, tasks));
  struct Workers {
    Searcher** all;
    size_t count;
    SearchScratch** kept;    // of the first, the caller
    bool completed = false;  // no search was stopped in its middle
    Workers(size_t n, SearchScratch** place) : all(new Searcher*[n]()), count(n), kept(place) {
      if (kept != nullptr) all[0] = static_cast<Searcher*>(__atomic_exchange_n(kept, nullptr, __ATOMIC_ACQUIRE));
    }
    ~Workers() {
      SearchScratch* first = all[0];
      if (kept != nullptr && completed) first = __atomic_exchange_n(kept, first, __ATOMIC_ACQ_REL);
      if (first != nullptr) first->release(first);
      for (size_t w = 1; w < count; ++w) delete all[w];
      delete[] all;
    }
  } searchers(workers, args.kept);
  if (searchers.all[0] != nullptr) searchers.all[0]->begin(args, *computer, fine.get());
  auto task = [&](int w, int64_t t) {
    if (searchers.all[w] == nullptr) searchers.all[w] = new Searcher(args, *computer, fine.get());
    if (!searchers.all[w]->run(t * each, std::min(m, (t + 1) * each))) bad.note();
  };
  parallel_for(args.exec.threads, tasks, args.exec.interrupted, task);
  searchers.completed = true;
  if (bad.is_asked()) bad.report(args.base, args.exec);
}

}  // namespace annk::ANNK_ISA
