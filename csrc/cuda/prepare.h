// SPDX-License-Identifier: Apache-2.0
// Queries as a scan reads them: widened (or copied), zero-padded to whole chunks and whole tiles, with their terms.
#pragma once
#include "cuda/scan.h"
#include "cuda/workspace.h"

namespace annk::cuda {

// How one operation scans: the arithmetic, the shape, how many queries a launch takes.
struct ScanPlan {
  Family family = Family::dot;
  bool wide = false;
  int64_t launch_queries = 0;  // of the largest launch; the others have fewer
  int64_t pitch = 0;           // bytes of a prepared query
  int32_t chunks = 1;
};
ScanPlan plan_scan(const Matrix& queries, const Matrix& base, Metric metric, int64_t most_queries);

// The workspace of the prepared queries of one launch.
struct Prepared {
  unsigned char* rows = nullptr;
  uint32_t* words = nullptr;
};
Prepared take_prepared(Workspace& workspace, const ScanPlan& plan);

// Enqueues the preparation of queries [begin, begin + m), and gives the arguments of a scan over them and the whole base.
ScanArgs prepare(const ScanPlan& plan, const Prepared& to, const Matrix& queries, const Matrix& base, Metric metric,
                 int64_t begin, int64_t m, void* stream);

// Runs the scan that those arguments, completed by the caller, describe.
void scan(const ScanPlan& plan, const ScanArgs& args, void* stream);

}  // namespace annk::cuda
