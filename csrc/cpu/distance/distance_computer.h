// SPDX-License-Identifier: Apache-2.0
// What an exhaustive scan asks of a store under a metric: keys by tiles.
#pragma once
#include <memory>

#include "core/view.h"

namespace annk::ANNK_ISA {

// Some base rows, in ascending order: `count` adjacent ones from `first`, or those listed in `ids`.
struct RowList {
  const int64_t* ids = nullptr;
  int64_t first = 0;
  int count = 0;
  bool asked_for = false;  // by Tiles::prefetch: need not be again
  ANNK_HD int64_t operator[](int i) const { return ids != nullptr ? ids[i] : first + i; }
  ANNK_HD RowList part(int from, int n) const { return {ids != nullptr ? ids + from : nullptr, first + from, n, asked_for}; }
};

inline constexpr int kFewRows = 256;  // rows whose keys an operation takes at once where queries are few

// What Tiles::keys_within leaves of at most kFewRows rows, in ascending order.
struct NearRows {
  int count;
  int64_t ids[kFewRows];
  float keys[kFewRows];
};

// Batches: queries lie in SIMD lanes (a panel), and each row of a tile is broadcast against them. A tile is packed once
// and meets every panel of a block of queries that fits the L2 cache. Few queries: rows lie in lanes, so that a single
// query costs one pass over the rows. Both give the same bits. The calls are virtual because one is thousands of
// cycles long; the loops inside are templates.
class Tiles {
 public:
  int tile_rows = 0, lanes = 0;            // a tile of keys is [tile_rows][lanes]
  size_t panel_bytes = 0, tile_bytes = 0;  // multiples of 64
  size_t few_bytes = 0;                    // a query, packed for few_keys
  int64_t row_bytes = 0;                   // of a base row
  int tile_group = 1;     // tiles packed together: each panel is scored against all of them while it is in L1
  int few_queries = 0;    // up to so many, few_keys is the cheaper way
  int few_block = 64;     // no more at a time: what packed queries fit L2
  int within_block = 0;   // the same for keys_within; 0: it cannot be called
  bool few_apart = true;  // queries that were packed one by one can be asked for together
  virtual ~Tiles() = default;

  // These three are not called where few_queries has no limit.
  // Queries [first, first + count), count <= lanes, as a panel. The other lanes give keys without meaning.
  virtual void pack_panel(int64_t, int, void*) const {}
  // At most tile_rows rows. False: one of them holds NaN or infinity.
  virtual bool pack_tile(const RowList&, void*) const { return true; }
  virtual void keys(const void*, const void*, float*) const {}
  // keys() of `count` tiles, tile_bytes apart, against one panel: those of tile t begin at out + t * tile_rows * lanes.
  virtual void keys_of_tiles(const void* tiles, int count, const void* panel, float* out) const {
    for (int t = 0; t < count; ++t)
      keys(static_cast<const char*>(tiles) + t * tile_bytes, panel, out + t * tile_rows * lanes);
  }

  // Queries [first, first + count), few_bytes apart; count rounds up to a multiple of kFewStep.
  virtual void pack_few(int64_t first, int count, void* packed) const = 0;
  // keys[q * stride + i] for the packed queries and any number of rows. False: as pack_tile.
  virtual bool few_keys(const void* packed, int count, const RowList& rows, float* keys, int64_t stride) const = 0;

  // As pack_few, for keys_within.
  virtual void pack_within(int64_t, int, void*) const {}
  // Ids and keys of the rows whose keys may be up to limits[q], for the packed queries and at most kFewRows rows: some
  // beyond the limit may be there, none up to it is missing. A limit that is NaN leaves nothing out. There is room for as
  // many queries as were packed, up to a multiple of kFewStep.
  virtual void keys_within(const void*, int, const RowList&, const float*, NearRows*) const {}

  // Asks for these rows to be near soon. A hint: few_keys asks for what it reads, too, but only a few rows ahead.
  virtual void prefetch(const RowList&) const {}
  // Packs base row `row` as a query of few_keys, where the store knows a shorter way than decoding it. False: it does not.
  virtual bool pack_row(int64_t, void*) const { return false; }
};

// The keys of base's rows under queries and metric (tiles.cpp).
std::unique_ptr<const Tiles> make_tiles(const Base& base, const Matrix& queries, Metric metric);
// Of one kind; null where a store of these numbers has no kernel of its own under the metric, and is decoded. A source each
// (tiles_<kind>.cpp), which compile side by side.
std::unique_ptr<const Tiles> lvq_tiles(const Base& base, const Matrix& queries, Metric metric);
std::unique_ptr<const Tiles> rabitq_tiles(const Base& base, const Matrix& queries, Metric metric);
std::unique_ptr<const Tiles> pq_tiles(const Base& base, const Matrix& queries, Metric metric);

inline constexpr int kFewStep = 4;
ANNK_HD int64_t row_bytes_of(const Matrix& m) { return m.dims * kDTypeBits[static_cast<int>(m.dtype)] / 8; }
constexpr size_t round_up(size_t size, size_t multiple) { return (size + multiple - 1) / multiple * multiple; }

// The squares of 8-bit vectors sum to less than 2^31 up to this many dimensions.
inline constexpr int64_t kMaxDotDims = 32768;

}  // namespace annk::ANNK_ISA
