// SPDX-License-Identifier: Apache-2.0
// An epilogue that the library does not have: what an operation brings that makes something else of a scan's keys.
#include <vector>

#include "cuda/distance/prepare.h"
#include "cuda/distance/scan.cuh"
#include "nearest_of_documents.h"

namespace check {
namespace {

using namespace annk;
using namespace annk::cuda;

struct NearestOfDocument {
  static constexpr bool kBySplits = false;
  uint32_t* nearest;
  int64_t documents, rows_each;

  static int64_t shared_bytes(const ScanShape&) { return 0; }
  NearestOfDocument part(const ScanArgs&, int64_t, int64_t) const { return *this; }

  template <class, ScanShape kShape>
  struct OfWarp {
    const NearestOfDocument& e;
    const ScanWarp<kShape>& warp;

    __device__ OfWarp(const NearestOfDocument& of, const ScanWarp<kShape>& w, unsigned char*) : e(of), warp(w) {}
    __device__ void take(const WarpKeys<kShape>& keys, int row) const {
      for (int q = 0; q < warp.queries; ++q)
        for (int r = 0; r < kShape.rows_per_lane; ++r) {
          const int64_t at = row + r * kWarp, document = (warp.begin + at) / e.rows_each;
          if (at < warp.rows) atomicMin(e.nearest + (warp.query0 + q) * e.documents + document, keys[q][r]);
        }
    }
    __device__ void finish() const {}
  };
};

}  // namespace

void nearest_of_documents(const Matrix& queries, const Matrix& base, int64_t rows_each, uint32_t* nearest) {
  const ScanPlan plan = plan_scan(queries, base, Metric::sqeuclidean, queries.rows);
  Workspace counted;
  take_prepared(counted, plan);
  std::vector<uint4> memory(static_cast<size_t>(counted.bytes() + 15) / 16 + 16);
  Exec exec;
  const auto start = (reinterpret_cast<uintptr_t>(memory.data()) + 255) / 256 * 256;
  exec.workspace = reinterpret_cast<void*>(start);
  exec.workspace_bytes = counted.bytes();
  Workspace workspace(exec);
  const ScanArgs args =
      prepare(plan, take_prepared(workspace, plan), queries, base, Metric::sqeuclidean, 0, queries.rows, nullptr);
  const NearestOfDocument epilogue{nearest, ceil_div(base.rows, rows_each), rows_each};
  using Arith = FloatArith<SqEuclidean, float>;
  plan.wide ? launch_scan<Arith, true>(args, epilogue, nullptr) : launch_scan<Arith, false>(args, epilogue, nullptr);
}

}  // namespace check
