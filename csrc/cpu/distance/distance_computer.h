// SPDX-License-Identifier: Apache-2.0
// The distances of queries to the rows of a dataset under a metric, as keys: by tiles for a batch, row by row for a few.
#pragma once
#include <memory>

#include "core/view.h"

namespace annk::ANNK_ISA {

// Some base rows, in ascending order: `count` adjacent ones from `first`, or those listed in `ids`.
struct RowList {
  const int64_t* ids = nullptr;
  int64_t first = 0;
  int count = 0;
  bool asked_for = false;  // by DistanceComputer::prefetch: need not be again
  ANNK_HD int64_t operator[](int i) const { return ids != nullptr ? ids[i] : first + i; }
  ANNK_HD RowList part(int from, int n) const { return {ids != nullptr ? ids + from : nullptr, first + from, n, asked_for}; }
};

inline constexpr int kRowBlock = 256;  // rows whose keys an operation takes at once where queries are few

// What DistanceComputer::score_rows_below leaves of at most kRowBlock rows, in ascending order.
struct NearRows {
  int count;
  int64_t ids[kRowBlock];
  float keys[kRowBlock];
};

// Queries that a DistanceComputer has packed, in the caller's memory. Nothing else makes one, so that a query that was not
// packed does not compile where keys are made. kBelow: for score_rows_below.
template <bool kBelow>
class Packed {
 public:
  static constexpr Packed none() { return Packed(nullptr); }
  const void* data() const { return data_; }

 private:
  friend class DistanceComputer;
  constexpr explicit Packed(const void* data) : data_(data) {}
  const void* data_;
};
using PackedQueries = Packed<false>;
using PackedQueriesBelow = Packed<true>;

// Batches: queries lie in SIMD lanes (a panel), and each row of a tile is broadcast against them. A tile is packed once
// and compared with every panel of a block of queries that fits L2. Few queries: rows lie in lanes, so that a single
// query costs one pass over the rows. Both give the same bits. The calls are virtual because one is thousands of
// cycles long; the loops inside are templates.
class DistanceComputer {
 public:
  int tile_rows = 0, lanes = 0;            // a tile of keys is [tile_rows][lanes]
  size_t panel_bytes = 0, tile_bytes = 0;  // multiples of 64
  size_t query_bytes = 0;                  // a query, packed for score_rows
  int64_t row_bytes = 0;                   // of a base row
  int tile_group = 1;           // tiles packed together: each panel is scored against all of them while it is in L1
  int row_major_up_to = 0;      // up to so many, score_rows is the cheaper way
  int row_major_block = 64;     // no more at a time: what packed queries fit L2
  int below_block = 0;          // the same for score_rows_below; 0: it cannot be called
  bool queries_apart = true;    // queries that were packed one by one can be asked for together
  bool gathers_panels = false;  // gather_panel can be called
  virtual ~DistanceComputer() = default;

  // These are not called where row_major_up_to has no limit.
  // Queries [first, first + count), count <= lanes, as a panel. The other lanes give keys without meaning.
  virtual void pack_panel(int64_t, int, void*) const {}
  // Queries that were packed one by one for score_rows, count <= lanes, as a panel.
  virtual void gather_panel(const PackedQueries*, int, void*) const {}
  // At most tile_rows rows. False: one of them holds NaN or infinity.
  virtual bool pack_tile(const RowList&, void*) const { return true; }
  virtual void keys(const void*, const void*, float*) const {}
  // keys() of `count` tiles, tile_bytes apart, against one panel: those of tile t begin at out + t * tile_rows * lanes.
  virtual void keys_of_tiles(const void* computer, int count, const void* panel, float* out) const {
    for (int t = 0; t < count; ++t)
      keys(static_cast<const char*>(computer) + t * tile_bytes, panel, out + t * tile_rows * lanes);
  }

  // Queries [first, first + count), query_bytes apart; there is room for `count`, up to a multiple of kQueryStep.
  PackedQueries pack_query(int64_t first, int count, void* room) const {
    write_query(first, count, room);
    return PackedQueries(room);
  }
  // Packs base row `row` as a query, where the store knows a shorter way than decoding it. False: it does not.
  bool pack_row(int64_t row, void* room, PackedQueries& packed) const {
    packed = PackedQueries(room);
    return write_row(row, room);
  }
  // Those behind the first `count`, which were packed together, or one by one where queries_apart says that this is the
  // same.
  PackedQueries behind(PackedQueries packed, int64_t count) const {
    return PackedQueries(static_cast<const char*>(packed.data()) + static_cast<size_t>(count) * query_bytes);
  }
  // Queries that were packed one by one, packed(q) the q-th, together in `room`; where queries_apart.
  template <class Each>
  PackedQueries gather(int count, const Each& packed, void* room) const {
    for (int q = 0; q < count; ++q)
      __builtin_memcpy(static_cast<char*>(room) + static_cast<size_t>(q) * query_bytes, packed(q).data(), query_bytes);
    return PackedQueries(room);
  }
  // keys[q * stride + i] for the packed queries and any number of rows. False: as pack_tile.
  virtual bool score_rows(PackedQueries queries, int count, const RowList& rows, float* keys, int64_t stride) const = 0;

  // As pack_query, for score_rows_below.
  PackedQueriesBelow pack_query_below(int64_t first, int count, void* room) const {
    write_query_below(first, count, room);
    return PackedQueriesBelow(room);
  }
  // Ids and keys of the rows whose keys may be up to limits[q], for the packed queries and at most kRowBlock rows: some
  // beyond the limit may be there, none up to it is missing. A limit that is NaN leaves nothing out. There is room for as
  // many queries as were packed, up to a multiple of kQueryStep.
  virtual void score_rows_below(PackedQueriesBelow, int, const RowList&, const float*, NearRows*) const {}

  // Asks for these rows to be near soon. A hint: score_rows asks for what it reads, too, but only a few rows ahead.
  virtual void prefetch(const RowList&) const {}

 protected:
  // What pack_query, pack_row and pack_query_below write.
  virtual void write_query(int64_t first, int count, void* packed) const = 0;
  virtual bool write_row(int64_t, void*) const { return false; }
  virtual void write_query_below(int64_t, int, void*) const {}
  static PackedQueries written(const void* packed) { return PackedQueries(packed); }
};

// The keys of base's rows under queries and metric (tiles.cpp). Those of euclidean are the roots of sqeuclidean's, taken at
// run time (root_tiles.h); PQ, whose rows are also bounded, takes its own.
std::unique_ptr<const DistanceComputer> make_distance_computer(const Dataset& base, const Matrix& queries, Metric metric);
template <class M>
inline constexpr bool kRootOfSquares = M::kMetric == Metric::euclidean;
// Null but for 8-bit rows and queries of one type, under metrics that have an exact form for them.
std::unique_ptr<const DistanceComputer> integer_tiles(const Dataset& base, const Matrix& queries, Metric metric);
// Null but for those metrics of numbers that have (from_dot) or lack an exact form for 8-bit integers.
std::unique_ptr<const DistanceComputer> float_tiles_from_dot(const Dataset& base, const Matrix& queries, Metric metric);
std::unique_ptr<const DistanceComputer> float_tiles(const Dataset& base, const Matrix& queries, Metric metric);
// Of the kinds that have kernels of their `own`; null where a store of these numbers has none under the metric, and is
// decoded. A source each (tiles_<kind>.cpp), which compile side by side.
#define ANNK_KEYS_own(name)                                                                                    \
  std::unique_ptr<const DistanceComputer> name##_distance_computer(const Dataset& base, const Matrix& queries, \
                                                                   Metric metric);
#define ANNK_KEYS_decoded(name)
#define ANNK_ROW(name, type, on_cpu, on_gpu) ANNK_KEYS_##on_cpu(name)
ANNK_CODED_STORES(ANNK_ROW)
#undef ANNK_ROW
#undef ANNK_KEYS_own
#undef ANNK_KEYS_decoded

inline constexpr int kQueryStep = 4;
ANNK_HD int64_t row_bytes_of(const Matrix& m) { return m.dims * kDTypeBits[static_cast<int>(m.dtype)] / 8; }
constexpr size_t round_up(size_t size, size_t multiple) { return (size + multiple - 1) / multiple * multiple; }

}  // namespace annk::ANNK_ISA
