// SPDX-License-Identifier: Apache-2.0
// Sorts rows of selected entries: runs of 2,048 in shared memory, then runs of twice the length by the rank of each entry in
// the neighboring run, until one is left.
#pragma once
#include "cuda/select/select_source.cuh"

namespace annk::cuda {

inline constexpr int kSortThreads = 256;
inline constexpr int kSortTile = 2048;

// A block per run; rows of k entries, of which counts[row] are there, the rest becomes kNoKeyId.
template <class Source>
__global__ void __launch_bounds__(kSortThreads)
    sort_runs(const Source source, KeyId* key_ids, const uint32_t* counts, int64_t k) {
  ANNK_SHARED(KeyId, tile, [kSortTile]);
  const int64_t runs = ceil_div<int64_t>(k, kSortTile);
  const int64_t row = blockIdx.x / runs, begin = blockIdx.x % runs * kSortTile;
  const BySource<Source> less{&source, row};
  KeyId* slots = key_ids + row * k + begin;
  const int length = k - begin < kSortTile ? static_cast<int>(k - begin) : kSortTile;
  int padded = 2;
  while (padded < length) padded *= 2;
  for (int i = static_cast<int>(threadIdx.x); i < padded; i += kSortThreads)
    tile[i] = i < length && begin + i < counts[row] ? slots[i] : kNoKeyId;
  __syncthreads();
  for (int run = 2; run <= padded; run *= 2) {
    for (int distance = run / 2; distance > 0; distance /= 2) {
      for (int pair = static_cast<int>(threadIdx.x); pair < padded / 2; pair += kSortThreads) {
        const int low = pair / distance * 2 * distance + pair % distance, high = low + distance;
        const KeyId a = tile[low], b = tile[high];
        const bool ascending = (low & run) == 0;
        if (less(b, a) == ascending && a != b) {
          tile[low] = b;
          tile[high] = a;
        }
      }
      __syncthreads();
    }
  }
  for (int i = static_cast<int>(threadIdx.x); i < length; i += kSortThreads) slots[i] = tile[i];
}

// Merges neighboring runs of a row: an entry goes to its own place plus its rank in the other run. Entries of the left run
// come before equal ones (all kNoKeyId) of the right.
template <class Source>
__global__ void __launch_bounds__(kSortThreads)
    merge_runs(const Source source, const KeyId* from, KeyId* to, int64_t rows, int64_t k, int64_t run) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kSortThreads + threadIdx.x;
  if (at >= rows * k) return;
  const int64_t row = at / k, i = at % k, pair = i / (2 * run) * 2 * run;
  const bool left = i < pair + run;
  const BySource<Source> less{&source, row};
  const KeyId* sorted = from + row * k;
  const KeyId mine = sorted[i];
  const int64_t other = left ? pair + run : pair;
  int64_t low = other < k ? other : k, high = other + run < k ? other + run : k;
  const int64_t first = low;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    const bool before = left ? less(sorted[middle], mine) : !less(mine, sorted[middle]);
    if (before) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  to[row * k + pair + (left ? i - pair : i - pair - run) + (low - first)] = mine;
}

// Sorts and returns where the sorted rows lie: `key_ids` or `other`, both (rows, k).
template <class Source>
KeyId* sort_rows(const Source& source, KeyId* key_ids, KeyId* other, const uint32_t* counts, int64_t rows, int64_t k,
                 void* stream) {
  ANNK_LAUNCH(sort_runs<Source>, (rows * ceil_div<int64_t>(k, kSortTile)), kSortThreads, 0, stream, source, key_ids, counts,
              k);
  for (int64_t run = kSortTile; run < k; run *= 2) {
    ANNK_LAUNCH(merge_runs<Source>, (ceil_div<int64_t>(rows * k, kSortThreads)), kSortThreads, 0, stream, source, key_ids,
                other, rows, k, run);
    KeyId* sorted = other;
    other = key_ids;
    key_ids = sorted;
  }
  return key_ids;
}

}  // namespace annk::cuda
