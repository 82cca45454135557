// SPDX-License-Identifier: Apache-2.0
#include "cuda/device/device.cuh"
#include "ops/first_nonfinite.h"

namespace annk {
namespace {

using namespace cuda;

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 1024;

// As an unsigned number the -1 of "none" is the largest, so the smallest row wins by atomicMin.
using Row = unsigned long long;

__global__ void start(Row* row) { *row = ~Row{0}; }

// All exponent bits set: NaN or infinity. A word holds two 16-bit values where kPairs.
template <bool kPairs>
__device__ __forceinline__ bool bad(uint32_t word, uint32_t exponent) {
  const uint32_t high = exponent << 16;
  return (word & exponent) == exponent || (kPairs && (word & high) == high);
}

// Rows of whole, aligned 16-byte pieces, one warp a row at a time.
template <bool kPairs>
__global__ void __launch_bounds__(kThreads) look_by_pieces(Matrix x, int64_t pieces, uint32_t exponent, Row* row) {
  const int64_t warps = static_cast<int64_t>(gridDim.x) * (kThreads / kWarp);
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * (kThreads / kWarp) + warp_id(); i < x.rows; i += warps) {
    const uint4* from = reinterpret_cast<const uint4*>(x.row(i));
    bool found = false;
#pragma unroll 4
    for (int64_t j = lane_id(); j < pieces; j += kWarp) {
      const uint4 piece = from[j];  // all words are checked, so that they come in one load
      found = found | bad<kPairs>(piece.x, exponent) | bad<kPairs>(piece.y, exponent) | bad<kPairs>(piece.z, exponent) |
              bad<kPairs>(piece.w, exponent);
    }
    if (__any_sync(kAllLanes, found) && lane_id() == 0) atomicMin(row, static_cast<Row>(i));
  }
}

template <class Word>
__global__ void __launch_bounds__(kThreads) look_by_elements(Matrix x, uint32_t exponent, Row* row) {
  const int64_t warps = static_cast<int64_t>(gridDim.x) * (kThreads / kWarp);
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * (kThreads / kWarp) + warp_id(); i < x.rows; i += warps) {
    const Word* from = reinterpret_cast<const Word*>(x.row(i));
    bool found = false;
    for (int64_t j = lane_id(); j < x.dims; j += kWarp) found = found || bad<false>(from[j], exponent);
    if (__any_sync(kAllLanes, found) && lane_id() == 0) atomicMin(row, static_cast<Row>(i));
  }
}

}  // namespace

void first_nonfinite(const FirstNonfiniteArgs& args) {
  const Matrix& x = args.x;
  void* stream = args.exec.stream;
  Row* row = reinterpret_cast<Row*>(args.row);
  ANNK_LAUNCH(start, 1, 1, 0, stream, row);
  const bool wide = x.dtype == DType::f32;
  if ((!wide && x.dtype != DType::f16 && x.dtype != DType::bf16) || x.rows == 0 || x.dims == 0) return;

  const uint32_t exponent = wide ? 0x7f800000u : x.dtype == DType::f16 ? 0x7c00u : 0x7f80u;
  const int64_t row_bytes = x.dims * (wide ? 4 : 2);
  const bool pieces = reinterpret_cast<uintptr_t>(x.data) % 16 == 0 && x.stride % 16 == 0 && row_bytes % 16 == 0;
  const int64_t blocks = ceil_div<int64_t>(x.rows, kThreads / kWarp);
  const int64_t grid = blocks < kMostBlocks ? blocks : kMostBlocks;
  if (pieces && wide) {
    ANNK_LAUNCH(look_by_pieces<false>, grid, kThreads, 0, stream, x, row_bytes / 16, exponent, row);
  } else if (pieces) {
    ANNK_LAUNCH(look_by_pieces<true>, grid, kThreads, 0, stream, x, row_bytes / 16, exponent, row);
  } else if (wide) {
    ANNK_LAUNCH(look_by_elements<uint32_t>, grid, kThreads, 0, stream, x, exponent, row);
  } else {
    ANNK_LAUNCH(look_by_elements<uint16_t>, grid, kThreads, 0, stream, x, exponent, row);
  }
}

}  // namespace annk
