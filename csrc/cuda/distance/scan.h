// SPDX-License-Identifier: Apache-2.0
// The scan: every pair of prepared queries and base rows, tile by tile, and what becomes of the keys.
#pragma once
#include "core/view.h"
#include "cuda/device/policy.h"
#include "cuda/distance/family.h"

namespace annk::cuda {

enum class Job : int32_t {
  distances,  // out[q, row - row_begin] = the reported distance, float32 or int32; no filter
  keys,       // out[q, row - row_begin] = sortable_bits(key) (core/numeric.h), uint32; no filter
  select,     // lists[split, q, 0..k) = the best entries of the split, ascending; positions count from the split's first row
  count,      // counts[q] += rows that the filter allows and whose sortable_bits(key) < limit
  pairs,  // out[p] = the reported distance of query (first_pair + p) / width and row ids[p], missing where that is negative
  pair_keys,  // out[p] = sortable_bits(key) of that pair, uint32, kNoKey where it is missing
};

struct ScanArgs {
  Dataset base;  // the rows as they are read; of a store that is scanned in its own form, its arrays and numbers, too
  Filter filter;
  Metric metric = Metric::sqeuclidean;
  Job job = Job::distances;

  // Prepared queries (prepare.h): rows of query_pitch bytes, zero beyond d, enough of them for whole tiles. The filter
  // knows them from number query_begin on.
  const unsigned char* queries = nullptr;
  const uint32_t* query_words = nullptr;
  int64_t query_pitch = 0, query_begin = 0;
  int32_t m = 0;

  int64_t row_begin = 0, row_end = 0;
  Splits splits;

  void* out = nullptr;
  int64_t out_pitch = 0;  // elements
  unsigned long long* lists = nullptr;
  int32_t k = 0;
  unsigned long long* counts = nullptr;
  uint32_t limit = 0xffffffffu;  // select: all may enter

  const int64_t* ids = nullptr;
  int64_t pairs = 0, first_pair = 0, width = 1;
  bool gathered = false;  // row ids[p] lies in row p
  // Where not null, only tiles that hold a query q with redo[q] > redo_above are scanned.
  const uint32_t* redo = nullptr;
  uint32_t redo_above = 0;

  int32_t chunks = 1;
  int32_t query_tiles = 0;
  bool vector_loads = false;
};

// One per family, each in a source of its own: kernels compile side by side.
void scan_dot(const ScanArgs&, bool wide, void* stream);
void scan_l2(const ScanArgs&, bool wide, void* stream);
void scan_steps(const ScanArgs&, bool wide, void* stream);
void scan_integer(const ScanArgs&, bool wide, void* stream);
void scan_bits(const ScanArgs&, bool wide, void* stream);

}  // namespace annk::cuda
