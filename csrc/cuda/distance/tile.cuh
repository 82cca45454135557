// SPDX-License-Identifier: Apache-2.0
// A tile of a scan: 128 base rows against the block's queries. Rows and queries come in chunks of a few dimensions through
// a ring of stages in shared memory, filled by asynchronous copies that run across the ends of tiles.
#pragma once
#include "cuda/distance/arith.cuh"
#include "cuda/distance/scan.h"

namespace annk::cuda {

template <class Arith, bool kWide>
struct Tile {
  static constexpr ScanShape kShape = scan_shape(kWide);
  static constexpr int kQ = kShape.queries_per_warp, kR = kShape.rows_per_lane, kQueries = kShape.queries();
  static constexpr int kRows = kShape.rows();
  static constexpr int kRowBytes = row_chunk_bytes(kWide, Arith::kBits, Arith::kWidens);
  static constexpr int kQueryBytes = kRowBytes / Arith::kBits * Arith::kQueryBits;
  static constexpr int kPieces = kRowBytes / 16, kQueryPieces = kQueryBytes / 16;
  static constexpr int kStageBytes = kRowTile * kRowBytes + kQueries * kQueryBytes;
  __host__ __device__ static constexpr int stage_bytes(const Dataset&) { return kStageBytes; }
  static_assert(kRows == kRowTile, "the warps of a block cover the tile's rows");
  static_assert(kShape.query_warps * kShape.row_warps * kWarp == kScanThreads);
  static_assert(kRowTile == kScanThreads, "a thread computes the term of one row");
  static_assert(kScanThreads % kPieces == 0 && 8 % kPieces == 0, "a thread copies the same piece of every row it copies");
  static_assert(kQueryPieces == kPieces * Arith::kParts);

  using Element = typename Arith::Element;
  using Operand = typename Arith::Operand;
  using Sum = typename Arith::Sum;
  using Chains = ChainSums<kInChains<Arith>, kQ, kR, kWide>;

  Sum sums[kQ][kR];
  Sum self_dot;  // of row thread % 128: what its term is made from

  // Eight lanes that read piece p of eight rows in a row read eight different groups of banks. Rows that differ by a
  // multiple of eight are permuted alike, and place(row, p) = place(row, 0) ^ 16 p.
  __device__ static __forceinline__ int place(int row, int piece) {
    return row * kRowBytes + 16 * (piece ^ (row / (8 / kPieces) & (kPieces - 1)));
  }

  // Starts the copies of one chunk of the tile that begins at `row0` with `rows` rows or more, and of the block's queries. A
  // thread copies the same piece of every row it copies: only pointers step, and no address is worth keeping in a register.
  __device__ static __forceinline__ void fetch(const ScanArgs& a, unsigned char* stage, int64_t row0, int rows, int query0,
                                               int chunk) {
    if (a.vector_loads) {
      fetch_rows(a, stage, row0, rows, chunk);
    } else {
      fetch_elements(a, stage, row0, rows, chunk);
    }
    constexpr int kStep = kScanThreads / kQueryPieces, kCopied = kQueries < kStep ? kQueries : kStep;
    const int thread = static_cast<int>(threadIdx.x), query = thread / kQueryPieces, piece = thread % kQueryPieces;
    unsigned char* to = stage + kRowTile * kRowBytes + 16 * thread;
    const unsigned char* from = a.queries + static_cast<int64_t>(query0 + query) * a.query_pitch +
                                static_cast<int64_t>(chunk) * kQueryBytes + 16 * piece;
    if (query >= kCopied) return;
#pragma unroll
    for (int i = 0; i < kQueries / kCopied; ++i, to += kStep * kQueryBytes, from += kStep * a.query_pitch)
      ptx::cp_async16(to, from, 16);
  }

  __device__ static __forceinline__ void fetch_rows(const ScanArgs& a, unsigned char* stage, int64_t row0, int rows,
                                                    int chunk) {
    constexpr int kStep = kScanThreads / kPieces;
    static_assert(kStep / (8 / kPieces) % kPieces == 0, "the places of a thread's pieces differ by whole rows");
    const int thread = static_cast<int>(threadIdx.x), piece = thread % kPieces;
    const int64_t offset = static_cast<int64_t>(chunk) * kRowBytes + 16 * piece;
    const int64_t left = (a.base.dims * Arith::kBits + 7) / 8 - offset;
    const int there = left >= 16 ? 16 : left > 0 ? static_cast<int>(left) : 0;
    unsigned char* to = stage + place(thread / kPieces, piece);
    const unsigned char* from = a.base.row(row0 + thread / kPieces) + offset;
#pragma unroll
    for (int i = 0; i < kPieces; ++i, to += kStep * kRowBytes, from += kStep * a.base.stride) {
      const int bytes = thread / kPieces + i * kStep < rows ? there : 0;
      ptx::cp_async16(to, bytes > 0 ? from : a.queries, bytes);
    }
  }

  // An element at a time, where the address or the stride of the rows forbids 16-byte copies.
  __device__ static __forceinline__ void fetch_elements(const ScanArgs& a, unsigned char* stage, int64_t row0, int rows,
                                                        int chunk) {
    constexpr int kSize = sizeof(Element), kInRow = kRowBytes / kSize, kStep = kScanThreads / kInRow;
    const int thread = static_cast<int>(threadIdx.x), at = thread % kInRow * kSize;
    const int64_t offset = static_cast<int64_t>(chunk) * kRowBytes + at;
    const bool there = offset < (a.base.dims * Arith::kBits + 7) / 8;
    const unsigned char* from = a.base.row(row0 + thread / kInRow) + offset;
#pragma unroll 4
    for (int r = thread / kInRow; r < kRowTile; r += kStep, from += kStep * a.base.stride) {
      const Element element = there && r < rows ? *reinterpret_cast<const Element*>(from) : Element{};
      *reinterpret_cast<Element*>(stage + place(r, at / 16) + at % 16) = element;
    }
  }

  __device__ __forceinline__ void clear() {
    self_dot = 0;
#pragma unroll
    for (int q = 0; q < kQ; ++q)
#pragma unroll
      for (int r = 0; r < kR; ++r) sums[q][r] = 0;
  }

  // Wide tiles of bytes that widen are read by words: choosing a word of a register at run time costs more instructions.
  static constexpr bool kByWords = kWide && Arith::kParts == 4;

  // Behind the last stage.
  __device__ __forceinline__ void finish(const Dataset& base, Chains& chains) {
    if (kInChains<Arith> && base.dims > chain_dims(base.dims)) chains.add_to(sums, self_dot);
  }

  // Adds a stage's dimensions to the sums, in ascending order.
  __device__ __forceinline__ void accumulate(const Dataset& base, const unsigned char* stage, int chunk, bool with_self_dot,
                                             Chains& chains) {
    constexpr int kPieceDims = 128 / Arith::kBits;
    if (kWide) start_piece(base, chunk * kPieces * kPieceDims, chains);
    const int lane = lane_id(), query_warp = warp_id() % kShape.query_warps, row_warp = warp_id() / kShape.query_warps;
    const unsigned char* queries = stage + kRowTile * kRowBytes + query_warp * kQ * kQueryBytes;
    const int place0 = place(row_warp * kWarp * kR + lane, 0), own_place0 = place(static_cast<int>(threadIdx.x), 0);
#pragma unroll(kWide ? 1 : 2)
    for (int piece = 0; piece < kPieces; ++piece) {
      if (!kWide) start_piece(base, (chunk * kPieces + piece) * kPieceDims, chains);
      uint4 raw[kR];
#pragma unroll
      for (int r = 0; r < kR; ++r)
        if (!kByWords) raw[r] = *reinterpret_cast<const uint4*>(stage + (place0 ^ 16 * piece) + r * kWarp * kRowBytes);
#pragma unroll(kWide ? 1 : Arith::kParts)
      for (int part = 0; part < Arith::kParts; ++part) {
        Operand x[kR][4];
#pragma unroll
        for (int r = 0; r < kR; ++r) {
          if (kByWords) {
            const unsigned char* word = stage + (place0 ^ 16 * piece) + r * kWarp * kRowBytes + 4 * part;
            raw[r] = {*reinterpret_cast<const uint32_t*>(word), 0, 0, 0};
          }
          Arith::expand(raw[r], kByWords ? 0 : part, x[r]);
        }
#pragma unroll
        for (int q = 0; q < kQ; ++q) {
          Operand y[4];
          read4(queries + q * kQueryBytes + 16 * (piece * Arith::kParts + part), y);
#pragma unroll
          for (int i = 0; i < 4; ++i)
#pragma unroll
            for (int r = 0; r < kR; ++r) sums[q][r] = Arith::step(sums[q][r], y[i], x[r][i]);
        }
      }
      if (with_self_dot) add_self_dots(*reinterpret_cast<const uint4*>(stage + (own_place0 ^ 16 * piece)));
    }
  }

 private:
  // Before dimension `dim`, which may begin a chain: of wide tiles, whose stages are short, where a stage begins.
  __device__ __forceinline__ void start_piece(const Dataset& base, int dim, Chains& chains) {
    static_assert(!kWide || !kInChains<Arith> || chain_dims(0) % (8 * kRowBytes / Arith::kBits) == 0);
    if constexpr (kInChains<Arith>) {
      const int chain = static_cast<int>(chain_dims(base.dims));
      if (dim == 0 && base.dims > chain) chains.clear();
      if (dim > 0 && dim < base.dims && (dim & (chain - 1)) == 0) chains.end_chain(sums, self_dot);
    }
  }
  __device__ __forceinline__ void add_self_dots(const uint4& raw) {
#pragma unroll
    for (int part = 0; part < Arith::kParts; ++part) {
      Operand x[4];
      Arith::expand(raw, part, x);
#pragma unroll
      for (int i = 0; i < 4; ++i) self_dot = Arith::add_self_dot(self_dot, x[i]);
    }
  }
};

// The tile of an arithmetic: this one, or one that it brings for rows of another kind, with the same members.
template <class Arith, bool kWide>
struct TileChoice {
  using Type = Tile<Arith, kWide>;
};
template <class Arith, bool kWide>
  requires requires { typename Arith::template OwnTile<kWide>; }
struct TileChoice<Arith, kWide> {
  using Type = typename Arith::template OwnTile<kWide>;
};
template <class Arith, bool kWide>
using TileOf = typename TileChoice<Arith, kWide>::Type;

// What a tile keeps beside its sums. Not in it: what lies in local memory has an address, and the sums would follow.
struct NoChains {};
template <class Tile>
struct ChainsChoice {
  using Type = NoChains;
};
template <class Tile>
  requires requires { typename Tile::Chains; }
struct ChainsChoice<Tile> {
  using Type = typename Tile::Chains;
};
template <class Tile>
using ChainsOf = typename ChainsChoice<Tile>::Type;

}  // namespace annk::cuda
