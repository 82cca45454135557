// SPDX-License-Identifier: Apache-2.0
#include "cuda/codec/block_team.cuh"
#include "cuda/device/elements.h"
#include "cuda/distance/scan.cuh"
#include "cuda/distance/store_scan.h"
#include "cuda/stores/lvq_arith.cuh"

namespace annk::cuda {

StoreBeamSearch beam_search_lvq;
StoreJoin join_lvq;

namespace {

constexpr int kThreads = 128;

// The dimension whose code byte `at` of a prepared query multiplies.
template <int kCodeBits>
__device__ __forceinline__ int64_t dim_at(int64_t at) {
  if (kCodeBits == 8) return turbo_dim<8>(at);
  const int64_t byte = at / 32 * 16 + at % 16, high = at / 16 % 2;
  return turbo_dim<4>(byte / kTurboBytes * 2 * kTurboBytes + high * kTurboBytes + byte % kTurboBytes);
}

__device__ __forceinline__ int32_t block_sum(int32_t mine) {
  return BlockTeam<kThreads>().all(mine, [](int32_t a, int32_t b) { return a + b; });
}

// A block per query: v is the query as cpu/distance/lvq_tiles.h has it.
template <class T, int kCodeBits>
__global__ void __launch_bounds__(kThreads, 8) prepare_lvq(const StoreQueries a) {
  ANNK_SHARED(double, products, [2]);  // <q, q>, <q, mean>
  ANNK_SHARED(float, largest, [kThreads / kWarp]);
  const LvqView view(a.base);
  const RowTeam<16> half;
  const int64_t dims = blockIdx.x < a.m ? view.dims : 0;
  const T* const from = reinterpret_cast<const T*>(a.queries.row(dims > 0 ? a.begin + blockIdx.x : 0));
  const bool cosine = a.metric == Metric::cosine, dot = from_product(a.metric);
  const float offset = dot && dims > 0 ? view.offset() : 0.0f;
  if (dot && warp_id() == 0) {  // half of it adds each product
    const bool squares = lane_id() < 16;
    const double product = half.sum16(dims, [&](int64_t j) {
      return static_cast<double>(widen(from[j])) * static_cast<double>(squares ? widen(from[j]) : view.mean[j]);
    });
    if (half.lane == 0) products[squares ? 0 : 1] = product;
  }
  __syncthreads();
  const double scale = cosine ? wide_inverse_norm(products[0]) : 1.0;
  const MeanSplit split(scale, offset > 0.0f ? products[1] : 0.0, offset > 0.0f ? offset : 1.0f);
  const auto v = [&](int64_t j) {
    const float x = widen(from[j]);
    if (offset > 0.0f) return split.across(x, view.mean[j]);
    return cosine ? x * static_cast<float>(scale) : dot ? x : x - view.mean[j];
  };

  float most = 0.0f;
  for (int64_t j = threadIdx.x; j < dims; j += kThreads) most = larger(absolute(v(j)), most);
  for (int step = kWarp / 2; step > 0; step /= 2) most = larger(__shfl_xor_sync(kAllLanes, most, step), most);
  if (lane_id() == 0) largest[warp_id()] = most;
  __syncthreads();
  for (int w = 0; w < kThreads / kWarp; ++w) most = larger(largest[w], most);

  float shift = 0.0f;
  if (warp_id() == 0) {  // both halves add the same
    shift = static_cast<float>(half.sum16(dims, [&](int64_t j) {
      const double x = v(j);
      return x * (dot ? static_cast<double>(view.mean[j]) : x);
    }));
    if (offset > 0.0f && !cosine) shift = static_cast<float>(products[1]);
  }

  const float steps = most > 0.0f ? 127.0f / most : 0.0f;
  signed char* const to = reinterpret_cast<signed char*>(a.rows + static_cast<int64_t>(blockIdx.x) * a.pitch);
  int32_t sum = 0;
  for (int64_t at = threadIdx.x; at < a.pitch; at += kThreads) {
    const int64_t j = dim_at<kCodeBits>(at);
    const float steps_of_it = j < dims ? rintf(v(j) * steps) : 0.0f;
    const int code = static_cast<int>(steps_of_it > 127.0f ? 127.0f : steps_of_it < -127.0f ? -127.0f : steps_of_it);
    to[at] = static_cast<signed char>(code);
    sum += code;
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0)
    reinterpret_cast<typename LvqArith<kCodeBits>::QueryTerm*>(a.words)[blockIdx.x] = {
        {most / 127.0f, most / 127.0f * static_cast<float>(sum), shift, static_cast<float>(1.0 - split.along),
         static_cast<float>(split.along)},
        view.unit};
}

// The code of a row that byte `at` of a prepared query multiplies.
template <int kCodeBits>
__device__ __forceinline__ int code_at(const uint8_t* row, int64_t at) {
  if (kCodeBits == 8) return row[at];
  return row[at / 32 * 16 + at % 16] >> (at / 16 % 2 * 4) & 15;
}

// A block per row of the store: the row as a query under L2, where its mean would be taken off again and its norm is known
// (LvqRows::pack_row in cpu/distance/lvq_tiles.h).
template <int kCodeBits>
__global__ void __launch_bounds__(kThreads) prepare_lvq_rows(const StoreQueries a) {
  const LvqView view(a.base);
  const int64_t row = blockIdx.x < a.m ? a.rows_of_base[a.begin + blockIdx.x] : -1;
  const int64_t there = row < 0 ? 0 : view.code_bytes * (8 / kCodeBits);
  const uint8_t* const codes = view.code_row(row < 0 ? 0 : row);
  const float low = row < 0 ? 0.0f : view.low(row) * view.unit, step = row < 0 ? 0.0f : view.step(row) * view.unit;
  const float most = larger(absolute(low), absolute(low + step * static_cast<float>((1 << kCodeBits) - 1)));
  const float steps = most > 0.0f ? 127.0f / most : 0.0f, first = low * steps, each = step * steps;
  signed char* const to = reinterpret_cast<signed char*>(a.rows + static_cast<int64_t>(blockIdx.x) * a.pitch);
  int32_t sum = 0;
  for (int64_t at = threadIdx.x; at < a.pitch; at += kThreads) {
    const int code = at < there ? code_at<kCodeBits>(codes, at) : 0;
    const int number = at < there ? static_cast<int>(rintf(first + each * static_cast<float>(code))) : 0;
    to[at] = static_cast<signed char>(number);
    sum += number;
  }
  sum = block_sum(sum) - static_cast<int32_t>(row < 0 ? 0 : there - view.dims) * static_cast<int32_t>(rintf(first));
  if (threadIdx.x != 0) return;
  reinterpret_cast<typename LvqArith<kCodeBits>::QueryTerm*>(a.words)[blockIdx.x] = {
      {most / 127.0f, most / 127.0f * static_cast<float>(sum), row < 0 ? 0.0f : view.norms[row].squared, 1.0f, 0.0f},
      view.unit};
}

template <int kCodeBits>
void prepare_rows(const StoreQueries& a, void* stream) {
  ANNK_LAUNCH((prepare_lvq_rows<kCodeBits>), a.padded, kThreads, 0, stream, a);
}

template <int kCodeBits>
void prepare_queries(const StoreQueries& a, void* stream) {
  visit_element(a.queries.dtype,
                [&]<class T>(T) { ANNK_LAUNCH((prepare_lvq<T, kCodeBits>), a.padded, kThreads, 0, stream, a); });
}

template <int kCodeBits>
Matrix code_rows(const Dataset& store) {
  const int64_t bytes = turbo_bytes(store.dims, kCodeBits);
  return {LvqView(store).codes, store.rows, bytes * 8 / kCodeBits, bytes, DType::u8};
}

template <int kCodeBits>
StoreChunk chunk_of(const Dataset&, bool wide) {
  const int64_t dims = row_chunk_bytes(wide, kCodeBits, false) * 8 / kCodeBits;
  return {dims, dims};
}

// kRows: of rows as queries, too.
template <int kCodeBits, bool kRows>
constexpr StoreScan kLvqScan{sizeof(typename LvqArith<kCodeBits>::QueryTerm) / sizeof(uint32_t),
                             {scan_shape(false), scan_shape(true)},
                             chunk_of<kCodeBits>,
                             code_rows<kCodeBits>,
                             prepare_queries<kCodeBits>,
                             kScanKernels<LvqRows>,
                             beam_search_lvq,
                             join_lvq,
                             kRows ? prepare_rows<kCodeBits> : nullptr};

}  // namespace

const StoreScan* lvq_scan(const Dataset& store, Metric metric) {
  if (!LvqView(store).codes_are_all() || !from_dot(metric)) return nullptr;
  if (metric == Metric::sqeuclidean) return LvqView::bits_of(store) == 8 ? &kLvqScan<8, true> : &kLvqScan<4, true>;
  return LvqView::bits_of(store) == 8 ? &kLvqScan<8, false> : &kLvqScan<4, false>;
}

}  // namespace annk::cuda
