// SPDX-License-Identifier: Apache-2.0
#include "ops/knn.h"

#include "cpu/exact/knn_sink.h"

namespace annk::ANNK_ISA {
namespace {

// A worker's: what it finds in a run of adjacent chunks is a partial result.
class KnnSink : public BlockTops {
 public:
  KnnSink(const KnnArgs& args, const ScanPlan& plan, int lanes, int64_t k, Partials& partials)
      : BlockTops(plan, lanes, k, plan.rows), filter_(args.filter), plan_(plan), partials_(partials) {}

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
    restart(plan_.first_query(block), plan_.block_size(block));
    continue_with(first_row_, filter_);
  }

  void flush() {
    if (block_ >= 0) partials_.add(block_, found(first_row_));
    block_ = -1;
  }

 private:
  const Filter filter_;
  const ScanPlan& plan_;
  Partials& partials_;
  int64_t block_ = -1, chunk_ = -1, first_row_ = 0;
};

void knn_with(const KnnArgs& args, const DistanceComputer& computer) {
  const int64_t n = args.base.rows, k = std::min(args.k, n);
  const ScanPlan plan = plan_knn(args, computer, n, k);
  Partials partials(plan.blocks);
  BadRow bad(args.bad_row);
  run_scan(computer, plan, args.filter, args.exec, bad,
           [&] { return new KnnSink(args, plan, computer.lanes, k, partials); });
  if (!bad.report(args.base, args.exec)) write_blocks(args, plan, partials);
}

}  // namespace

void knn(const KnnArgs& args) {
  if (args.k == 0 || args.queries.rows == 0) return;
  if (args.carry != nullptr) return knn_block(args);
  if (args.base.rows == 0) {
    for (int64_t q = 0; q < args.queries.rows; ++q) write_missing(args, q, 0);
    return;
  }
  knn_with(args, *make_distance_computer(args.base, args.queries, args.metric));
}

}  // namespace annk::ANNK_ISA
