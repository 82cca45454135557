// SPDX-License-Identifier: Apache-2.0
#include "cuda/distance/arith.cuh"
#include "cuda/prefilter/prefilter.h"

namespace annk::cuda {
namespace {

constexpr int kThreads = 128;

struct OperandArgs {
  PrefilterArgs call;
  unsigned char* operands;  // those of the call
};

// Sum over the block, for all its threads.
__device__ float block_sum(float value) {
  ANNK_SHARED(float, parts, [kThreads / kWarp]);
  value = warp_sum(value);
  if (lane_id() == 0) parts[warp_id()] = value;
  __syncthreads();
  float sum = 0.0f;
#pragma unroll
  for (int w = 0; w < kThreads / kWarp; ++w) sum += parts[w];
  __syncthreads();
  return sum;
}

// Of positive values, as the words of floats.
__device__ uint32_t block_largest(uint32_t value) {
  ANNK_SHARED(uint32_t, parts, [kThreads / kWarp]);
  value = __reduce_max_sync(kAllLanes, value);
  if (lane_id() == 0) parts[warp_id()] = value;
  __syncthreads();
  uint32_t largest = 0;
#pragma unroll
  for (int w = 0; w < kThreads / kWarp; ++w) largest = parts[w] > largest ? parts[w] : largest;
  return largest;
}

// The nearest operand, stored; returns its value. What does not fit a half is larger than the norms that are prefiltered;
// what is smaller than a normal half becomes zero, which the measured error shows.
__device__ __forceinline__ float store_operand(float* to, float x) {
  const uint32_t rounded = (bits_of_float(x) + 0x1000u) & ~0x1fffu;
  *to = float_of_bits(rounded);
  return float_of_bits(rounded);
}
__device__ __forceinline__ float store_operand(Half* to, float x) {
  const uint32_t rounded = (bits_of_float(x) + 0x1000u) & ~0x1fffu, exponent = rounded >> 23 & 255u;
  const bool there = exponent >= 113 && exponent < 143;
  const uint32_t magnitude = (exponent - 112) << 10 | (rounded >> 13 & 1023u);
  to->bits = static_cast<uint16_t>(there ? (rounded >> 16 & 0x8000u) | magnitude : 0);
  return there ? float_of_bits(rounded) : 0.0f;
}
__device__ __forceinline__ float store_operand(Bfloat16* to, float x) {
  const uint32_t rounded = (bits_of_float(x) + 0x8000u) & 0xffff0000u;
  to->bits = static_cast<uint16_t>(rounded >> 16);
  return float_of_bits(rounded);
}

// A block per query: its operand (float32: rounded to the bits that tensor cores read; halves: scaled to just below 2^15,
// so that none overflows and small ones keep their digits), its facts, and what lets all rows of the first level survive.
template <class T>
__global__ void __launch_bounds__(kThreads) make_floats(const OperandArgs a) {
  const int64_t query = blockIdx.x, dims = a.call.operand_pitch / static_cast<int64_t>(sizeof(T));
  const float* from = reinterpret_cast<const float*>(a.call.queries + query * a.call.query_pitch);
  T* to = reinterpret_cast<T*>(a.operands + query * a.call.operand_pitch);
  float scale = 1.0f;
  if constexpr (sizeof(T) == 2 && !std::is_same_v<T, Bfloat16>) {
    uint32_t largest = 0;
    for (int64_t j = threadIdx.x; j < dims; j += kThreads) {
      const uint32_t word = bits_of_float(absolute(from[j]));
      largest = word > largest ? word : largest;
    }
    const uint32_t exponent = block_largest(largest) >> 23;
    if (exponent > 60 && exponent < 200) scale = float_of_bits((254u + 14u - exponent) << 23);
  }
  float squared = 0.0f, operand_squares = 0.0f, error = 0.0f;
  for (int64_t j = threadIdx.x; j < dims; j += kThreads) {
    const float x = from[j], scaled = x * scale, operand = store_operand(to + j, scaled), missing = scaled - operand;
    squared = multiply_add(x, x, squared);
    operand_squares = multiply_add(operand, operand, operand_squares);
    error = multiply_add(missing, missing, error);
  }
  squared = block_sum(squared);
  operand_squares = block_sum(operand_squares);
  error = block_sum(error);
  if (threadIdx.x != 0) return;
  a.call.facts[query] = {squared, sqrtf(operand_squares), sqrtf(error), scale};
  a.call.thresholds[query] = {0.0f, 0.0f, NAN, 0.0f};
  a.call.counts[query] = 0;
}

// The facts alone: prepared bytes are operands.
template <class T>
__global__ void __launch_bounds__(kThreads) measure_bytes(const OperandArgs a) {
  const int64_t query = blockIdx.x;
  const T* from = reinterpret_cast<const T*>(a.call.queries + query * a.call.query_pitch);
  float squared = 0.0f;
  for (int64_t j = threadIdx.x; j < a.call.query_pitch; j += kThreads) {
    const float x = static_cast<float>(from[j]);
    squared = multiply_add(x, x, squared);
  }
  squared = block_sum(squared);
  if (threadIdx.x != 0) return;
  const float norm = sqrtf(squared);
  a.call.facts[query] = {squared, norm, 0.0f, a.call.metric == Metric::cosine ? norm : 1.0f};
  a.call.thresholds[query] = {0.0f, 0.0f, NAN, 0.0f};
  a.call.counts[query] = 0;
}

int64_t row_bytes_of(const Matrix& x) { return x.dims * kDTypeBits[static_cast<int>(x.dtype)] / 8; }

}  // namespace

bool can_prefilter(const Matrix& base, const Matrix& queries, Metric metric, int64_t k) {
  const DType dtype = base.dtype;
  const bool floats = dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
  const bool bytes = (dtype == DType::i8 || dtype == DType::u8) && queries.dtype == dtype;
  const bool dots = metric == Metric::inner_product || metric == Metric::cosine || metric == Metric::sqeuclidean ||
                    metric == Metric::euclidean;
  const bool aligned = reinterpret_cast<uintptr_t>(base.data) % 16 == 0 && base.stride % 16 == 0;
  return (floats || bytes) && dots && aligned && k >= 1 && k <= kListMax && base.dims <= kPrefilterDims &&
         base.rows + kRowTile <= most_candidates;
}

Prefilter take_prefilter(Workspace& workspace, const ScanPlan& plan, const Matrix& base, int64_t k) {
  Prefilter s;
  s.queries = plan.launch_queries;
  s.k = k;
  s.capacity = prefilter_capacity(k);
  s.family = plan.family;
  const int64_t bytes = row_bytes_of(base);
  s.chunks = bytes > 0 ? static_cast<int32_t>(ceil_div<int64_t>(bytes, 64)) : 1;
  if (s.family != Family::integer) s.operands = workspace.take<unsigned char>(s.queries * s.chunks * 64);
  s.facts = workspace.take<QueryFacts>(s.queries);
  s.thresholds = workspace.take<Threshold>(s.queries);
  s.counts = workspace.take<uint32_t>(s.queries);
  s.candidates = workspace.take<uint32_t>(s.queries * s.capacity);
  return s;
}

void make_operands(const PrefilterArgs& a, unsigned char* operands, void* stream) {
  const OperandArgs args{a, operands};
  switch (a.rows.dtype) {
    case DType::f32:
      ANNK_LAUNCH(make_floats<float>, a.m, kThreads, 0, stream, args);
      return;
    case DType::f16:
      ANNK_LAUNCH(make_floats<Half>, a.m, kThreads, 0, stream, args);
      return;
    case DType::bf16:
      ANNK_LAUNCH(make_floats<Bfloat16>, a.m, kThreads, 0, stream, args);
      return;
    case DType::i8:
      ANNK_LAUNCH(measure_bytes<int8_t>, a.m, kThreads, 0, stream, args);
      return;
    case DType::u8:
      ANNK_LAUNCH(measure_bytes<uint8_t>, a.m, kThreads, 0, stream, args);
      return;
    case DType::bits:
      break;
  }
  no_kernel("element type");
}

void prefilter(const Prefilter& plan, const ScanArgs& scan, const Filter& filter, const NeighborOut& out, void* stream) {
  PrefilterArgs a;
  a.filter = filter;
  a.metric = scan.metric;
  a.query_begin = scan.query_begin;
  a.m = scan.m;
  a.k = static_cast<int32_t>(plan.k);
  a.chunks = plan.chunks;
  a.query_tiles = static_cast<int32_t>(ceil_div<int64_t>(scan.m, kPrefilterQueries));
  a.capacity = plan.capacity;
  a.queries = scan.queries;
  a.query_words = scan.query_words;
  a.query_pitch = scan.query_pitch;
  const bool as_floats = plan.family != Family::integer;
  a.operands = as_floats ? plan.operands : scan.queries;
  a.operand_pitch = as_floats ? a.chunks * int64_t{64} : scan.query_pitch;
  a.facts = plan.facts;
  a.thresholds = plan.thresholds;
  a.counts = plan.counts;
  a.candidates = plan.candidates;
  a.rows = scan.base;
  a.row_bytes = row_bytes_of(scan.base);
  make_operands(a, plan.operands, stream);
  int64_t step = 1;
  while (ceil_div(scan.base.rows, step) > plan.capacity) step *= kPrefilterStep;
  for (; step >= 1; step /= kPrefilterStep) {
    a.step = step;
    a.rows.rows = ceil_div(scan.base.rows, step);
    a.rows.stride = scan.base.stride * step;
    a.splits = splits_for(a.query_tiles, a.rows.rows);
    find_candidates(a, stream);
    rank_candidates(a, plan.family, step == 1 ? &out : nullptr, stream);
  }
}

}  // namespace annk::cuda
