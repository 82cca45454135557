// SPDX-License-Identifier: Apache-2.0
#include "ops/pairwise.h"

#include "cpu/exact/scan.h"
#include "cpu/ops.h"

namespace annk::ANNK_ISA {
namespace {

// Every key goes to its place in the matrix.
class PairwiseSink {
 public:
  explicit PairwiseSink(const PairwiseArgs& args) : args_(args) {}
  void begin(int64_t, int64_t) {}
  void tile(const RowList& rows, int64_t first_query, int count, const float* keys, int stride) {
    for (int q = 0; q < count; ++q) {
      const int64_t at = (first_query + q) * args_.base.rows + rows[0];
      for (int r = 0; r < rows.count; ++r) write_key(args_.metric, args_.distances, at + r, keys[r * stride + q]);
    }
  }
  void column(const RowList& rows, int64_t query, const float* keys) {
    const int64_t at = query * args_.base.rows + rows[0];
    for (int r = 0; r < rows.count; ++r) write_key(args_.metric, args_.distances, at + r, keys[r]);
  }
  void flush() {}
  const float* limits() const { return nullptr; }

 private:
  const PairwiseArgs& args_;
};

}  // namespace

void pairwise(const PairwiseArgs& args) {
  BadRow bad(args.bad_row);
  if (args.base.rows == 0 || args.queries.rows == 0) return;
  const auto computer = make_distance_computer(args.base, args.queries, args.metric);
  const ScanPlan plan = plan_scan(*computer, args.base.rows, args.queries.rows, computer->row_bytes, args.exec.threads,
                                  args.queries.rows, args.base.rows);
  run_scan(*computer, plan, Filter{}, args.exec, bad, [&] { return new PairwiseSink(args); });
  bad.report(args.base, args.exec);
}

}  // namespace annk::ANNK_ISA
