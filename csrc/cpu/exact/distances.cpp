// SPDX-License-Identifier: Apache-2.0
#include "ops/distances.h"

#include "cpu/exact/scan.h"
#include "cpu/ops.h"

namespace annk::ANNK_ISA {
namespace {

// Keys of the named rows of query q, kRowBlock at a time. False: one of them holds NaN or infinity.
bool distances_of(const DistancesArgs& args, const DistanceComputer& computer, int64_t q, ScanScratch& scratch) {
  bool fit = true;
  const PackedQueries query = computer.pack_query(q, 1, scratch.queries.get());
  const int64_t* ids = args.ids + q * args.width;
  for (int64_t at = 0; at < args.width;) {
    RowList rows{scratch.ids.get(), 0, 0};
    const int64_t from = at;
    for (; at < args.width && rows.count < kRowBlock; ++at)
      if (ids[at] >= 0) scratch.ids[rows.count++] = ids[at];
    if (rows.count > 0) fit = computer.score_rows(query, 1, rows, scratch.keys.get(), kRowBlock) && fit;
    const float* key = scratch.keys.get();
    for (int64_t i = from; i < at; ++i) {
      if (ids[i] >= 0)
        write_key(args.metric, args.distances, q * args.width + i, *key++);
      else
        write_missing_distance(args.metric, args.distances, q * args.width + i);
    }
  }
  return fit;
}

}  // namespace

void distances(const DistancesArgs& args) {
  BadRow bad(args.bad_row);
  if (args.queries.rows == 0 || args.width == 0) return;
  const auto computer = make_distance_computer(args.base, args.queries, args.metric);
  ScanPlan plan;
  plan.row_major = true;
  plan.block = 1;
  constexpr int64_t kQueriesATask = 8;
  auto task = [&](int, int64_t t) {
    ScanScratch scratch(*computer, plan);
    const int64_t end = std::min(args.queries.rows, (t + 1) * kQueriesATask);
    for (int64_t q = t * kQueriesATask; q < end; ++q)
      if (!distances_of(args, *computer, q, scratch) && bad.is_asked()) bad.note();
  };
  parallel_for(args.exec.threads, (args.queries.rows + kQueriesATask - 1) / kQueriesATask, args.exec.interrupted, task);
  bad.report(args.base, args.exec);
}

}  // namespace annk::ANNK_ISA
