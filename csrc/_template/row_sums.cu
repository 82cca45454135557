// SPDX-License-Identifier: Apache-2.0
#include "_template/row_sums.h"
#include "cuda/device/device.cuh"

namespace annk {
namespace {

using namespace cuda;

constexpr int kThreads = 256;
constexpr int kStage = 32;  // dimensions that a warp holds in shared memory at a time

// One lane a row, so that the chain keeps its order; a warp fetches kStage dimensions of its 32 rows together, so that
// reads are whole 128-byte lines. The padding column keeps lanes on different banks.
__global__ void __launch_bounds__(kThreads) sum_rows(Matrix x, float* sums) {
  ANNK_SHARED(float, stage, [kThreads / kWarp][kWarp][kStage + 1]);
  const int lane = lane_id(), warp = warp_id();
  const int64_t first = (static_cast<int64_t>(blockIdx.x) * (kThreads / kWarp) + warp) * kWarp;
  float sum = 0.0f;
  for (int64_t j = 0; j < x.dims; j += kStage) {
    for (int r = 0; r < kWarp; ++r) {
      const bool inside = first + r < x.rows && j + lane < x.dims;
      stage[warp][r][lane] = inside ? reinterpret_cast<const float*>(x.row(first + r))[j + lane] : 0.0f;
    }
    __syncwarp();
    for (int c = 0; c < kStage && j + c < x.dims; ++c) sum += stage[warp][lane][c];
    __syncwarp();
  }
  if (first + lane < x.rows) sums[first + lane] = sum;
}

}  // namespace

void row_sums(const RowSumsArgs& args) {
  if (args.x.rows == 0) return;
  ANNK_LAUNCH(sum_rows, ceil_div<int64_t>(args.x.rows, kThreads), kThreads, 0, args.exec.stream, args.x, args.sums);
}

}  // namespace annk
