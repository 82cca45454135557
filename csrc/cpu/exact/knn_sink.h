// SPDX-License-Identifier: Apache-2.0
// What the scans of knn keep: the best entries of each query of a block, and what becomes of them at the end. knn.cpp scans
// one base, knn_blocks.cpp one that comes in blocks.
#pragma once
#include "core/topk.h"
#include "cpu/exact/scan.h"
#include "cpu/ops.h"

namespace annk::ANNK_ISA {

inline constexpr int64_t kSinkBytes = 16 << 20;  // of entries of a block of queries

inline ScanPlan plan_knn(const KnnArgs& args, const DistanceComputer& computer, int64_t rows, int64_t k) {
  const int64_t most_block = kSinkBytes / (topk_capacity(k, rows) * static_cast<int64_t>(sizeof(KeyId)));
  return plan_scan(computer, rows, args.queries.rows, computer.row_bytes, args.exec.threads, most_block, k);
}

// What was found for a block of queries in some of the rows: at most k sorted entries a query, their positions counted from
// the row of that id.
struct Partial {
  Partial* next;
  int64_t first_id, k;
  Buffer<KeyId> entries;   // (queries, k)
  Buffer<int64_t> counts;  // (queries,)
  const KeyId* of(int q) const { return entries.get() + q * k; }
};

// The partial results of each block of queries, from all workers.
class Partials {
 public:
  explicit Partials(int64_t blocks) : heads_(static_cast<size_t>(blocks)) {
    for (int64_t b = 0; b < blocks; ++b) heads_[b] = nullptr;
  }
  ~Partials() {
    for (size_t b = 0; b < heads_.size(); ++b)
      while (Partial* partial = heads_[b]) {
        heads_[b] = partial->next;
        delete partial;
      }
  }
  void add(int64_t block, Partial* partial) {
    std::atomic_ref<Partial*> head(heads_[block]);
    partial->next = head.load();
    while (!head.compare_exchange_weak(partial->next, partial)) {
    }
  }
  const Partial* of(int64_t block) const { return heads_[block]; }

 private:
  Buffer<Partial*> heads_;
};

// The best entries of each query of a block: those of rows that are handed over in ascending order.
class BlockTops {
 public:
  BlockTops(const ScanPlan& plan, int lanes, int64_t k, int64_t rows)
      : k_(k),
        capacity_(topk_capacity(k, rows)),
        tops_(static_cast<size_t>(plan.block)),
        entries_(static_cast<size_t>(plan.block * capacity_)),
        thresholds_(round_up(static_cast<size_t>(plan.block), lanes)) {
    for (int64_t q = 0; q < plan.block; ++q)
      tops_[q].begin(entries_.get() + q * capacity_, k, capacity_, thresholds_.get() + q);
  }

  // Another block of queries, of which nothing is known.
  void restart(int64_t first_query, int queries) {
    first_query_ = first_query;
    queries_ = queries;
    for (int q = 0; q < queries; ++q) tops_[q].clear();
  }
  // The rows that come next: positions count from first_row, which may be negative.
  void continue_with(int64_t first_row, const Filter& filter) {
    first_row_ = first_row;
    filter_ = filter;
    by_query_ = filter.kind != Filter::Kind::none && !filter.shared();
  }

  void tile(const RowList& rows, int64_t first_query, int count, const float* keys, int stride) {
    const int64_t local = first_query - first_query_;
    for (int r = 0; r < rows.count; ++r)
      for (int l = 0; l < count; l += kLanes) {
        uint32_t hits = below(F32::load(keys + r * stride + l), F32::load(thresholds_.get() + local + l));
        if (count - l < kLanes) hits &= (1u << (count - l)) - 1;
        for (; hits != 0; hits &= hits - 1) {
          const int q = l + __builtin_ctz(hits);
          push(local + q, rows[r], keys[r * stride + q]);
        }
      }
  }

  void column(const RowList& rows, int64_t query, const float* keys) {
    const int64_t local = query - first_query_;
    for (int i = 0; i < rows.count; i += kLanes) {
      uint32_t hits = below(F32::load(keys + i), F32::broadcast(thresholds_[local]));
      if (rows.count - i < kLanes) hits &= (1u << (rows.count - i)) - 1;
      for (; hits != 0; hits &= hits - 1) {
        const int r = i + __builtin_ctz(hits);
        push(local, rows[r], keys[r]);
      }
    }
  }

  const float* limits() {
    for (int q = 0; q < queries_; ++q) tops_[q].tighten();
    return thresholds_.get();
  }

  // What was found, the row at position 0 having this id.
  Partial* found(int64_t first_id) {
    Partial* partial = new Partial{nullptr, first_id, k_, Buffer<KeyId>(static_cast<size_t>(queries_ * k_)),
                                   Buffer<int64_t>(static_cast<size_t>(queries_))};
    for (int q = 0; q < queries_; ++q) {
      partial->counts[q] = tops_[q].finish();
      for (int64_t i = 0; i < partial->counts[q]; ++i) partial->entries[q * k_ + i] = tops_[q].entries()[i];
    }
    return partial;
  }

 private:
  void push(int64_t local, int64_t row, float key) {
    if (by_query_ && !filter_.is_allowed(first_query_ + local, row)) return;
    tops_[local].push(KeyId::of(sortable_bits(key), static_cast<uint32_t>(row - first_row_)));
  }

  const int64_t k_, capacity_;
  Buffer<TopK<KeyId>> tops_;
  Buffer<KeyId> entries_;
  Buffer<float> thresholds_;
  Filter filter_;
  bool by_query_ = false;
  int queries_ = 0;
  int64_t first_row_ = 0, first_query_ = 0;
};

inline void write_found(const KnnArgs& args, int64_t query, int64_t place, Neighbor found) {
  const int64_t at = query * args.k + place;
  args.indices[at] = found.id;
  write_key(args.metric, args.distances, at, key_of_bits(found.bits));
}

inline void write_missing(const KnnArgs& args, int64_t query, int64_t from) {
  for (int64_t at = query * args.k + from; at < (query + 1) * args.k; ++at) {
    args.indices[at] = -1;
    write_missing_distance(args.metric, args.distances, at);
  }
}

// The k best of a query among the partial results of its block, in order.
inline void write_query(const KnnArgs& args, int64_t query, int local, const Partial* partials) {
  int64_t count = 0;
  for (const Partial* p = partials; p != nullptr; p = p->next) count += p->counts[local];
  Buffer<Neighbor> found(static_cast<size_t>(count));
  count = 0;
  for (const Partial* p = partials; p != nullptr; p = p->next)
    for (int64_t i = 0; i < p->counts[local]; ++i)
      found[count++] = {p->of(local)[i].key_bits(), p->first_id + p->of(local)[i].position()};
  const int64_t kept = std::min(count, args.k);
  if (partials != nullptr && partials->next != nullptr)
    std::partial_sort(found.get(), found.get() + kept, found.get() + count);
  for (int64_t i = 0; i < kept; ++i) write_found(args, query, i, found[i]);
  write_missing(args, query, kept);
}

// knn of a base that comes in blocks.
void knn_block(const KnnArgs&);

inline void write_blocks(const KnnArgs& args, const ScanPlan& plan, const Partials& partials) {
  auto write_block = [&](int, int64_t b) {
    for (int q = 0; q < plan.block_size(b); ++q) write_query(args, plan.first_query(b) + q, q, partials.of(b));
  };
  parallel_for(args.exec.threads, plan.blocks, args.exec.interrupted, write_block);
}

}  // namespace annk::ANNK_ISA
