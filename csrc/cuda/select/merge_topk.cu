// SPDX-License-Identifier: Apache-2.0
#include "core/result_key.h"
#include "cuda/device/device.cuh"
#include "ops/merge_topk.h"

namespace annk {
namespace {

using namespace cuda;
using namespace ANNK_ISA;

constexpr int kThreads = 128;
constexpr int kBins = 256;

// A block has one query, whose entries it reads where they lie. Nothing waits in device memory but what is written already.
template <class T>
struct QueryEntries {
  const MergeTopkArgs& args;
  int64_t query;

  __device__ int64_t count() const { return args.parts * args.width; }
  // no_result() where it is missing, and behind the end.
  __device__ ResultKey key(int64_t part, int64_t i) const {
    if (i >= args.width) return no_result();
    const T distance = static_cast<const T*>(args.distances)[part * args.part_stride + query * args.row_stride + i];
    const int64_t id = args.ids[part * args.ids_part_stride + query * args.ids_row_stride + i];
    return result_key(distance, id, args.offsets == nullptr ? 0 : args.offsets[part], args.largest);
  }
  __device__ ResultKey key(int64_t at) const { return key(at / args.width, at % args.width); }

  __device__ void write(int64_t place, ResultKey key) const {
    const int64_t at = query * args.k + place;
    const bool there = key < no_result();
    static_cast<T*>(args.out_distances)[at] = there ? key.template distance<T>() : missing_result<T>(args.largest);
    args.out_ids[at] = there ? key.id() : -1;
  }
  __device__ ResultKey written(int64_t place) const {
    const int64_t at = query * args.k + place;
    return result_key(static_cast<const T*>(args.out_distances)[at], args.out_ids[at], 0, args.largest);
  }
};

// Each part ascends, missing entries last.
template <class T>
__device__ bool is_sorted(const QueryEntries<T>& entries) {
  bool descends = false;
  for (int64_t at = threadIdx.x; at < entries.count(); at += kThreads) {
    const int64_t part = at / entries.args.width, i = at % entries.args.width;
    descends = descends || entries.key(part, i + 1) < entries.key(part, i);
  }
  return !__syncthreads_or(descends);
}

// How many entries of a sorted part are smaller than `key`; with `equal`, or equal.
template <class T>
__device__ int64_t count_below(const QueryEntries<T>& entries, int64_t part, ResultKey key, bool equal) {
  int64_t low = 0, high = entries.args.width;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    const ResultKey there = entries.key(part, middle);
    if (there < key || (equal && !(key < there)))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

// An entry's place is how many are before it: in its part, and by bisection in each other one. Most entries are known to lie
// beyond k after a few parts.
template <class T>
__device__ void merge_sorted(const QueryEntries<T>& entries) {
  const MergeTopkArgs& a = entries.args;
  for (int64_t at = threadIdx.x; at < entries.count(); at += kThreads) {
    const int64_t part = at / a.width;
    const ResultKey key = entries.key(at);
    int64_t place = key < no_result() ? at % a.width : a.k;
    for (int64_t other = 0; other < a.parts && place < a.k; ++other)
      if (other != part) place += count_below(entries, other, key, other < part);
    if (place < a.k) entries.write(place, key);
  }
  ANNK_SHARED(unsigned long long, found, [1]);
  if (threadIdx.x == 0) found[0] = 0;
  __syncthreads();
  for (int64_t part = threadIdx.x; part < a.parts; part += kThreads)
    atomicAdd(&found[0], static_cast<unsigned long long>(count_below(entries, part, no_result(), false)));
  __syncthreads();
  for (int64_t place = static_cast<int64_t>(found[0]) + threadIdx.x; place < a.k; place += kThreads)
    entries.write(place, no_result());
}

// A key such that min(k, count) entries are up to it, but for such as equal it: by counting eight bits after eight.
template <class T>
__device__ ResultKey kth_key(const QueryEntries<T>& entries) {
  ANNK_SHARED(unsigned long long, bins, [kBins]);
  const MergeTopkArgs& a = entries.args;
  unsigned __int128 prefix = 0;
  int64_t wanted = a.k < entries.count() ? a.k : entries.count();
  for (int shift = 120; shift >= 0; shift -= 8) {
    for (int bin = threadIdx.x; bin < kBins; bin += kThreads) bins[bin] = 0;
    __syncthreads();
    for (int64_t at = threadIdx.x; at < entries.count(); at += kThreads) {
      const unsigned __int128 key = entries.key(at).value;
      if (shift == 120 || key >> (shift + 8) == prefix) atomicAdd(&bins[static_cast<int>(key >> shift) & (kBins - 1)], 1ull);
    }
    __syncthreads();
    int bin = 0;
    for (; static_cast<int64_t>(bins[bin]) < wanted; ++bin) wanted -= static_cast<int64_t>(bins[bin]);
    const bool all = static_cast<int64_t>(bins[bin]) == wanted;
    prefix = prefix << 8 | static_cast<unsigned>(bin);
    __syncthreads();
    if (all) return {prefix << shift | ((static_cast<unsigned __int128>(1) << shift) - 1)};
  }
  return {prefix};
}

// Batcher's odd-even merge sort of what is written, in place (Knuth 5.2.2, algorithm M).
template <class T>
__device__ void sort_written(const QueryEntries<T>& entries) {
  const int64_t n = entries.args.k;
  for (int64_t p = 1; p < n; p *= 2)
    for (int64_t q = p; q > 0; q /= 2) {
      __syncthreads();
      for (int64_t at = threadIdx.x; at + q < n; at += kThreads) {
        const int64_t first = q % p, other = at + q;
        if (at < first || (at - first) / q % 2 != 0 || at / (2 * p) != other / (2 * p)) continue;
        const ResultKey a = entries.written(at), b = entries.written(other);
        if (!(b < a)) continue;
        entries.write(at, b);
        entries.write(other, a);
      }
    }
}

// Any order: the k-th key, then what is up to it, sorted where it is written.
template <class T>
__device__ void select(const QueryEntries<T>& entries) {
  const ResultKey last = kth_key(entries);
  ANNK_SHARED(unsigned long long, taken, [1]);
  if (threadIdx.x == 0) taken[0] = 0;
  __syncthreads();
  for (int64_t at = threadIdx.x; at < entries.count(); at += kThreads) {
    const ResultKey key = entries.key(at);
    if (key < last) entries.write(static_cast<int64_t>(atomicAdd(&taken[0], 1ull)), key);
  }
  __syncthreads();
  const int64_t count = entries.args.k < entries.count() ? entries.args.k : entries.count();
  for (int64_t place = static_cast<int64_t>(taken[0]) + threadIdx.x; place < entries.args.k; place += kThreads)
    entries.write(place, place < count ? last : no_result());
  sort_written(entries);
}

template <class T>
__global__ void __launch_bounds__(kThreads, 8) merge_results(const MergeTopkArgs args) {
  const QueryEntries<T> entries{args, static_cast<int64_t>(blockIdx.x)};
  is_sorted(entries) ? merge_sorted(entries) : select(entries);
}

}  // namespace

int64_t merge_topk_workspace(const MergeTopkArgs&) { return 0; }

void merge_topk(const MergeTopkArgs& args) {
  if (args.m == 0 || args.k == 0) return;
  if (args.integers)
    ANNK_LAUNCH(merge_results<int32_t>, args.m, kThreads, 0, args.exec.stream, args);
  else
    ANNK_LAUNCH(merge_results<float>, args.m, kThreads, 0, args.exec.stream, args);
}

}  // namespace annk
