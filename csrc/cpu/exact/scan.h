// SPDX-License-Identifier: Apache-2.0
// The exhaustive scan that knn, radius and pairwise share: blocks of queries x chunks of rows, tile by tile, each tile of
// keys handed to a sink while it is in the cache. The (m, n) matrix never exists.
#pragma once
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <concepts>

#include "core/buffer.h"
#include "core/threads.h"
#include "cpu/distance/distance_computer.h"
#include "cpu/ops.h"
#include "cpu/simd/vec.h"

namespace annk::ANNK_ISA {

// How a scan is cut up. It decides the order of the work, never a result.
struct ScanPlan {
  int64_t rows = 0, queries = 0;
  bool row_major = false;     // rows in lanes
  bool below_limits = false;  // row_major, and keys beyond a sink's limits are left out
  int64_t block = 0;          // queries of a block
  int64_t chunk = 0;          // rows of a chunk
  int64_t blocks = 0, chunks = 0;
  int workers = 1;

  int64_t tasks() const { return blocks * chunks; }
  int64_t block_of(int64_t task) const { return task / chunks; }
  int64_t first_query(int64_t b) const { return b * block; }
  int block_size(int64_t b) const { return static_cast<int>(queries - b * block < block ? queries - b * block : block); }
};

// The panels of a block and one tile stay in L2; three quarters of it are theirs.
inline int64_t panel_budget() {
  const long l2 = sysconf(_SC_LEVEL2_CACHE_SIZE);
  return (l2 > 0 ? l2 : 512 * 1024) / 4 * 3;
}

inline constexpr int64_t kMostQueries = 1024;   // a larger block would only enlarge what the sink keeps for it
inline constexpr int64_t kTaskBytes = 4 << 20;  // rows of a chunk: a few ms at most, so that work can be shared and stopped

// most_block: no more queries in a block than this (what the sink can afford), rounded up to a panel. kept: of a query's
// keys, about so many count.
inline ScanPlan plan_scan(const DistanceComputer& computer, int64_t rows, int64_t queries, int64_t row_bytes, int threads,
                          int64_t most_block, int64_t kept) {
  ScanPlan plan;
  plan.rows = rows;
  plan.queries = queries;
  plan.row_major = queries <= computer.row_major_up_to;
  // Limits pay where they leave most rows out. The first kRowBlock find them.
  plan.below_limits = plan.row_major && computer.below_block > 0 && rows > kRowBlock && kept <= rows / 32;
  const int64_t panels =
      std::max<int64_t>(panel_budget() / std::max<int64_t>(static_cast<int64_t>(computer.panel_bytes), 1), 1);
  const int64_t affordable = std::max<int64_t>(std::min(most_block, kMostQueries) / computer.lanes, 1);
  const int64_t wanted = std::min(panels, affordable) * computer.lanes;
  const int64_t row_major = std::min<int64_t>(plan.below_limits ? computer.below_block : computer.row_major_block,
                                              std::max<int64_t>(most_block, 1));
  const int64_t most = plan.row_major ? std::min(queries, row_major) : wanted;
  plan.blocks = (queries + most - 1) / most;
  // Blocks of equal size: workers share tasks out by their number, and one that runs out of its own takes every other chunk
  // of another's, each a stream with a threshold of its own to find (two blocks of 992 queries and one of 16: 1.2 times the
  // time).
  const size_t even = static_cast<size_t>((queries + plan.blocks - 1) / plan.blocks);
  plan.block = std::min(most, static_cast<int64_t>(round_up(even, plan.row_major ? kQueryStep : computer.lanes)));
  // Chunks hold whole groups of tiles. A block of queries costs as many operations on a byte of rows as it has queries.
  const int64_t bytes = plan.row_major ? kTaskBytes : kTaskBytes / 8;
  const int64_t most_rows = std::max<int64_t>(bytes / std::max<int64_t>(row_bytes, 1), 1);
  plan.chunk = static_cast<int64_t>(round_up(static_cast<size_t>(std::min(most_rows, int64_t{1} << 24)),
                                             plan.row_major ? kRowBlock : computer.tile_rows * computer.tile_group));
  plan.chunks = (rows + plan.chunk - 1) / plan.chunk;
  plan.workers = workers_for(threads, plan.tasks());
  return plan;
}

// Which block of queries is packed, as panels or for one of the two ways by rows.
struct PackedBlock {
  int64_t block = -1;  // none
  PackedQueries queries = PackedQueries::none();
  PackedQueriesBelow below = PackedQueriesBelow::none();
};

// One worker's scratch: the block's panels (or few queries), a tile, its keys, the ids that a filter lets through.
class ScanScratch {
 public:
  ScanScratch(const DistanceComputer& computer, const ScanPlan& plan)
      : ScanScratch(computer, plan, bytes_of_queries(computer, plan)) {}
  // With `room` for packed queries: none where a caller keeps and lends them.
  ScanScratch(const DistanceComputer& computer, const ScanPlan& plan, size_t room)
      : queries(room),
        tile(plan.row_major ? 0 : computer.tile_bytes * static_cast<size_t>(computer.tile_group)),
        keys(plan.row_major ? round_up(static_cast<size_t>(plan.block), kQueryStep) * kRowBlock
                            : static_cast<size_t>(computer.tile_rows * computer.tile_group) * computer.lanes),
        ids(kRowBlock),
        near(plan.below_limits ? round_up(static_cast<size_t>(plan.block), kQueryStep) : 0) {}

  static size_t bytes_of_queries(const DistanceComputer& computer, const ScanPlan& plan) {
    return plan.row_major ? computer.query_bytes * round_up(static_cast<size_t>(plan.block), kQueryStep)
                          : computer.panel_bytes * static_cast<size_t>(plan.block / computer.lanes) + computer.query_bytes;
  }

  Buffer<char> queries, tile;
  PackedBlock packed;  // in `queries`
  Buffer<float> keys;
  Buffer<int64_t> ids;
  Buffer<NearRows> near;
};

// The rows of a chunk, at most `most` at a time, without those that a shared filter keeps out. The filter is read by words:
// what it keeps out costs a bit or a byte, and rows that all pass are adjacent ones.
class AllowedRows {
 public:
  AllowedRows(int64_t first, int64_t end, const Filter& filter, int64_t* ids)
      : at_(first), end_(end), filter_(filter), all_(filter.kind == Filter::Kind::none || !filter.shared()), ids_(ids) {}

  RowList next(int most) {
    if (!all_) skip();
    const int64_t wanted = std::min<int64_t>(most, end_ - at_);
    if (all_ || all_allowed(wanted)) {
      const RowList rows{nullptr, at_, static_cast<int>(wanted)};
      at_ += wanted;
      return rows;
    }
    RowList rows{ids_, at_, 0};
    while (at_ < end_) {
      Window window = window_from(at_);
      for (; window.allowed != 0; window.allowed &= window.allowed - 1) {
        const int64_t row = at_ + __builtin_ctz(window.allowed);
        if (rows.count == most) {
          at_ = row;
          return rows;
        }
        ids_[rows.count++] = row;
      }
      at_ += window.rows;
    }
    return rows;
  }

 private:
  // Some adjacent rows, the first at bit 0.
  struct Window {
    uint32_t allowed;
    int rows;
    bool all() const { return allowed == ~0u >> (32 - rows); }
  };

  Window window_from(int64_t row) const {
    if (filter_.kind == Filter::Kind::bits) {
      const int skipped = static_cast<int>(row & 31), rows = static_cast<int>(std::min<int64_t>(32 - skipped, end_ - row));
      const uint32_t word = static_cast<const uint32_t*>(filter_.data)[row >> 5];
      return {word >> skipped & ~0u >> (32 - rows), rows};
    }
    if (row + 8 > end_) return {filter_.is_allowed(0, row), 1};
    uint64_t bytes;
    __builtin_memcpy(&bytes, static_cast<const unsigned char*>(filter_.data) + row, 8);
    constexpr uint64_t kLow = 0x7f7f7f7f7f7f7f7f;
    const uint64_t nonzero = (((bytes & kLow) + kLow) | bytes) >> 7 & 0x0101010101010101;
    return {static_cast<uint32_t>(nonzero * 0x0102040810204080 >> 56), 8};  // the byte of row i sets bit i
  }

  // On to the next row that is allowed.
  void skip() {
    while (at_ < end_) {
      const Window window = window_from(at_);
      if (window.allowed != 0) {
        at_ += __builtin_ctz(window.allowed);
        return;
      }
      at_ += window.rows;
    }
  }

  bool all_allowed(int64_t rows) const {
    for (int64_t row = at_; row < at_ + rows;) {
      const Window window = window_from(row);
      const int64_t left = at_ + rows - row;
      if (left >= window.rows ? !window.all() : (~window.allowed & ((1u << left) - 1)) != 0) return false;
      row += window.rows;
    }
    return true;
  }

  int64_t at_, end_;
  const Filter& filter_;
  const bool all_;
  int64_t* ids_;
};

// Whether a scan read a base row with NaN or infinity, for callers that asked.
class BadRow {
 public:
  explicit BadRow(int64_t* out) : out_(out) {
    if (out != nullptr) *out = -1;
  }
  bool is_asked() const { return out_ != nullptr; }
  bool noted() const { return noted_.load(std::memory_order_relaxed); }
  void note() { noted_.store(true, std::memory_order_relaxed); }
  // True, and the smallest bad row written, if there is one.
  bool report(const Matrix& base, const Exec& where) const {
    if (!noted()) return false;
    first_nonfinite({base, out_, where});
    return true;
  }

 private:
  int64_t* out_;
  std::atomic<bool> noted_{false};
};

// What becomes of keys, one for each worker:
//   begin(block, chunk)                              before the first tile of a task
//   tile(rows, first_query, count, keys, stride)     key of rows[i] and query first_query + q at keys[i * stride + q]
//   column(rows, query, keys)                        key of rows[i] and this query at keys[i]
//   limits()                                         of each query of the block, where plan.below_limits: what is beyond may
//                                                    be left out
template <class S>
concept ScanSink =
    requires(S sink, const RowList& rows, int64_t block, int64_t query, int count, const float* keys, int64_t stride) {
      sink.begin(block, block);
      sink.tile(rows, query, count, keys, stride);
      sink.column(rows, query, keys);
      { sink.limits() } -> std::same_as<const float*>;
    };

// Packs a group of tiles and hands `sink` their keys, panel by panel. False: a row holds NaN or infinity.
template <ScanSink Sink>
bool scan_tiles(const DistanceComputer& computer, const RowList& rows, int64_t first_query, int count, ScanScratch& scratch,
                Sink& sink) {
  bool finite = true;
  int packed = 0;
  for (int r = 0; r < rows.count; r += computer.tile_rows, ++packed) {
    const RowList part = rows.part(r, std::min(computer.tile_rows, rows.count - r));
    finite = computer.pack_tile(part, scratch.tile.get() + packed * computer.tile_bytes) && finite;
  }
  for (int q = 0; q < count; q += computer.lanes) {
    const char* const panel = scratch.queries.get() + q / computer.lanes * computer.panel_bytes;
    computer.keys_of_tiles(scratch.tile.get(), packed, panel, scratch.keys.get());
    sink.tile(rows, first_query + q, std::min(computer.lanes, count - q), scratch.keys.get(), computer.lanes);
  }
  return finite;
}

template <ScanSink Sink>
void scan_task(const DistanceComputer& computer, const ScanPlan& plan, const Filter& filter, int64_t task,
               ScanScratch& scratch, Sink& sink, BadRow& bad) {
  const int64_t b = plan.block_of(task), c = task % plan.chunks;
  const int64_t q0 = plan.first_query(b);
  const int count = plan.block_size(b);
  PackedBlock& packed = scratch.packed;
  if (packed.block != b) {
    if (plan.below_limits)
      packed.below = computer.pack_query_below(q0, count, scratch.queries.get());
    else if (plan.row_major)
      packed.queries = computer.pack_query(q0, count, scratch.queries.get());
    else
      for (int q = 0; q < count; q += computer.lanes)
        computer.pack_panel(q0 + q, std::min(computer.lanes, count - q),
                            scratch.queries.get() + q / computer.lanes * computer.panel_bytes);
    packed.block = b;
  }
  sink.begin(b, c);
  AllowedRows allowed(c * plan.chunk, std::min(plan.rows, (c + 1) * plan.chunk), filter, scratch.ids.get());
  for (;;) {
    const RowList rows = allowed.next(plan.row_major ? kRowBlock : computer.tile_rows * computer.tile_group);
    if (rows.count == 0) return;
    bool fit = true;
    if (plan.below_limits) {
      computer.score_rows_below(packed.below, count, rows, sink.limits(), scratch.near.get());
      for (int q = 0; q < count; ++q) {
        const NearRows& near = scratch.near[q];
        if (near.count > 0) sink.column({near.ids, 0, near.count}, q0 + q, near.keys);
      }
    } else if (plan.row_major) {
      fit = computer.score_rows(packed.queries, count, rows, scratch.keys.get(), kRowBlock);
      for (int q = 0; q < count; ++q) sink.column(rows, q0 + q, scratch.keys.get() + q * kRowBlock);
    } else {
      fit = scan_tiles(computer, rows, q0, count, scratch, sink);
    }
    if (!fit && bad.is_asked()) [[unlikely]] {
      bad.note();
      return;
    }
  }
}

// make_sink() gives a new sink for each worker; sink.flush() is called once all tasks are done.
template <class MakeSink>
void run_scan(const DistanceComputer& computer, const ScanPlan& plan, const Filter& filter, const Exec& where, BadRow& bad,
              MakeSink&& make_sink) {
  using Sink = std::remove_pointer_t<decltype(make_sink())>;
  struct Worker {
    ScanScratch* scratch = nullptr;
    Sink* sink = nullptr;
    ~Worker() {
      delete scratch;
      delete sink;
    }
  };
  Worker* const workers = new Worker[static_cast<size_t>(plan.workers)];
  struct Release {
    Worker* workers;
    ~Release() { delete[] workers; }
  } const release{workers};
  auto body = [&](int w, int64_t task) {
    if (bad.noted()) return;
    if (workers[w].sink == nullptr) {
      workers[w].scratch = new ScanScratch(computer, plan);
      workers[w].sink = make_sink();
    }
    scan_task(computer, plan, filter, task, *workers[w].scratch, *workers[w].sink, bad);
  };
  parallel_for(where.threads, plan.tasks(), where.interrupted, body);
  if (bad.noted()) return;
  auto flush = [&](int, int64_t w) {
    if (workers[w].sink != nullptr) workers[w].sink->flush();
  };
  parallel_for(where.threads, plan.workers, where.interrupted, flush);
}

}  // namespace annk::ANNK_ISA
