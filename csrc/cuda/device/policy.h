// SPDX-License-Identifier: Apache-2.0
// Sizes that decide speed and never results, as plain numbers. bench/gpu/budgets.json holds the kernels to what they imply.
#pragma once
#include "core/view.h"

namespace annk::cuda {

// A scan block: 128 threads, tiles of 128 base rows, fetched in chunks of a few dimensions by asynchronous copies.
//   narrow: 4 queries, a warp per 32 rows, a row per lane. Bound by bandwidth.
//   wide:  64 queries, 16 a warp, 4 rows a lane: 64 sums a thread, so that there are 256 multiply-adds for 20 shared loads.
// Blocks of an SM: narrow has 48 KiB of copies in flight, wide wants 168 registers a thread.
struct ScanShape {
  int queries_per_warp, rows_per_lane, query_warps, row_warps, stages, min_blocks;
  constexpr int queries() const { return queries_per_warp * query_warps; }
  constexpr int rows() const { return rows_per_lane * 32 * row_warps; }
};
inline constexpr int kScanThreads = 128;
inline constexpr int kRowTile = 128;
// `parts`: sums of a pair. Wide blocks take fewer queries for it.
constexpr ScanShape scan_shape(bool wide, int parts = 1) {
  return wide ? ScanShape{16 / parts, 4, 4, 1, 3, 3} : ScanShape{4, 1, 1, 4, 3, 4};
}

// From 17 queries on, one wide pass is cheaper than five narrow ones.
constexpr bool use_wide(int64_t m) { return m > 16; }

// Bytes of a base row fetched at a time. Narrow: a whole line. Wide: what keeps a stage near 12 KiB, of which three and the
// lists of 64 queries fit the 99 KiB of sm_120; 8-bit rows that widen bring four query bytes along with each of theirs.
constexpr int row_chunk_bytes(bool wide, int element_bits, bool widens) {
  return !wide ? 128 : widens && element_bits == 8 ? 32 : 64;
}

// Queries that one launch serves: their prepared copies and lists stay within tens of MiB.
inline constexpr int64_t kQueriesPerLaunch = 4096;
inline constexpr int64_t kPreparedBytes = int64_t{64} << 20;  // fewer, where the tables of a store's queries are larger
// Blocks of a launch: four for each SM of the largest parts (132 and 148 SMs). A constant, since the workspace may
// not depend on the device.
inline constexpr int64_t kTargetBlocks = 512;
// Neighbors that a scan keeps in shared memory lists; more go through keys in the workspace and radix selection.
inline constexpr int64_t kListMax = 64;

// Rows are dealt to splits in whole tiles; within a split a row is a 31-bit number.
struct Splits {
  int64_t rows_each = kRowTile;
  int32_t count = 1;
};
inline constexpr int64_t kMostSplitRows = int64_t{1} << 30;
constexpr Splits splits_for(int64_t query_tiles, int64_t rows, int64_t most_rows = kMostSplitRows,
                            int64_t tile_rows = kRowTile) {
  const int64_t tiles = rows / tile_rows + (rows % tile_rows != 0);
  const int64_t wanted = kTargetBlocks / query_tiles < 1 ? 1 : kTargetBlocks / query_tiles;
  int64_t tiles_each = tiles / wanted + (tiles % wanted != 0);
  const int64_t most = most_rows / tile_rows;
  tiles_each = tiles_each < 1 ? 1 : tiles_each > most ? most : tiles_each;
  const int64_t count = tiles / tiles_each + (tiles % tiles_each != 0);
  return {tiles_each * tile_rows, static_cast<int32_t>(count < 1 ? 1 : count)};
}
static_assert(splits_for(1, int64_t{1} << 42).count == 4096, "no split passes 2^30 rows");

// Rows of a store that wait decoded for the kernels of float32 rows: 64 MiB, in whole tiles.
constexpr int64_t decoded_rows(int64_t rows, int64_t row_bytes) {
  const int64_t fit = (int64_t{64} << 20) / (row_bytes < 1 ? 1 : row_bytes) / kRowTile * kRowTile;
  const int64_t most = fit < kRowTile ? kRowTile : fit, all = (rows + kRowTile - 1) / kRowTile * kRowTile;
  return all < kRowTile ? kRowTile : all < most ? all : most;
}
// Lists of splits that are no larger than that may be many: beyond this, neighbors are selected from keys.
inline constexpr int64_t kListBytes = int64_t{128} << 20;

// Radix selection: rows are taken together while their counts, buffers and results stay under this.
inline constexpr int64_t kSelectBytes = int64_t{128} << 20;
// Candidates that outlive the first digit are copied only if they are few: the bins of the first
// digit are a quarter of a binade wide.
constexpr int64_t buffer_capacity(int64_t length, int64_t k) {
  const int64_t wanted = 4 * k > 16384 ? 4 * k : 16384;
  return wanted < length ? wanted : length;
}
// Blocks that share a row, 8,192 candidates each or more.
constexpr int32_t shares_for(int64_t rows, int64_t length) {
  const int64_t wanted = 2 * kTargetBlocks / rows, most = length / 8192;
  const int64_t shares = wanted < most ? wanted : most;
  return static_cast<int32_t>(shares < 1 ? 1 : shares);
}
// Keys of a launch that wait in the workspace, 64 MiB: where more neighbors are wanted than lists hold, and to fill radii.
// Rows of a chunk: many against what a selection of k costs again with each; whole tiles, but for the last.
inline constexpr int64_t kWaitingKeys = int64_t{1} << 24;
struct KeyChunk {
  int64_t rows, queries;  // rows: a multiple of 4
};
constexpr KeyChunk key_chunk(int64_t m, int64_t n, int64_t k, int64_t most_queries) {
  const int64_t all = (n + 3) / 4 * 4, least = k > 32768 ? (2 * k + kRowTile - 1) / kRowTile * kRowTile : 65536;
  const int64_t rows = all < 4 ? 4 : all < least ? all : least;
  const int64_t fit = kWaitingKeys / rows < 1 ? 1 : kWaitingKeys / rows;
  const int64_t most = fit < most_queries ? fit : most_queries;
  return {rows, m < most ? m : most};
}
// Positions within a selection are 32-bit; rows that are longer are selected from in pieces. A variable, so that tests reach
// these with fewer than 2^31; a multiple of 4, for aligned loads.
inline int64_t most_candidates = int64_t{1} << 31;

// The prefilter of tensor cores (prefilter.h): 128 queries a block; limits from every 17th row, so that a level costs a
// seventeenth of the next, and 17 k candidates on average, of which four times as many find room: the sum of k exponential
// gaps passes that once in e^60 queries where k = 1 has 1,024 places, and more seldom for larger k. A prime: what repeats in
// rows, or in filters, does so every 2, 10 or 16.
inline constexpr int64_t kPrefilterQueries = 128, kPrefilterStep = 17;
constexpr uint32_t prefilter_capacity(int64_t k) { return static_cast<uint32_t>(k <= 15 ? 1024 : 4 * kPrefilterStep * k); }
// Bound by int32 sums of 8-bit products, and by e in prefilter.h, which grows with d.
inline constexpr int64_t kPrefilterDims = 16384;
// Where ten launches more are small against the scan, and rows long against what a tile costs beside its products.
constexpr bool use_prefilter(int64_t m, int64_t n, int64_t d) {
  return m >= kPrefilterQueries && n >= 32768 && d >= 32 && m > (int64_t{1} << 26) / n;
}

// Searches of graphs. Buffers up to 8 KiB lie in shared memory. The table of rows visited holds 16 for each place of the
// window, about as many as a search visits, in 4 to 32 KiB.
inline constexpr int64_t kSharedBuffer = 1024;
constexpr int32_t visited_table_bits(int64_t window) {
  int32_t bits = 10;
  while (bits < 13 && (int64_t{1} << bits) < 16 * window) ++bits;
  return bits;
}
// Memory of searches that run side by side, where each wants some: 256 MiB.
inline constexpr int64_t kSearchBytes = int64_t{256} << 20;
constexpr int64_t search_blocks(int64_t m, int64_t bytes_each, int64_t bytes = kSearchBytes) {
  const int64_t fit = bytes_each == 0 ? m : bytes / bytes_each;
  return fit < 1 ? 1 : fit < m ? fit : m;
}
// Rows of a search whose neighbors' keys blocks make ahead, a launch a round: with up to 32 queries these are as many blocks
// as kTargetBlocks. Narrow windows have no rows to make ahead.
inline constexpr int kSearchSlots = 16;
constexpr bool share_searches(int64_t m, int64_t window) {
  return m * kSearchSlots <= kTargetBlocks && window >= 2 * kSearchSlots;
}
// On a graph of near neighbors searches were over after 17, 19, 24, 36 and 53 rounds with windows of 32 to 512: some rounds
// of few rows on the way to the query, then a dozen rows a round. What these leave a single block ends.
constexpr int64_t search_rounds(int64_t window) { return 12 + (window < 1024 ? window : 1024) / 12; }
// Blocks that share the counting of a filter's rows.
inline constexpr int kAllowedParts = 32;

}  // namespace annk::cuda
