// SPDX-License-Identifier: Apache-2.0
// Queries as a scan reads them: widened (or copied), zero-padded to whole chunks and whole tiles, with their terms.
#pragma once
#include "cuda/device/workspace.h"
#include "cuda/distance/store_scan.h"

namespace annk::cuda {

// How one operation scans: the arithmetic, the shape, how many queries a launch takes.
struct ScanPlan {
  Family family = Family::dot;
  bool wide = false;
  int64_t launch_queries = 0;  // of the largest launch; the others have fewer
  int64_t pitch = 0;           // bytes of a prepared query
  int32_t chunks = 1, query_words = 1;
  int64_t decoded_rows = 0;          // rows of a store that are decoded at a time; 0: the kernels read the base as it is
  const StoreScan* store = nullptr;  // of Family::store
  int64_t decoded_bytes = 0;         // of such a row
  ScanShape shape() const { return store != nullptr ? store->shapes[wide ? 1 : 0] : scan_shape(wide); }
  int64_t tile_queries() const { return shape().queries(); }
};
ScanPlan plan_scan(const Matrix& queries, const Dataset& base, Metric metric, int64_t most_queries);
// For scan_pairs, of so many pairs.
ScanPlan plan_pairs(const Matrix& queries, const Dataset& base, Metric metric, int64_t most_queries, int64_t pairs);
// For keys of chosen rows in graphs: a store that has no kernels for them (StoreScan) is decoded.
ScanPlan plan_graph_keys(const Matrix& queries, const Dataset& base, Metric metric, int64_t most_queries, int64_t rows);
// Rows and queries whose keys wait for a selection of k.
KeyChunk plan_chunk(const Matrix& queries, const Dataset& base, Metric metric, int64_t k);
// Splits of base rows among the blocks of a launch; of a store that is decoded, none larger than what is decoded at a time.
Splits splits_of(const ScanPlan& plan, int64_t query_tiles, int64_t rows);

// The workspace of the prepared queries of one launch.
struct Prepared {
  unsigned char* rows = nullptr;
  uint32_t* words = nullptr;
  unsigned char* decoded = nullptr;
};
Prepared take_prepared(Workspace& workspace, const ScanPlan& plan);

// The arguments of a scan of m prepared queries, of which the first is number `begin`, over the whole base.
ScanArgs scan_of(const ScanPlan& plan, const Prepared& to, const Dataset& base, Metric metric, int64_t begin, int64_t m);

// Enqueues the preparation of queries [begin, begin + m), and gives scan_of them.
ScanArgs prepare(const ScanPlan& plan, const Prepared& to, const Matrix& queries, const Dataset& base, Metric metric,
                 int64_t begin, int64_t m, void* stream);

// Enqueues the scan that those arguments, completed by the caller, describe, with an epilogue. Rows to be decoded are
// decoded and scanned by turns.
void scan(const ScanPlan& plan, const ScanArgs& args, const AnyEpilogue& epilogue, void* stream);
void scan_pairs(const ScanPlan& plan, const PairArgs& args, void* stream);

}  // namespace annk::cuda
