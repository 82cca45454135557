// SPDX-License-Identifier: Apache-2.0
// Rows of a base as queries of it, and the keys of rows against some of these: what builders of graphs ask for. The keys are
// those of ops/distances.h where one of two rows, decoded, is the query.
#pragma once
#include "cuda/distance/prepare.h"

namespace annk::cuda {

// What the row at a position is compared with: `count` prepared queries, from `slot` on. Positions [first, end) are its
// group.
struct alignas(16) JoinGroup {
  int32_t first, end, slot, count;
};

// Keys of the rows at some positions.
struct JoinArgs {
  ScanArgs scan;
  const int64_t* ids;            // (positions,) rows, negative for none
  const JoinGroup* join_groups;  // (positions,); no query where there is no row
  int64_t positions, width;
  uint32_t* sortable_keys;  // (positions, width): [p, k] = sortable_bits(key) of the row at p and query slot + k, k < count
  bool gathered = false;    // row ids[p] lies in row p
};
inline constexpr int kJoinQueries = 8;  // at a time: width is a multiple of it

class RowQueries {
 public:
  RowQueries(const Dataset& base, Metric metric);

  // Bytes of workspace for each query, and for each position.
  int64_t query_bytes() const { return plan_.pitch + plan_.query_words * 4 + pitch_; }
  int64_t position_bytes() const { return plan_.decoded_bytes; }
  void take(Workspace& workspace, int64_t queries, int64_t positions);

  // Enqueues the preparation of rows ids[0, m) of the base, negative for none.
  void prepare(const int64_t* ids, int64_t m, void* stream) const;
  // The arguments of a search towards m of them.
  const ScanPlan& plan() const { return plan_; }
  ScanArgs scan(int64_t m) const { return scan_of(plan_, prepared_, base_, metric_, 0, m); }
  // Enqueues the keys that rows have with queries prepared before. keys.scan is filled in here.
  void join(JoinArgs keys, void* stream) const;

 private:
  Dataset base_;
  Metric metric_;
  bool own_rows_;  // the store prepares its rows itself
  ScanPlan plan_;
  Prepared prepared_;
  DType dtype_;  // of the rows as queries
  int64_t pitch_;
  unsigned char* rows_ = nullptr;
};

// The kernels, a source for each way of making keys; those of stores stand in StoreScan.
void join_floats(Family family, const JoinArgs&, void* stream);
void join_codes(Family family, const JoinArgs&, void* stream);

}  // namespace annk::cuda
