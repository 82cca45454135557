// SPDX-License-Identifier: Apache-2.0
#include "ops/select_k.h"

#include <atomic>

#include "core/buffer.h"
#include "core/threads.h"
#include "core/topk.h"
#include "cpu/ops.h"
#include "cpu/simd/vec.h"

namespace annk::ANNK_ISA {
namespace {

constexpr int64_t kSplitColumns = 1 << 15;  // fewer are not worth a task of their own
constexpr int64_t kPollColumns = 1 << 22;   // read before Ctrl-C is asked for again

// NaN ranks behind infinity.
ANNK_HD uint32_t key_bits_of(float key) { return key == key ? sortable_bits(key) : ~uint32_t{0}; }

// The neighbor of a value, and the flat index (part, column) that the value is read back from.
struct ValueNeighbor : Neighbor {
  int64_t at;
};

class Selection {
 public:
  explicit Selection(const SelectKArgs& args) : args_(args), columns_(args.parts * args.n), k_(std::min(args.k, columns_)) {}

  void run() const {
    if (args_.ids != nullptr) {
      auto row = [&](int worker, int64_t r) { select_by_id(worker, r); };
      parallel_for(args_.exec.threads, args_.m, args_.exec.interrupted, row);
      return;
    }
    // One task a row, but few long rows are split so that all threads have work.
    const int64_t workers = workers_for(args_.exec.threads, INT64_MAX);
    const int64_t wanted = args_.m >= 2 * workers ? 1 : 4 * workers / std::max<int64_t>(args_.m, 1);
    const int64_t largest = int64_t{1} << 31;  // positions are 32-bit
    const int64_t splits =
        std::max({std::min(wanted, columns_ / std::max(kSplitColumns, 4 * k_)), columns_ / largest + 1, int64_t{1}});
    splits == 1 ? run_rows() : run_splits(splits);
  }

 private:
  ANNK_HD float value_at(int64_t row, int64_t at) const {
    return args_.values[at / args_.n * args_.part_stride + row * args_.row_stride + at % args_.n];
  }

  void write(int64_t row, int64_t place, int64_t at, int64_t id) const {
    args_.out_values[row * args_.k + place] = value_at(row, at);
    args_.out_ids[row * args_.k + place] = id;
  }
  void write_missing(int64_t row, int64_t from) const {
    for (int64_t i = row * args_.k + from; i < (row + 1) * args_.k; ++i) {
      args_.out_values[i] = args_.largest ? -INFINITY : INFINITY;
      args_.out_ids[i] = -1;
    }
  }

  // A row may take seconds, which is longer than between two tasks. The interpreter is entered by the caller alone.
  void poll(int worker) const {
    if (worker == 0 && args_.exec.interrupted != nullptr && args_.exec.interrupted()) stopped_ = true;
    if (stopped_.load(std::memory_order_relaxed)) throw_interrupted();
  }

  // Columns [first, end) of a row, over all parts; positions count from `first`.
  void collect(int worker, int64_t row, int64_t first, int64_t end, float& threshold, TopK<KeyId>& top) const {
    for (int64_t at = first, polled = first; at < end;) {
      if (at - polled >= kPollColumns) poll(worker), polled = at;
      const int64_t part = at / args_.n, column = at % args_.n;
      const int64_t here = std::min({args_.n - column, end - at, kPollColumns});
      collect_run(args_.values + part * args_.part_stride + row * args_.row_stride + column, here,
                  static_cast<uint32_t>(at - first), threshold, top);
      at += here;
    }
  }
  void collect_run(const float* values, int64_t count, uint32_t position, float& threshold, TopK<KeyId>& top) const {
    const F32 sign = F32::broadcast(args_.largest ? -1.0f : 1.0f);
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes)
      for (uint32_t hits = below(F32::load(values + i) * sign, F32::broadcast(threshold)); hits != 0; hits &= hits - 1)
        push(values[i + __builtin_ctz(hits)], position + static_cast<uint32_t>(i) + __builtin_ctz(hits), top);
    for (; i < count; ++i) push(values[i], position + static_cast<uint32_t>(i), top);
  }
  ANNK_HD void push(float value, uint32_t position, TopK<KeyId>& top) const {
    top.push(KeyId::of(key_bits_of(args_.largest ? -value : value), position));
  }

  void run_rows() const {
    const int64_t capacity = topk_capacity(k_, columns_);
    auto row = [&](int worker, int64_t r) {
      Buffer<KeyId> memory(static_cast<size_t>(capacity));
      float threshold;
      TopK<KeyId> top;
      top.begin(memory.get(), k_, capacity, &threshold);
      collect(worker, r, 0, columns_, threshold, top);
      const int64_t found = top.finish();
      for (int64_t i = 0; i < found; ++i) write(r, i, top.entries()[i].position(), top.entries()[i].position());
      write_missing(r, found);
    };
    parallel_for(args_.exec.threads, args_.m, args_.exec.interrupted, row);
  }

  void run_splits(int64_t splits) const {
    const int64_t capacity = topk_capacity(k_, columns_);
    Buffer<KeyId> kept(static_cast<size_t>(args_.m * splits * k_));
    Buffer<int64_t> counts(static_cast<size_t>(args_.m * splits));
    auto split = [&](int worker, int64_t task) {
      const int64_t r = task / splits, s = task % splits;
      Buffer<KeyId> memory(static_cast<size_t>(capacity));
      float threshold;
      TopK<KeyId> top;
      top.begin(memory.get(), k_, capacity, &threshold);
      collect(worker, r, columns_ * s / splits, columns_ * (s + 1) / splits, threshold, top);
      counts[task] = top.finish();
      for (int64_t i = 0; i < counts[task]; ++i) kept[task * k_ + i] = top.entries()[i];
    };
    parallel_for(args_.exec.threads, args_.m * splits, args_.exec.interrupted, split);
    auto merge = [&](int, int64_t r) {
      Buffer<ValueNeighbor> all(static_cast<size_t>(splits * k_));
      int64_t found = 0;
      for (int64_t s = 0; s < splits; ++s)
        for (int64_t i = 0; i < counts[r * splits + s]; ++i) {
          const KeyId key_id = kept[(r * splits + s) * k_ + i];
          const int64_t at = columns_ * s / splits + key_id.position();
          all[found++] = {{key_id.key_bits(), at}, at};
        }
      write_by_id(r, all.get(), std::min(found, k_), found);
    };
    parallel_for(args_.exec.threads, args_.m, args_.exec.interrupted, merge);
  }

  // Ids may come in any order, so that the id decides ties.
  void select_by_id(int worker, int64_t row) const {
    const int64_t capacity = topk_capacity(k_, columns_);
    Buffer<ValueNeighbor> memory(static_cast<size_t>(capacity));
    float threshold;
    TopK<ValueNeighbor> top;
    top.begin(memory.get(), k_, capacity, &threshold);
    int64_t polled = 0;
    for (int64_t p = 0; p < args_.parts; ++p) {
      const float* values = args_.values + p * args_.part_stride + row * args_.row_stride;
      const int64_t* ids = args_.ids + p * args_.ids_part_stride + row * args_.ids_row_stride;
      for (int64_t first = 0; first < args_.n; first += kPollColumns) {
        const int64_t at = p * args_.n + first;
        if (at - polled >= kPollColumns) poll(worker), polled = at;
        for (int64_t c = first; c < std::min(args_.n, first + kPollColumns); ++c)
          if (ids[c] >= 0) top.push({{key_bits_of(args_.largest ? -values[c] : values[c]), ids[c]}, p * args_.n + c});
      }
    }
    const int64_t found = top.finish();
    write_by_id(row, memory.get(), found, found);
  }

  void write_by_id(int64_t row, ValueNeighbor* all, int64_t kept, int64_t found) const {
    std::partial_sort(all, all + kept, all + found);
    for (int64_t i = 0; i < kept; ++i) write(row, i, all[i].at, all[i].id);
    write_missing(row, kept);
  }

  const SelectKArgs& args_;
  const int64_t columns_, k_;
  mutable std::atomic<bool> stopped_{false};
};

}  // namespace

void select_k(const SelectKArgs& args) {
  if (args.m == 0 || args.k == 0) return;
  if (args.parts * args.n == 0) {
    for (int64_t i = 0; i < args.m * args.k; ++i) {
      args.out_values[i] = args.largest ? -INFINITY : INFINITY;
      args.out_ids[i] = -1;
    }
    return;
  }
  Selection(args).run();
}

}  // namespace annk::ANNK_ISA
