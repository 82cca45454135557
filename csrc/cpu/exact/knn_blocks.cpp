// SPDX-License-Identifier: Apache-2.0
// A base that comes in blocks: what one call would forget between two of its chunks stays in the carry, the packed queries
// and each query's entries and threshold, so that a block costs what its rows cost.
#include "cpu/exact/knn_sink.h"

namespace annk::ANNK_ISA {
namespace {

constexpr int64_t kManyRows = int64_t{1} << 40;       // in all blocks: nobody knows
constexpr int64_t kMostPositions = int64_t{1} << 32;  // that entries can tell apart
constexpr int64_t kChunksATask = 16;                  // 8 MB of rows; work can be stopped between tasks

// One block of queries, and the rows of some of the tasks: all of them, or every other one where there are more workers than
// blocks of queries.
class Share : public BlockTops {
 public:
  Share(const DistanceComputer& computer, const ScanPlan& plan, int64_t k)
      : BlockTops(plan, computer.lanes, k, kManyRows), queries_(ScanScratch::bytes_of_queries(computer, plan)) {}

  void begin(int64_t, int64_t) {}

  void scan(const DistanceComputer& computer, const ScanPlan& plan, const Filter& filter, int64_t block, int64_t first,
            int64_t end, ScanScratch& scratch, BadRow& bad) {
    scratch.queries.swap(queries_);
    scratch.packed = packed_;
    for (int64_t chunk = first; chunk < end && !bad.noted(); ++chunk)
      scan_task(computer, plan, filter, block * plan.chunks + chunk, scratch, *this, bad);
    packed_ = scratch.packed;
    scratch.queries.swap(queries_);
  }

 private:
  Buffer<char> queries_;
  PackedBlock packed_;  // in queries_
};

class Carry : public KnnCarry {
 public:
  Carry(const KnnArgs& args, const DistanceComputer& computer)
      : KnnCarry{[](KnnCarry* self) { delete static_cast<Carry*>(self); }},
        threads_(args.exec.threads),
        plan_(plan_knn(args, computer, kManyRows, args.k)),
        origin_(args.first_id),
        partials_(plan_.blocks) {
    const int64_t workers = workers_for(threads_, INT64_MAX);
    sharers_ = plan_.blocks >= 4 * workers || plan_.blocks % workers == 0 ? 1 : workers;
    plan_.workers = workers_for(threads_, tasks());
    shares_ = std::make_unique<std::unique_ptr<Share>[]>(static_cast<size_t>(tasks()));
    for (int64_t task = 0; task < tasks(); ++task) shares_[task] = std::make_unique<Share>(computer, plan_, args.k);
    restart();
    scratches_ = std::make_unique<std::unique_ptr<ScanScratch>[]>(static_cast<size_t>(plan_.workers));
    for (int w = 0; w < plan_.workers; ++w) scratches_[w] = std::make_unique<ScanScratch>(computer, plan_, 0);
  }

  // False: a row was bad.
  bool add(const KnnArgs& args, const DistanceComputer& computer) {
    ScanPlan plan = plan_;
    plan.rows = args.base.rows;
    if (sharers_ > 1 && plan.rows < 4 * sharers_ * plan.chunk) {  // one chunk each
      const int tile_rows = plan.row_major ? kRowBlock : computer.tile_rows * computer.tile_group;
      const int64_t even = (plan.rows + sharers_ - 1) / sharers_;
      plan.chunk = static_cast<int64_t>(round_up(static_cast<size_t>(even), static_cast<size_t>(tile_rows)));
    }
    plan.chunks = (plan.rows + plan.chunk - 1) / plan.chunk;
    BadRow bad(args.bad_row);
    // Positions must not pass 32 bits, of one very long block neither: it is a sequence of shorter ones.
    const int64_t each = kMostPositions / 2 / plan.chunk;
    for (int64_t first = 0; first < plan.chunks; first += each) {
      const int64_t end = std::min(plan.chunks, first + each), end_id = args.first_id + end * plan.chunk;
      if (end_id - origin_ >= kMostPositions) flush(args.first_id + first * plan.chunk);
      for (int64_t task = 0; task < tasks(); ++task) shares_[task]->continue_with(origin_ - args.first_id, args.filter);
      scan(args, computer, plan, first, end, bad);
    }
    return !bad.report(args.base, args.exec);
  }

  void finish(const KnnArgs& args) {
    flush(0);
    write_blocks(args, plan_, partials_);
  }

 private:
  int64_t tasks() const { return plan_.blocks * sharers_; }

  void restart() {
    for (int64_t task = 0; task < tasks(); ++task) {
      const int64_t block = task / sharers_;
      shares_[task]->restart(plan_.first_query(block), plan_.block_size(block));
    }
  }

  // All that was found becomes partial results; positions count from `origin` from now on.
  void flush(int64_t origin) {
    auto take = [&](int, int64_t task) { partials_.add(task / sharers_, shares_[task]->found(origin_)); };
    parallel_for(threads_, tasks(), nullptr, take);
    restart();
    origin_ = origin;
  }

  // Chunks [first, end): the rows of a share ascend.
  void scan(const KnnArgs& args, const DistanceComputer& computer, const ScanPlan& plan, int64_t first, int64_t end,
            BadRow& bad) {
    while (first < end && !bad.noted()) {
      const int64_t each = std::min(kChunksATask, (end - first + sharers_ - 1) / sharers_);
      auto scan_share = [&](int worker, int64_t task) {
        const int64_t from = std::min(first + task % sharers_ * each, end), to = std::min(from + each, end);
        shares_[task]->scan(computer, plan, args.filter, task / sharers_, from, to, *scratches_[worker], bad);
      };
      parallel_for(threads_, tasks(), args.exec.interrupted, scan_share);
      first += each * sharers_;
    }
  }

  const int threads_;
  ScanPlan plan_;
  int64_t sharers_ = 1;  // shares of a block of queries
  int64_t origin_;       // the id of the row at position 0
  std::unique_ptr<std::unique_ptr<Share>[]> shares_;
  std::unique_ptr<std::unique_ptr<ScanScratch>[]> scratches_;
  Partials partials_;
};

}  // namespace

void knn_block(const KnnArgs& args) {
  if (args.base.rows > 0) {
    const std::unique_ptr<const DistanceComputer> computer = make_distance_computer(args.base, args.queries, args.metric);
    if (*args.carry == nullptr) *args.carry = new Carry(args, *computer);
    if (!static_cast<Carry*>(*args.carry)->add(args, *computer)) return;
  }
  if (!args.last) return;
  if (*args.carry != nullptr) return static_cast<Carry*>(*args.carry)->finish(args);
  for (int64_t q = 0; q < args.queries.rows; ++q) write_missing(args, q, 0);
}

}  // namespace annk::ANNK_ISA
