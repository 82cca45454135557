// SPDX-License-Identifier: Apache-2.0
#include "ops/radius.h"

#include "cpu/exact/scan.h"
#include "cpu/ops.h"

namespace annk::ANNK_ISA {
namespace {

// The greatest key that counts as within the radius.
float key_limit(const RadiusArgs& args) { return is_similarity(args.metric) ? 0.0f - args.radius : args.radius; }

// Calls Hits::hit(query, row, key) for keys within the radius; ascending in row for each query of a task.
template <class Hits>
class RadiusSink {
 public:
  RadiusSink(const RadiusArgs& args, const ScanPlan& plan, Hits hits)
      : filter_(args.filter),
        limit_(F32::broadcast(key_limit(args))),
        limits_(static_cast<size_t>(plan.block)),
        hits_(hits) {
    for (int64_t q = 0; q < plan.block; ++q) limits_[q] = key_limit(args);
    everything_ = key_limit(args) == INFINITY;  // then keys that overflowed to NaN are within, too
    by_query_ = filter_.kind != Filter::Kind::none && !filter_.shared();
  }
  void begin(int64_t block, int64_t chunk) { hits_.begin(block, chunk); }
  void flush() { hits_.flush(); }
  const float* limits() const { return limits_.get(); }

  void tile(const RowList& rows, int64_t first_query, int count, const float* keys, int stride) {
    for (int r = 0; r < rows.count; ++r)
      for (int l = 0; l < count; l += kLanes)
        for (uint32_t hits = within_radius(keys + r * stride + l, count - l); hits != 0; hits &= hits - 1) {
          const int q = l + __builtin_ctz(hits);
          hit(first_query + q, rows[r], keys[r * stride + q]);
        }
  }
  void column(const RowList& rows, int64_t query, const float* keys) {
    for (int i = 0; i < rows.count; i += kLanes)
      for (uint32_t hits = within_radius(keys + i, rows.count - i); hits != 0; hits &= hits - 1) {
        const int r = i + __builtin_ctz(hits);
        hit(query, rows[r], keys[r]);
      }
  }

 private:
  uint32_t within_radius(const float* keys, int count) const {
    const uint32_t lanes = count < kLanes ? (1u << count) - 1 : static_cast<uint32_t>((uint64_t{1} << kLanes) - 1);
    return everything_ ? lanes : lanes & ~below(limit_, F32::load(keys));
  }
  void hit(int64_t query, int64_t row, float key) {
    if (!by_query_ || filter_.is_allowed(query, row)) hits_.hit(query, row, key);
  }

  const Filter filter_;
  const F32 limit_;
  Buffer<float> limits_;
  bool everything_, by_query_;
  Hits hits_;
};

class CountHits {
 public:
  CountHits(int64_t* counts, const ScanPlan& plan) : counts_(counts), plan_(plan), own_(static_cast<size_t>(plan.block)) {}
  CountHits(const CountHits& other) : CountHits(other.counts_, other.plan_) {}
  void begin(int64_t block, int64_t) {
    if (block == block_) return;
    flush();
    block_ = block;
    for (int q = 0; q < plan_.block_size(block); ++q) own_[q] = 0;
  }
  void hit(int64_t query, int64_t, float) { ++own_[query - plan_.first_query(block_)]; }
  void flush() {
    if (block_ < 0) return;
    for (int q = 0; q < plan_.block_size(block_); ++q)
      std::atomic_ref<int64_t>(counts_[plan_.first_query(block_) + q]).fetch_add(own_[q], std::memory_order_relaxed);
    block_ = -1;
  }

 private:
  int64_t* counts_;
  const ScanPlan& plan_;
  Buffer<int64_t> own_;
  int64_t block_ = -1;
};

struct Hit {
  int64_t query, row;
  float key;
};
using TaskHits = Growing<Hit>;  // of one block and chunk

class KeepHits {
 public:
  KeepHits(TaskHits* tasks, const ScanPlan& plan) : tasks_(tasks), plan_(plan) {}
  void begin(int64_t block, int64_t chunk) { current_ = &tasks_[block * plan_.chunks + chunk]; }
  void hit(int64_t query, int64_t row, float key) { current_->push({query, row, key}); }
  void flush() {}

 private:
  TaskHits* tasks_;
  const ScanPlan& plan_;
  TaskHits* current_ = nullptr;
};

ScanPlan plan_radius(const RadiusArgs& args, const DistanceComputer& computer) {
  return plan_scan(computer, args.base.rows, args.queries.rows, computer.row_bytes, args.exec.threads, args.queries.rows, 0);
}

}  // namespace

void radius_count(const RadiusArgs& args) {
  const int64_t m = args.queries.rows;
  BadRow bad(args.bad_row);
  for (int64_t q = 0; q <= m; ++q) args.lims[q] = 0;
  if (m == 0 || args.base.rows == 0) return;
  const auto computer = make_distance_computer(args.base, args.queries, args.metric);
  const ScanPlan plan = plan_radius(args, *computer);
  run_scan(*computer, plan, args.filter, args.exec, bad,
           [&] { return new RadiusSink<CountHits>(args, plan, CountHits(args.lims + 1, plan)); });
  if (bad.report(args.base, args.exec)) return;
  for (int64_t q = 0; q < m; ++q) args.lims[q + 1] += args.lims[q];
}

void radius_fill(const RadiusArgs& args) {
  if (args.queries.rows == 0 || args.base.rows == 0 || args.lims[args.queries.rows] == 0) return;
  const auto computer = make_distance_computer(args.base, args.queries, args.metric);
  const ScanPlan plan = plan_radius(args, *computer);
  BadRow unasked(nullptr);
  TaskHits* const tasks = new TaskHits[static_cast<size_t>(plan.tasks())];
  struct Release {
    TaskHits* tasks;
    ~Release() { delete[] tasks; }
  } const release{tasks};
  run_scan(*computer, plan, args.filter, args.exec, unasked,
           [&] { return new RadiusSink<KeepHits>(args, plan, KeepHits(tasks, plan)); });
  // A block's chunks in order: rows ascend for each query.
  auto write_block = [&](int, int64_t b) {
    const int queries = plan.block_size(b);
    Buffer<int64_t> next(static_cast<size_t>(queries));
    for (int q = 0; q < queries; ++q) next[q] = args.lims[plan.first_query(b) + q];
    for (int64_t c = 0; c < plan.chunks; ++c) {
      const TaskHits& hits = tasks[b * plan.chunks + c];
      for (size_t i = 0; i < hits.size(); ++i) {
        const int64_t at = next[hits[i].query - plan.first_query(b)]++;
        args.indices[at] = hits[i].row;
        write_key(args.metric, args.distances, at, hits[i].key);
      }
    }
  };
  parallel_for(args.exec.threads, plan.blocks, args.exec.interrupted, write_block);
}

}  // namespace annk::ANNK_ISA
