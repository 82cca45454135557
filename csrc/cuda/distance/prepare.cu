// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "cuda/device/elements.h"
#include "cuda/distance/arith.cuh"
#include "cuda/distance/prepare.h"

namespace annk::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kStaged = 1024;  // dimensions of a query that wait in shared memory for the one thread that sums them

struct PrepareArgs {
  Matrix queries;
  int64_t begin, m, pitch;
  unsigned char* rows;
  uint32_t* words;
  bool by_norm;  // the metric takes inverse norms
};

// 1 / |x|: float32 multiply-adds in the chains of chain_dims, as for any row, made again in float64 where the sum has lost
// digits. One thread adds, since the order is part of the contract.
template <class T>
__device__ float scale_of(const T* x, int64_t dims) {
  ANNK_SHARED(float, staged, [kStaged]);
  ANNK_SHARED(float, scale, [1]);
  const int64_t chain = chain_dims(dims);
  float sum = 0.0f, chains = 0.0f;
  for (int64_t j0 = 0; j0 < dims; j0 += kStaged) {
    const int there = dims - j0 < kStaged ? static_cast<int>(dims - j0) : kStaged;
    for (int j = static_cast<int>(threadIdx.x); j < there; j += kThreads) staged[j] = widen(x[j0 + j]);
    __syncthreads();
    if (threadIdx.x == 0)
      for (int j = 0; j < there; ++j) {
        if (((j0 + j) & (chain - 1)) == 0) chains += sum, sum = 0.0f;
        sum = multiply_add(staged[j], staged[j], sum);
      }
    __syncthreads();
  }
  if (threadIdx.x == 0) {
    double wide = chains + sum;
    if (needs_wide_sum(chains + sum)) {
      wide = 0.0;
      for (int64_t j = 0; j < dims; ++j) wide += static_cast<double>(widen(x[j])) * static_cast<double>(widen(x[j]));
    }
    scale[0] = inverse_norm(wide);
  }
  __syncthreads();
  return scale[0];
}

// A block per query, those beyond m included, which become zero.
template <class T>
__global__ void __launch_bounds__(kThreads) prepare_widened(const PrepareArgs a) {
  float* to = reinterpret_cast<float*>(a.rows + static_cast<int64_t>(blockIdx.x) * a.pitch);
  const int64_t dims = blockIdx.x < a.m ? a.queries.dims : 0;
  const T* from = reinterpret_cast<const T*>(a.queries.row(dims > 0 ? a.begin + blockIdx.x : 0));
  const bool scaled = a.by_norm && dims > 0;
  const float scale = scaled ? scale_of(from, dims) : 1.0f;
  for (int64_t j = threadIdx.x; j < a.pitch / 4; j += kThreads) to[j] = j < dims ? widen(from[j]) * scale : 0.0f;
}

// Bytes stay as they are; the word is the squared norm, the inverse norm, or the number of set bits.
template <class T, bool kBits>
__global__ void __launch_bounds__(kThreads) prepare_bytes(const PrepareArgs a) {
  ANNK_SHARED(int32_t, sums, [kThreads / kWarp]);
  T* to = reinterpret_cast<T*>(a.rows + static_cast<int64_t>(blockIdx.x) * a.pitch);
  const int64_t bytes = blockIdx.x < a.m ? (kBits ? a.queries.dims / 8 : a.queries.dims) : 0;
  const T* from = reinterpret_cast<const T*>(a.queries.row(bytes > 0 ? a.begin + blockIdx.x : 0));
  int32_t sum = 0;
  for (int64_t j = threadIdx.x; j < a.pitch; j += kThreads) {
    const T x = j < bytes ? from[j] : T{0};
    to[j] = x;
    sum += kBits ? __popc(static_cast<unsigned>(x)) : static_cast<int32_t>(x) * static_cast<int32_t>(x);
  }
  sum = warp_sum(sum);
  if (lane_id() == 0) sums[warp_id()] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int w = 1; w < kThreads / kWarp; ++w) sum += sums[w];
  a.words[blockIdx.x] = a.by_norm ? bits_of_float(inverse_norm(sum)) : static_cast<uint32_t>(sum);
}

bool vector_loads(const Matrix& x) { return reinterpret_cast<uintptr_t>(x.data) % 16 == 0 && x.stride % 16 == 0; }

bool widens(Family family) { return family == Family::dot || family == Family::l2 || family == Family::step; }

Family family_of_call(Metric metric, DType base, DType queries, int64_t dims) {
  const bool bytes = base == queries && (base == DType::i8 || base == DType::u8) && dims <= kMostDims8Bit;
  return visit(metric, [&]<class M>(M) { return bytes && M::kFromDot ? Family::integer : family_of<M>(); });
}

int64_t padded(const ScanPlan& plan, int64_t m) {
  const int64_t queries = plan.tile_queries();
  return ceil_div(m, queries) * queries;
}

// The rows that the kernels read: those of an array, a store's own codes, or float32 rows that a store's are decoded to.
Dataset rows_read(const Dataset& base, const StoreScan* store, const void* decoded) {
  Dataset read = base;
  if (base.kind == StoreKind::array) return read;
  static_cast<Matrix&>(read) =
      store != nullptr ? store->rows(base) : Matrix{decoded, base.rows, base.dims, ceil_div<int64_t>(base.dims, 4) * 16};
  return read;
}

StoreChunk chunk_of(const ScanPlan& plan, DType dtype) {
  const int bits = kDTypeBits[static_cast<int>(dtype)];
  const int64_t dims = row_chunk_bytes(plan.wide, bits, widens(plan.family)) * 8 / bits;
  return {dims, dims * (widens(plan.family) ? 32 : bits) / 8};
}

// `rows` are read in all.
ScanPlan plan_of(const StoreScan* store, const Matrix& queries, const Dataset& base, Metric metric, int64_t most_queries,
                 bool pairs, int64_t rows) {
  ScanPlan plan;
  plan.store = store;
  const Dataset read = rows_read(base, plan.store, nullptr);
  plan.family = plan.store != nullptr ? Family::store : family_of_call(metric, read.dtype, queries.dtype, read.dims);
  plan.launch_queries = queries.rows < most_queries ? queries.rows : most_queries;
  plan.wide = !pairs && use_wide(plan.launch_queries);
  const StoreChunk chunk = plan.store != nullptr ? plan.store->chunk(base, plan.wide) : chunk_of(plan, read.dtype);
  plan.chunks = static_cast<int32_t>(read.dims > 0 ? ceil_div(read.dims, chunk.positions) : 1);
  plan.pitch = plan.chunks * chunk.query_bytes;
  const int64_t tile = plan.tile_queries(), fit = kPreparedBytes / plan.pitch / tile * tile;
  plan.launch_queries = std::min(plan.launch_queries, std::max(fit, tile));
  if (plan.store != nullptr) {
    plan.query_words = plan.store->query_words;
  } else if (base.kind != StoreKind::array) {
    plan.decoded_bytes = read.stride;
    plan.decoded_rows = decoded_rows(rows, read.stride);
  }
  return plan;
}

}  // namespace

ScanPlan plan_scan(const Matrix& queries, const Dataset& base, Metric metric, int64_t most_queries) {
  return plan_of(store_scan(base, metric), queries, base, metric, most_queries, false, base.rows);
}
ScanPlan plan_pairs(const Matrix& queries, const Dataset& base, Metric metric, int64_t most_queries, int64_t pairs) {
  return plan_of(store_scan(base, metric), queries, base, metric, most_queries, true, pairs);
}
ScanPlan plan_graph_keys(const Matrix& queries, const Dataset& base, Metric metric, int64_t most_queries, int64_t rows) {
  const StoreScan* const store = store_scan(base, metric);
  const bool serves = store != nullptr && store->serves_graphs();
  return plan_of(serves ? store : nullptr, queries, base, metric, most_queries, true, rows);
}

KeyChunk plan_chunk(const Matrix& queries, const Dataset& base, Metric metric, int64_t k) {
  return key_chunk(queries.rows, base.rows, k, plan_scan(queries, base, metric, kQueriesPerLaunch).launch_queries);
}

Splits splits_of(const ScanPlan& plan, int64_t query_tiles, int64_t rows) {
  const int64_t most = plan.decoded_rows == 0 ? kMostSplitRows : plan.decoded_rows;
  return splits_for(query_tiles, rows, most, plan.shape().rows());
}

Prepared take_prepared(Workspace& workspace, const ScanPlan& plan) {
  const int64_t rows = padded(plan, plan.launch_queries);
  Prepared to;
  to.rows = workspace.take<unsigned char>(rows * plan.pitch);
  to.words = workspace.take<uint32_t>(rows * plan.query_words);
  to.decoded = workspace.take<unsigned char>(plan.decoded_rows * plan.decoded_bytes);
  return to;
}

ScanArgs scan_of(const ScanPlan& plan, const Prepared& to, const Dataset& base, Metric metric, int64_t begin, int64_t m) {
  ScanArgs a;
  a.base = rows_read(base, plan.store, to.decoded);
  a.metric = metric;
  a.queries = to.rows;
  a.query_words = widens(plan.family) ? nullptr : to.words;
  a.query_pitch = plan.pitch;
  a.query_begin = begin;
  a.m = static_cast<int32_t>(m);
  a.row_end = base.rows;
  a.chunks = plan.chunks;
  a.query_tiles = static_cast<int32_t>(padded(plan, m) / plan.tile_queries());
  a.splits = splits_of(plan, a.query_tiles, base.rows);
  a.vector_loads = vector_loads(a.base);
  return a;
}

ScanArgs prepare(const ScanPlan& plan, const Prepared& to, const Matrix& queries, const Dataset& base, Metric metric,
                 int64_t begin, int64_t m, void* stream) {
  const bool by_norm = visit(metric, []<class M>(M) { return M::kTerm == Term::inverse_norm; });
  const PrepareArgs p{queries, begin, m, plan.pitch, to.rows, to.words, by_norm};
  const int64_t rows = padded(plan, m);
  switch (plan.family) {
    case Family::dot:
    case Family::l2:
    case Family::step:
      visit_element(queries.dtype, [&]<class T>(T) { ANNK_LAUNCH(prepare_widened<T>, rows, kThreads, 0, stream, p); });
      break;
    case Family::integer:
      if (queries.dtype == DType::i8) {
        ANNK_LAUNCH((prepare_bytes<int8_t, false>), rows, kThreads, 0, stream, p);
      } else {
        ANNK_LAUNCH((prepare_bytes<uint8_t, false>), rows, kThreads, 0, stream, p);
      }
      break;
    case Family::bits:
      ANNK_LAUNCH((prepare_bytes<uint8_t, true>), rows, kThreads, 0, stream, p);
      break;
    case Family::store:
      plan.store->prepare({queries, nullptr, base, metric, begin, m, rows, plan.pitch, plan.wide, to.rows, to.words},
                          stream);
      break;
  }
  return scan_of(plan, to, base, metric, begin, m);
}

}  // namespace annk::cuda
