// SPDX-License-Identifier: Apache-2.0
// What a compressed store does in its own form, a table a store (stores/scan_<kind>.cu). One that has none, or not for a
// metric, is decoded in parts.
#pragma once
#include "cuda/distance/epilogues.h"

namespace annk::cuda {

// Queries [begin, begin + m), to be written as rows of `pitch` bytes and query_words words each; those from m up to `padded`
// are zero. Where they are rows of the store itself, `rows_of_base` says which, negative for none.
struct StoreQueries {
  Matrix queries;
  const int64_t* rows_of_base = nullptr;
  Dataset base;
  Metric metric = Metric::sqeuclidean;
  int64_t begin = 0, m = 0, padded = 0, pitch = 0;
  bool wide = false;
  unsigned char* rows = nullptr;
  uint32_t* words = nullptr;
};

// What a stage of the ring holds: so many positions of a row, and the bytes of a query that belong to them.
struct StoreChunk {
  int64_t positions, query_bytes;
};

// Keys of chosen rows for graphs: declared with these types, defined in graph/search/beam_search_<kind>.cu and
// graph/build/local_join_<kind>.cu.
struct BeamSearchLaunch;
struct BeamSearchArgs;
struct JoinArgs;
using StoreBeamSearch = void(const BeamSearchLaunch&, const BeamSearchArgs&, bool ahead);
using StoreJoin = void(const JoinArgs&, void* stream);

struct StoreScan {
  int query_words;      // in the arithmetic's QueryTerm
  ScanShape shapes[2];  // narrow, wide
  StoreChunk (*chunk)(const Dataset& store, bool wide);
  Matrix (*rows)(const Dataset& store);  // where the positions lie, as many as `dims` says; dtype is ignored
  void (*prepare)(const StoreQueries&, void* stream);
  ScanKernels kernels;
  // Null, either: graphs are searched and built over decoded rows, which have the same keys.
  StoreBeamSearch* beam_search = nullptr;
  StoreJoin* join = nullptr;
  // Rows of the base as queries, where the store has a way of its own for them (cpu/distance/distance_computer.h, pack_row).
  // Null: they are decoded first.
  void (*prepare_rows)(const StoreQueries&, void* stream) = nullptr;
  bool serves_graphs() const { return beam_search != nullptr && join != nullptr; }
};

// Of the stores that have kernels of their `own` (core/kinds.h), each in stores/scan_<kind>.cu. Null: rows are to be
// decoded.
#define ANNK_KEYS_own(name) const StoreScan* name##_scan(const Dataset& store, Metric metric);
#define ANNK_KEYS_decoded(name)
#define ANNK_ROW(name, type, on_cpu, on_gpu) ANNK_KEYS_##on_gpu(name)
ANNK_CODED_STORES(ANNK_ROW)
#undef ANNK_ROW
#undef ANNK_KEYS_own
#undef ANNK_KEYS_decoded

const StoreScan* store_scan(const Dataset& base, Metric metric);

}  // namespace annk::cuda
