// SPDX-License-Identifier: Apache-2.0
#include "cuda/codec.cuh"
#include "cuda/elements.h"
#include "cuda/lvq_arith.cuh"
#include "cuda/scan.cuh"
#include "cuda/store_scan.h"

namespace annk::cuda {
namespace {

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
