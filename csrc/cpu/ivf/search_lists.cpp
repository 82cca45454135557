// SPDX-License-Identifier: Apache-2.0
#include "ops/search_lists.h"

#include <algorithm>

#include "core/threads.h"
#include "cpu/exact/scan.h"
#include "cpu/ivf/list_pool.h"
#include "cpu/ivf/take_lists.h"
#include "cpu/ops.h"

namespace annk::ANNK_ISA {
namespace {

constexpr int64_t kBlockQueries = 1024;      // of a task: each list is read once for all of them
constexpr int64_t kPoolBytes = 16 << 20;     // of their pools, at most
constexpr int64_t kPackedBytes = 32 << 20;   // of their packed queries, at most
constexpr int64_t kOrderBytes = 16 << 20;    // of the order of the lists for them, at most
constexpr int kPanels = 4;                   // of queries that a list is scored for at once
constexpr int kTogether = 8;                 // queries that a list is scored for at once
constexpr int64_t kFetchedBytes = 64 << 10;  // of the next list that are asked for at once
constexpr int64_t kShared = 2;               // queries a list, on average, from which on lists are read for many of them

// What one thread keeps from block to block.
class ListSearcher {
 public:
  ListSearcher(const SearchListsArgs& args, const DistanceComputer& computer, const DistanceComputer* fine, int64_t block)
      : args_(args),
        computer_(computer),
        fine_(fine),
        taker_(args),
        capacity_(std::min(args.rerank_k > 0 ? args.rerank_k : args.k, args.lists.rows)),
        room_(static_cast<size_t>(block + kQueryStep) * computer.query_bytes),  // one is packed into the room of several
        group_(computer.query_bytes * kTogether),
        entries_(static_cast<size_t>(block * ListPool::room(capacity_))),
        pools_(static_cast<size_t>(block)),
        starts_(static_cast<size_t>(block + 1)),
        most_ahead_(std::max<int64_t>(kFetchedBytes / std::max<int64_t>(computer.row_bytes, 1), 1)),
        keys_(kTogether * kRowBlock + kLanes),
        rows_(kRowBlock),
        ids_(kRowBlock) {}

  // Queries [first, first + count). False: a row that was read holds NaN or infinity.
  bool run(int64_t first, int count) {
    finite_ = true;
    first_ = first;
    asked_for_ = -1;
    taker_.take(first, count, taken_, starts_.get());
    for (int q = 0; q < count; ++q) {
      const PackedQueries packed =
          computer_.pack_query(first + q, 1, room_.get() + static_cast<size_t>(q) * computer_.query_bytes);
      if (q == 0) packed_ = packed;
      pools_[q].begin(entries_.get() + q * ListPool::room(capacity_), capacity_);
    }
    const int64_t pairs = static_cast<int64_t>(taken_.size());
    if (count > 1 && pairs >= kShared * args_.lists.count)
      by_list(count);
    else
      for (int64_t i = 0; i < pairs; ++i) score(taken_.get() + i, 1, i + 1 < pairs ? taken_.get() + i + 1 : nullptr);
    for (int q = 0; q < count; ++q) finish(q);
    return finite_;
  }

 private:
  PackedQueries packed(int q) const { return computer_.behind(packed_, q); }

  // Each list for all the queries that take it. First the nearest list of each, which leaves little to be kept of others.
  void by_list(int count) {
    const int64_t pairs = static_cast<int64_t>(taken_.size()), lists = args_.lists.count;
    if (ordered_.size() < static_cast<size_t>(pairs)) ordered_.reset(static_cast<size_t>(pairs));
    if (at_.size() == 0) at_.reset(static_cast<size_t>(2 * lists + 1));
    std::fill_n(at_.get(), at_.size(), int64_t{0});
    auto place = [&](int q, int64_t i) { return (i == starts_[q] ? 0 : lists) + taken_[i].list; };
    for (int q = 0; q < count; ++q)
      for (int64_t i = starts_[q]; i < starts_[q + 1]; ++i) ++at_[place(q, i) + 1];
    for (int64_t p = 0; p < 2 * lists; ++p) at_[p + 1] += at_[p];
    for (int q = 0; q < count; ++q)
      for (int64_t i = starts_[q]; i < starts_[q + 1]; ++i) ordered_[at_[place(q, i)]++] = taken_[i];
    const int most = filter_of_each()           ? 1
                     : computer_.gathers_panels ? kPanels * computer_.lanes
                     : computer_.queries_apart  ? kTogether
                                                : 1;
    for (int64_t i = 0; i < pairs;) {
      int together = 1;
      while (together < most && i + together < pairs && ordered_[i + together].list == ordered_[i].list) ++together;
      score(ordered_.get() + i, together, i + together < pairs ? ordered_.get() + i + together : nullptr);
      i += together;
    }
  }

  // Members of a list for `count` queries; `next`: what comes then.
  void score(const ListQuery* pairs, int count, const ListQuery* next) {
    const int64_t list = pairs->list, begin = args_.lists.offsets[list], end = args_.lists.offsets[list + 1];
    PackedQueries queries = packed(pairs->query);
    if (in_panels(count)) {
      gather(pairs, count);
    } else if (count > 1) {
      queries = computer_.gather(count, [&](int q) { return packed(pairs[q].query); }, group_.get());
    }
    if (args_.filter.kind == Filter::Kind::none) {
      score_all(pairs, count, queries, begin, end, next == nullptr || next->list == list ? -1 : next->list);
    } else {
      score_allowed(pairs, count, queries, begin, end);
    }
  }

  // The members at [begin, end). Those of list `next` are asked for meanwhile, a block of rows for each that is scored.
  void score_all(const ListQuery* pairs, int count, PackedQueries queries, int64_t begin, int64_t end, int64_t next) {
    const bool asks = args_.base_in_order && next >= 0;
    int64_t ahead = asks ? args_.lists.offsets[next] : 0;
    const int64_t ahead_end = asks ? args_.lists.offsets[next + 1] : 0;
    const bool asked_for = begin == asked_for_;
    for (int64_t at = begin; at < end; at += kRowBlock) {
      const int64_t more = at + kRowBlock < end ? std::min<int64_t>(kRowBlock, ahead_end - ahead) : ahead_end - ahead;
      if (more > 0) computer_.prefetch({nullptr, ahead, static_cast<int>(std::min(more, most_ahead_))});
      ahead += more;
      const int rows = static_cast<int>(std::min<int64_t>(kRowBlock, end - at));
      const int32_t* const ids = args_.lists.ids + at;
      RowList list{nullptr, at, rows, asked_for};
      if (!args_.base_in_order) {
        for (int i = 0; i < rows; ++i) rows_[i] = ids[i];
        list = {rows_.get(), 0, rows};
      }
      score_rows(pairs, count, queries, list, ids);
    }
    asked_for_ = asks ? args_.lists.offsets[next] : -1;
  }

  // Such queries are scored one by one.
  bool filter_of_each() const { return args_.filter.kind != Filter::Kind::none && !args_.filter.shared(); }

  // The members in [begin, end) that the filter of the first of the queries passes.
  void score_allowed(const ListQuery* pairs, int count, PackedQueries queries, int64_t begin, int64_t end) {
    const int64_t query = first_ + pairs->query;
    for (int64_t at = begin; at < end;) {
      int rows = 0;
      for (; at < end && rows < kRowBlock; ++at) {
        const int32_t id = args_.lists.ids[at];
        ids_[rows] = id;
        rows_[rows] = args_.base_in_order ? at : id;
        rows += args_.filter.is_allowed(query, id);
      }
      if (rows > 0) score_rows(pairs, count, queries, {rows_.get(), 0, rows}, ids_.get());
    }
  }

  bool in_panels(int count) const { return computer_.gathers_panels && count > computer_.row_major_up_to; }

  void gather(const ListQuery* pairs, int count) {
    const int lanes = computer_.lanes;
    if (panels_.size() == 0) {
      const size_t tiles = static_cast<size_t>(computer_.tile_group), panels = static_cast<size_t>(kPanels);
      panels_.reset(panels * computer_.panel_bytes);
      tiles_.reset(tiles * computer_.tile_bytes);
      tile_keys_.reset(tiles * static_cast<size_t>(computer_.tile_rows * lanes));
      limits_.reset(panels * static_cast<size_t>(lanes));
      queries_.reset(panels * static_cast<size_t>(lanes));
    }
    for (int q = 0; q < count; ++q) {
      queries_[q] = packed(pairs[q].query);
      limits_[q] = pools_[pairs[q].query].limit();
    }
    for (int q = 0; q < count; q += lanes) computer_.gather_panel(queries_.get() + q, std::min(lanes, count - q), panel(q));
  }
  char* panel(int q) const { return panels_.get() + static_cast<size_t>(q / computer_.lanes) * computer_.panel_bytes; }

  // Rows against the panels that were gathered.
  void score_tiles(const ListQuery* pairs, int count, const RowList& rows, const int32_t* ids) {
    const int each = computer_.tile_rows, lanes = computer_.lanes, group = each * computer_.tile_group;
    for (int from = 0; from < rows.count; from += group) {
      const int here = std::min(group, rows.count - from);
      int packed = 0;
      for (int r = 0; r < here; r += each, ++packed)
        finite_ = computer_.pack_tile(rows.part(from + r, std::min(each, here - r)),
                                      tiles_.get() + static_cast<size_t>(packed) * computer_.tile_bytes) &&
                  finite_;
      for (int q = 0; q < count; q += lanes) {
        computer_.keys_of_tiles(tiles_.get(), packed, panel(q), tile_keys_.get());
        push_tiles(pairs + q, std::min(lanes, count - q), limits_.get() + q, here, ids + from);
      }
    }
  }

  void push_tiles(const ListQuery* pairs, int count, float* limits, int rows, const int32_t* ids) {
    const int lanes = computer_.lanes;
    for (int r = 0; r < rows; ++r)
      for (int l = 0; l < count; l += kLanes) {
        const float* const keys = tile_keys_.get() + r * lanes + l;
        uint32_t hits = below(F32::load(keys), F32::load(limits + l));
        if (count - l < kLanes) hits &= (1u << (count - l)) - 1;
        for (; hits != 0; hits &= hits - 1) {
          const int q = __builtin_ctz(hits);
          ListPool& pool = pools_[pairs[l + q].query];
          pool.push(keys[q], ids[r]);
          limits[l + q] = pool.limit();
        }
      }
  }

  void score_rows(const ListQuery* pairs, int count, PackedQueries queries, const RowList& rows, const int32_t* ids) {
    if (in_panels(count)) return score_tiles(pairs, count, rows, ids);
    finite_ = computer_.score_rows(queries, count, rows, keys_.get(), kRowBlock) && finite_;
    for (int q = 0; q < count; ++q) pools_[pairs[q].query].push_all(keys_.get() + q * kRowBlock, ids, rows.count);
  }

  void finish(int q) {
    int64_t found = pools_[q].finish();
    const KeyId* entries = pools_[q].entries();
    if (args_.rerank_k > 0) entries = rerank(q, entries, found);
    found = std::min(found, args_.k);
    for (int64_t i = 0; i < args_.k; ++i) {
      const int64_t at = (first_ + q) * args_.k + i;
      args_.indices[at] = i < found ? static_cast<int64_t>(entries[i].position()) : -1;
      if (i < found)
        write_key(args_.metric, args_.distances, at, key_of_bits(entries[i].key_bits()));
      else
        write_missing_distance(args_.metric, args_.distances, at);
    }
  }

  // The entries under keys of the finer form, and in their order.
  const KeyId* rerank(int q, const KeyId* entries, int64_t count) {
    const size_t width = static_cast<size_t>(count);
    if (fine_query_.size() == 0) fine_query_.reset(fine_->query_bytes * kQueryStep);
    if (fine_keys_.size() < width + kLanes) {
      fine_rows_.reset(width + kLanes);
      fine_keys_.reset(width + kLanes);
      fine_entries_.reset(width + kLanes);
    }
    for (int64_t i = 0; i < count; ++i) {
      const uint32_t id = entries[i].position();
      fine_rows_[i] = args_.rerank_in_order ? args_.lists.places[id] : static_cast<int64_t>(id);
    }
    const RowList rows{fine_rows_.get(), 0, static_cast<int>(count)};
    fine_->prefetch(rows);
    const PackedQueries query = fine_->pack_query(first_ + q, 1, fine_query_.get());
    finite_ = fine_->score_rows(query, 1, rows, fine_keys_.get(), count) && finite_;
    for (int64_t i = 0; i < count; ++i) fine_entries_[i] = KeyId::of(sortable_bits(fine_keys_[i]), entries[i].position());
    std::sort(fine_entries_.get(), fine_entries_.get() + count);
    return fine_entries_.get();
  }

  const SearchListsArgs& args_;
  const DistanceComputer& computer_;
  const DistanceComputer* const fine_;
  ListTaker taker_;
  const int64_t capacity_;
  Buffer<char> room_, group_, fine_query_, panels_, tiles_;
  Buffer<PackedQueries> queries_;
  Buffer<float> tile_keys_, limits_;
  PackedQueries packed_ = PackedQueries::none();  // in room_, one by one
  Buffer<KeyId> entries_, fine_entries_;
  Buffer<ListPool> pools_;
  Buffer<int64_t> starts_, at_;
  const int64_t most_ahead_;  // rows asked for at once
  Buffer<float> keys_, fine_keys_;
  Buffer<int64_t> rows_, fine_rows_;
  Buffer<int32_t> ids_;
  Growing<ListQuery> taken_;
  Buffer<ListQuery> ordered_;
  int64_t first_ = 0, asked_for_ = -1;  // asked_for_: where the members begin that were asked for last
  bool finite_ = true;
};

// Queries of a task. It decides the order of the work, never a result.
int64_t block_of(const SearchListsArgs& args, const DistanceComputer& computer) {
  const int64_t m = args.queries.rows, kept = std::min(std::max(args.k, args.rerank_k), args.lists.rows);
  const int64_t pool = ListPool::room(kept) * static_cast<int64_t>(sizeof(KeyId));
  const int64_t pools = kPoolBytes / std::max<int64_t>(pool, 1);
  const int64_t queries = kPackedBytes / std::max<int64_t>(static_cast<int64_t>(computer.query_bytes), 1);
  const int64_t depth = args.filter.kind == Filter::Kind::none ? args.probes : args.lists.count;
  const int64_t each = sizeof(int64_t) + sizeof(float) + sizeof(ListQuery);
  const int64_t most = std::max<int64_t>(std::min({kBlockQueries, pools, queries, kOrderBytes / (each * depth)}), 1);
  const int64_t workers = workers_for(args.exec.threads, m);
  const int64_t blocks = ((m + most - 1) / most + workers - 1) / workers * workers;
  return (m + blocks - 1) / blocks;
}

}  // namespace

void search_lists(const SearchListsArgs& args) {
  BadRow bad(args.bad_row);
  const int64_t m = args.queries.rows;
  if (m == 0 || args.k == 0) return;
  if (args.lists.rows == 0) {
    for (int64_t at = 0; at < m * args.k; ++at) {
      args.indices[at] = -1;
      write_missing_distance(args.metric, args.distances, at);
    }
    return;
  }
  const auto computer = make_distance_computer(args.base, args.queries, args.metric);
  const auto fine = args.rerank_k > 0 ? make_distance_computer(args.rerank, args.rerank_queries, args.metric) : nullptr;
  const int64_t block = block_of(args, *computer), tasks = (m + block - 1) / block;
  struct Workers {
    ListSearcher** all;
    size_t count;
    explicit Workers(size_t n) : all(new ListSearcher*[n]()), count(n) {}
    ~Workers() {
      for (size_t w = 0; w < count; ++w) delete all[w];
      delete[] all;
    }
  } own(static_cast<size_t>(workers_for(args.exec.threads, tasks)));
  auto task = [&](int w, int64_t t) {
    if (own.all[w] == nullptr) own.all[w] = new ListSearcher(args, *computer, fine.get(), block);
    if (!own.all[w]->run(t * block, static_cast<int>(std::min(block, m - t * block)))) bad.note();
  };
  parallel_for(args.exec.threads, tasks, args.exec.interrupted, task);
  if (bad.is_asked()) bad.report(args.base, args.exec);
}

}  // namespace annk::ANNK_ISA
