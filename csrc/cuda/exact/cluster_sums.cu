// SPDX-License-Identifier: Apache-2.0
#include "core/numeric.h"
#include "core/parts.h"
#include "cuda/device/device.cuh"
#include "cuda/device/elements.h"
#include "ops/cluster_sums.h"

namespace annk {
namespace {

using namespace cuda;
using namespace ANNK_ISA;

constexpr int kThreads = 32;  // columns of a block: few, so that many SMs have some
constexpr int kAhead = 8;     // rows in flight

// A thread per column: the order of its additions is that of the rows. The first column of a part counts for it.
template <class T>
__global__ void __launch_bounds__(kThreads) sum_columns(const ClusterSumsArgs a) {
  const int64_t j = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (j >= a.x.dims) return;
  const Parts parts{a.x.dims, a.parts};
  int64_t part = j / parts.widest();
  while (j >= parts.first(part) + parts.width(part)) ++part;
  const bool counts = j == parts.first(part);
  for (int64_t c = 0; c < a.clusters; ++c) {
    a.sums[c * a.x.dims + j] = 0.0;
    if (counts) a.counts[part * a.clusters + c] = 0;
  }
  for (int64_t i = 0; i < a.x.rows; i += kAhead) {
    float x[kAhead];
    int64_t label[kAhead];
#pragma unroll
    for (int r = 0; r < kAhead; ++r) {
      const int64_t row = i + r < a.x.rows ? i + r : i;
      x[r] = widen(reinterpret_cast<const T*>(a.x.row(row))[j]);
      label[r] = a.labels != nullptr ? a.labels[row] : a.codes[row * a.parts + part];
    }
#pragma unroll
    for (int r = 0; r < kAhead; ++r) {
      if (i + r >= a.x.rows) break;
      a.sums[label[r] * a.x.dims + j] += static_cast<double>(x[r]);
      if (counts) ++a.counts[part * a.clusters + label[r]];
    }
  }
}

}  // namespace

void cluster_sums(const ClusterSumsArgs& args) {
  if (args.x.dims == 0) return;
  visit_element(args.x.dtype, [&]<class T>(T) {
    ANNK_LAUNCH(sum_columns<T>, ceil_div<int64_t>(args.x.dims, kThreads), kThreads, 0, args.exec.stream, args);
  });
}

}  // namespace annk
