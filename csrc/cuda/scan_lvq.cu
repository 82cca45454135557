// SPDX-License-Identifier: Apache-2.0
// LVQ stores by integer products, with the keys of store/lvq_tiles.h bit for bit. Codes meet the query's in the order in
// which they lie in memory; those of four bits are taken from 16 bytes as 16 low nibbles, then 16 high ones.
#include "cuda/codec.cuh"
#include "cuda/elements.h"
#include "cuda/scan.cuh"
#include "cuda/store_scan.h"
#include "store/lvq.h"

namespace annk::cuda {
namespace {

template <int kCodeBits>
struct LvqArith {
  using Element = uint8_t;
  using Operand = uint32_t;
  using Sum = int32_t;
  using Metrics = MetricList<InnerProduct, Cosine, SqEuclidean, Euclidean>;
  static constexpr int kBits = kCodeBits, kQueryBits = 8, kParts = 8 / kCodeBits;
  static constexpr bool kWidens = false;

  struct alignas(16) QueryTerm {
    LvqQueryTerms<float> own;
    float unit;
  };
  struct alignas(8) RowTerm {
    LvqScales scales;
    float norm;
  };

  __device__ static __forceinline__ void expand(const uint4& raw, int part, uint32_t (&to)[4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) to[i] = kCodeBits == 8 ? word_of(raw, i) : word_of(raw, i) >> (4 * part) & 0x0f0f0f0fu;
  }
  __device__ static __forceinline__ int32_t step(int32_t sum, uint32_t q, uint32_t x) { return ptx::dot4_mixed(x, q, sum); }
  __device__ static __forceinline__ int32_t own(int32_t sum, uint32_t) { return sum; }

  __device__ static __forceinline__ RowTerm row_term(Metric metric, const Base& store, int64_t row) {
    const LvqView view(store);
    const LvqNorms* const norms = view.norms + row;
    return {view.scales[row * view.scales_stride], metric == Metric::cosine ? norms->inverse : norms->squared};
  }
  template <class Key>
  __device__ static __forceinline__ uint32_t order(Key, int32_t sum, const QueryTerm& query, const RowTerm& row) {
    const LvqRowTerms<float> terms{ptx::widen_half(row.scales.low.bits) * query.unit,
                                   ptx::widen_half(row.scales.step.bits) * query.unit, row.norm};
    const float key = lvq_key<Key>(static_cast<float>(sum), query.own, terms, 0.0f, 1.0f, 2.0f);
    return ordered(Key::kMetric == Metric::euclidean ? sqrtf(key) : key);
  }
};

constexpr int kThreads = 128;

// The dimension whose code byte `at` of a prepared query meets.
template <int kCodeBits>
__device__ __forceinline__ int64_t dim_at(int64_t at) {
  if (kCodeBits == 8) return turbo_dim<8>(at);
  const int64_t byte = at / 32 * 16 + at % 16, high = at / 16 % 2;
  return turbo_dim<4>(byte / kTurboBytes * 2 * kTurboBytes + high * kTurboBytes + byte % kTurboBytes);
}

// A block per query: v is the query as store/lvq_tiles.h has it.
template <class T, int kCodeBits>
__global__ void __launch_bounds__(kThreads) prepare_lvq(const StoreQueries a) {
  ANNK_SHARED(float, inverse, [1]);
  ANNK_SHARED(float, largest, [kThreads / kWarp]);
  const LvqView view(a.base);
  const RowTeam<16> half;
  const int64_t dims = blockIdx.x < a.m ? view.dims : 0;
  const T* const from = reinterpret_cast<const T*>(a.queries.row(dims > 0 ? a.begin + blockIdx.x : 0));
  const bool cosine = a.metric == Metric::cosine, dot = cosine || a.metric == Metric::inner_product;
  if (cosine && warp_id() == 0) {
    const double squared = half.sum16(
        dims, [&](int64_t j) { return static_cast<double>(widen(from[j])) * static_cast<double>(widen(from[j])); });
    if (lane_id() == 0) inverse[0] = inverse_norm(squared);
  }
  __syncthreads();
  const auto v = [&](int64_t j) {
    const float x = widen(from[j]);
    return cosine ? x * inverse[0] : dot ? x : x - view.mean[j];
  };

  float most = 0.0f;
  for (int64_t j = threadIdx.x; j < dims; j += kThreads) most = larger(absolute(v(j)), most);
  for (int step = kWarp / 2; step > 0; step /= 2) most = larger(__shfl_xor_sync(kAllLanes, most, step), most);
  if (lane_id() == 0) largest[warp_id()] = most;
  __syncthreads();
  for (int w = 0; w < kThreads / kWarp; ++w) most = larger(largest[w], most);

  if (warp_id() == 0) {  // half of it adds the shift, half the sum
    const bool shifts = lane_id() < 16;
    const float sum = static_cast<float>(half.sum16(dims, [&](int64_t j) {
      const double x = v(j);
      return shifts ? x * (dot ? static_cast<double>(view.mean[j]) : x) : x;
    }));
    const float shift = __shfl_sync(kAllLanes, sum, 0);
    if (lane_id() == 16)
      reinterpret_cast<typename LvqArith<kCodeBits>::QueryTerm*>(a.words)[blockIdx.x] = {{most / 127.0f, sum, shift},
                                                                                         view.unit};
  }

  const float steps = most > 0.0f ? 127.0f / most : 0.0f;
  signed char* const to = reinterpret_cast<signed char*>(a.rows + static_cast<int64_t>(blockIdx.x) * a.pitch);
  for (int64_t at = threadIdx.x; at < a.pitch; at += kThreads) {
    const int64_t j = dim_at<kCodeBits>(at);
    const float code = j < dims ? rintf(v(j) * steps) : 0.0f;
    to[at] = static_cast<signed char>(static_cast<int>(code > 127.0f ? 127.0f : code < -127.0f ? -127.0f : code));
  }
}

template <int kCodeBits>
void prepare_queries(const StoreQueries& a, void* stream) {
  visit_element(a.queries.dtype,
                [&]<class T>(T) { ANNK_LAUNCH((prepare_lvq<T, kCodeBits>), a.padded, kThreads, 0, stream, a); });
}

template <int kCodeBits>
Matrix code_rows(const Base& store) {
  const int64_t bytes = turbo_bytes(store.dims, kCodeBits);
  return {store.arrays[0], store.rows, bytes * 8 / kCodeBits, bytes, DType::u8};
}

template <int kCodeBits>
StoreChunk chunk_of(const Base&, bool wide) {
  const int64_t dims = row_chunk_bytes(wide, kCodeBits, false) * 8 / kCodeBits;
  return {dims, dims};
}

template <int kCodeBits>
constexpr StoreScan kLvqScan{sizeof(typename LvqArith<kCodeBits>::QueryTerm) / sizeof(uint32_t),
                             {scan_shape(false), scan_shape(true)},
                             chunk_of<kCodeBits>,
                             code_rows<kCodeBits>,
                             prepare_queries<kCodeBits>,
                             launch_job<LvqArith<kCodeBits>>};

}  // namespace

const StoreScan* lvq_scan(const Base& store, Metric metric) {
  if (!LvqView(store).codes_are_all() || metric == Metric::cityblock || metric == Metric::chebyshev) return nullptr;
  return store.numbers[0] == 8 ? &kLvqScan<8> : &kLvqScan<4>;
}

}  // namespace annk::cuda
