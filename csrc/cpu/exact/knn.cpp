// SPDX-License-Identifier: Apache-2.0
#include "ops/knn.h"

#include "core/topk.h"
#include "cpu/exact/scan.h"
#include "cpu/ops.h"

namespace annk::ANNK_ISA {
namespace {

constexpr int64_t kSinkBytes = 16 << 20;  // of entries, in each worker

// What one worker found for a block of queries in a run of adjacent chunks: at most k sorted entries a query, their
// positions counted from first_row.
struct Partial {
  Partial* next;
  int64_t first_row, k;
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

class KnnSink {
 public:
  KnnSink(const KnnArgs& args, const ScanPlan& plan, int lanes, int64_t k, Partials& partials)
      : filter_(args.filter),
        by_query_(args.filter.kind != Filter::Kind::none && !args.filter.shared()),
        plan_(plan),
        k_(k),
        capacity_(topk_capacity(k, plan.rows)),
        partials_(partials),
        tops_(static_cast<size_t>(plan.block)),
        entries_(static_cast<size_t>(plan.block * capacity_)),
        thresholds_(round_up(static_cast<size_t>(plan.block), lanes)) {
    for (int64_t q = 0; q < plan.block; ++q)
      tops_[q].begin(entries_.get() + q * capacity_, k, capacity_, thresholds_.get() + q);
  }

  void begin(int64_t block, int64_t chunk) {
    const int64_t end_row = (chunk + 1) * plan_.chunk;
    // Positions ascend within a run and fit 32 bits.
    if (block == block_ && chunk == chunk_ + 1 && end_row - first_row_ < (int64_t{1} << 32)) {
      chunk_ = chunk;
      return;
    }
    flush();
    block_ = block;
    chunk_ = chunk;
    first_row_ = chunk * plan_.chunk;
    first_query_ = plan_.first_query(block);
    for (int q = 0; q < plan_.block_size(block); ++q) tops_[q].clear();
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
    for (int q = 0; q < plan_.block_size(block_); ++q) tops_[q].tighten();
    return thresholds_.get();
  }

  // Hands what was found in the run over to the partial results.
  void flush() {
    if (block_ < 0) return;
    const int queries = plan_.block_size(block_);
    Partial* partial = new Partial{nullptr, first_row_, k_, Buffer<KeyId>(static_cast<size_t>(queries * k_)),
                                   Buffer<int64_t>(static_cast<size_t>(queries))};
    for (int q = 0; q < queries; ++q) {
      partial->counts[q] = tops_[q].finish();
      for (int64_t i = 0; i < partial->counts[q]; ++i) partial->entries[q * k_ + i] = tops_[q].entries()[i];
    }
    partials_.add(block_, partial);
    block_ = -1;
  }

 private:
  void push(int64_t local, int64_t row, float key) {
    if (by_query_ && !filter_.is_allowed(first_query_ + local, row)) return;
    tops_[local].push(KeyId::of(sortable_bits(key), static_cast<uint32_t>(row - first_row_)));
  }

  const Filter filter_;
  const bool by_query_;
  const ScanPlan& plan_;
  const int64_t k_, capacity_;
  Partials& partials_;
  Buffer<TopK<KeyId>> tops_;
  Buffer<KeyId> entries_;
  Buffer<float> thresholds_;
  int64_t block_ = -1, chunk_ = -1, first_row_ = 0, first_query_ = 0;
};

struct Neighbor {
  uint32_t bits;
  int64_t id;
  friend ANNK_HD bool operator<(const Neighbor& a, const Neighbor& b) {
    return a.bits < b.bits || (a.bits == b.bits && a.id < b.id);
  }
};

void write_found(const KnnArgs& args, int64_t query, int64_t place, Neighbor found) {
  const int64_t at = query * args.k + place;
  args.indices[at] = found.id;
  write_key(args.metric, args.distances, at, key_of_bits(found.bits));
}

void write_missing(const KnnArgs& args, int64_t query, int64_t from) {
  for (int64_t at = query * args.k + from; at < (query + 1) * args.k; ++at) {
    args.indices[at] = -1;
    write_missing_distance(args.metric, args.distances, at);
  }
}

// The k best of a query among the partial results of its block, in order.
void write_query(const KnnArgs& args, int64_t query, int local, const Partial* partials) {
  int64_t count = 0;
  for (const Partial* p = partials; p != nullptr; p = p->next) count += p->counts[local];
  Buffer<Neighbor> found(static_cast<size_t>(count));
  count = 0;
  for (const Partial* p = partials; p != nullptr; p = p->next)
    for (int64_t i = 0; i < p->counts[local]; ++i)
      found[count++] = {p->of(local)[i].key_bits(), p->first_row + p->of(local)[i].position()};
  const int64_t kept = std::min(count, args.k);
  if (partials != nullptr && partials->next != nullptr)
    std::partial_sort(found.get(), found.get() + kept, found.get() + count);
  for (int64_t i = 0; i < kept; ++i) write_found(args, query, i, found[i]);
  write_missing(args, query, kept);
}

void knn_with(const KnnArgs& args, const DistanceComputer& computer) {
  const int64_t n = args.base.rows, k = std::min(args.k, n);
  const int64_t most_block = kSinkBytes / (topk_capacity(k, n) * static_cast<int64_t>(sizeof(KeyId)));
  const ScanPlan plan = plan_scan(computer, n, args.queries.rows, computer.row_bytes, args.exec.threads, most_block, k);
  Partials partials(plan.blocks);
  BadRow bad(args.bad_row);
  run_scan(computer, plan, args.filter, args.exec, bad,
           [&] { return new KnnSink(args, plan, computer.lanes, k, partials); });
  if (bad.report(args.base, args.exec)) return;
  auto write_block = [&](int, int64_t b) {
    for (int q = 0; q < plan.block_size(b); ++q) write_query(args, plan.first_query(b) + q, q, partials.of(b));
  };
  parallel_for(args.exec.threads, plan.blocks, args.exec.interrupted, write_block);
}

}  // namespace

void knn(const KnnArgs& args) {
  if (args.k == 0 || args.queries.rows == 0) return;
  if (args.base.rows == 0) {
    for (int64_t q = 0; q < args.queries.rows; ++q) write_missing(args, q, 0);
    return;
  }
  knn_with(args, *make_distance_computer(args.base, args.queries, args.metric));
}

}  // namespace annk::ANNK_ISA
