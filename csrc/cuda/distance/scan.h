// SPDX-License-Identifier: Apache-2.0
// What is scanned: every pair of prepared queries and base rows, tile by tile; or chosen pairs of them. What becomes of the
// keys of a scan is an epilogue's (epilogue.cuh).
#pragma once
#include "core/view.h"
#include "cuda/device/policy.h"
#include "cuda/distance/family.h"

namespace annk::cuda {

struct ScanArgs {
  Dataset base;  // the rows as they are read; of a store that is scanned in its own form, its arrays and numbers, too
  Metric metric = Metric::sqeuclidean;

  // Prepared queries (prepare.h): rows of query_pitch bytes, zero beyond d, enough of them for whole tiles. Filters know
  // them from number query_begin on.
  const unsigned char* queries = nullptr;
  const uint32_t* query_words = nullptr;
  int64_t query_pitch = 0, query_begin = 0;
  int32_t m = 0;

  int64_t row_begin = 0, row_end = 0;
  Splits splits;

  // Where not null, only tiles that hold a query q with redo[q] > redo_above are scanned.
  const uint32_t* redo = nullptr;
  uint32_t redo_above = 0;

  int32_t chunks = 1;
  int32_t query_tiles = 0;
  bool vector_loads = false;
};

// Pairs p: query (first_pair + p) / width and row ids[p], a negative one for none.
struct PairArgs {
  ScanArgs scan;
  const int64_t* ids = nullptr;
  int64_t pairs = 0, first_pair = 0, width = 1;
  bool gathered = false;  // row ids[p] lies in row p
  // out[p] = the reported distance, float32 or int32; or its sortable_bits(key), uint32, kNoKey where there is no row
  uint32_t* out = nullptr;
  bool reported = true;
};

}  // namespace annk::cuda
