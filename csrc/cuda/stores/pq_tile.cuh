// SPDX-License-Identifier: Apache-2.0
// DistanceComputer of a scan of product-quantized rows (store/pq.h): a query is a table of what each codeword of each part
// adds to its key (cpu/distance/pq_tiles.h), and a stage of the ring holds the codes of a few parts beside their tables.
// Tables are not rounded further than the CPU's: those of 16 entries are its bytes, those of 256 its float32.
#pragma once
#include "cuda/distance/arith.cuh"
#include "cuda/distance/pairs.cuh"
#include "cuda/distance/scan.h"
#include "store/pq.h"

namespace annk::cuda {

// Of 4 bits. The entries of a codeword for kTogether queries lie side by side: one read of shared memory is as many
// look-ups, from 16 different groups of banks. Two parts are added as bytes (entries are at most 127) before dp4a with ones
// widens them into the sums.
struct NibbleShape {
  int together, parts;  // queries that a look-up serves, parts of a stage
};
__host__ __device__ constexpr NibbleShape nibble_shape(bool wide) { return wide ? NibbleShape{8, 16} : NibbleShape{4, 64}; }

// The place of entry c of part s of a query: tiles of queries, parts, queries that are looked up together, entries, queries.
__device__ __forceinline__ int64_t nibble_entry(bool wide, int64_t query, int64_t pitch, int64_t s, int c) {
  const ScanShape shape = scan_shape(wide);
  const int together = nibble_shape(wide).together, queries = shape.queries();
  const int64_t tile = query / queries, in_tile = query % queries;
  return tile * queries * pitch + (s * queries + in_tile / together * together) * 16 + c * together + in_tile % together;
}

template <bool kWide>
struct PqNibbleTile {
  static constexpr ScanShape kShape = scan_shape(kWide);
  static constexpr int kQ = kShape.queries_per_warp, kR = kShape.rows_per_lane, kQueries = kShape.queries();
  static constexpr int kRows = kShape.rows(), kBlocks = kRows / static_cast<int>(kBlockRows);
  static constexpr int kTogether = nibble_shape(kWide).together, kParts = nibble_shape(kWide).parts;
  static constexpr int kCodeBytes = kBlocks * kParts * static_cast<int>(kPartBytes), kTableBytes = kQueries * kParts * 16;
  static_assert(kRows == kScanThreads && kWarp == kBlockRows, "a lane's rows lie in as many blocks");

  int32_t sums[kQ][kR];
  int32_t self_dot = 0;

  __host__ __device__ static constexpr int stage_bytes(const Dataset&) { return kCodeBytes + kTableBytes; }

  __device__ static __forceinline__ void fetch(const ScanArgs& a, unsigned char* stage, int64_t row0, int rows, int query0,
                                               int chunk) {
    const int first = chunk * kParts, left = static_cast<int>(a.base.dims) - first;
    const int64_t block_bytes = a.base.dims * kPartBytes;
    const unsigned char* const codes =
        static_cast<const unsigned char*>(a.base.data) + row0 / kBlockRows * block_bytes + first * kPartBytes;
#pragma unroll 2
    for (int i = static_cast<int>(threadIdx.x); i < kBlocks * kParts; i += kScanThreads) {
      const int block = i / kParts, part = i % kParts;
      const bool there = block * static_cast<int>(kBlockRows) < rows && part < left;
      copy16(a, stage + 16 * i, there ? codes + block * block_bytes + part * kPartBytes : nullptr);
    }
    const unsigned char* const tables = a.queries + query0 * a.query_pitch + static_cast<int64_t>(chunk) * kTableBytes;
#pragma unroll 2
    for (int i = static_cast<int>(threadIdx.x); i < kTableBytes / 16; i += kScanThreads)
      ptx::cp_async16(stage + kCodeBytes + 16 * i, tables + 16 * i, 16);
  }

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int q = 0; q < kQ; ++q)
#pragma unroll
      for (int r = 0; r < kR; ++r) sums[q][r] = 0;
  }

  __device__ __forceinline__ void accumulate(const Dataset& base, const unsigned char* stage, int chunk, bool) {
    const int lane = lane_id(), query_warp = warp_id() % kShape.query_warps, row_warp = warp_id() / kShape.query_warps;
    const int left = static_cast<int>(base.dims) - chunk * kParts, parts = left < kParts ? left : kParts;
    const unsigned char* codes = stage + row_warp * kR * kParts * kPartBytes + lane % 16;
    const unsigned char* tables = stage + kCodeBytes + query_warp * kQ * 16;
#pragma unroll 1
    for (int part = 0; part < parts; part += 2, codes += 2 * kPartBytes, tables += 2 * 16 * kQueries) {
#pragma unroll
      for (int r = 0; r < kR; ++r) {
        const unsigned char* const own_codes = codes + r * kParts * kPartBytes;
        const unsigned char* const first = tables + entry_of(own_codes[0]);
        const unsigned char* const second = tables + 16 * kQueries + entry_of(own_codes[kPartBytes]);
#pragma unroll
        for (int q = 0; q < kQ; q += kTogether) add(first + q * 16, second + q * 16, q, r);
      }
    }
  }

 private:
  // Where the entries of a row's codeword lie. A lane's rows are in the same half of a byte.
  __device__ static __forceinline__ int entry_of(int both) { return (both >> (lane_id() / 16 * 4) & 15) * kTogether; }

  __device__ __forceinline__ void add(const unsigned char* first, const unsigned char* second, int q, int r) {
    uint32_t words[kTogether / 4];
    if constexpr (kTogether == 8) {
      const uint2 one = *reinterpret_cast<const uint2*>(first), other = *reinterpret_cast<const uint2*>(second);
      words[0] = one.x + other.x;
      words[1] = one.y + other.y;
    } else {
      words[0] = *reinterpret_cast<const uint32_t*>(first) + *reinterpret_cast<const uint32_t*>(second);
    }
#pragma unroll
    for (int i = 0; i < kTogether; ++i)
      sums[q + i][r] =
          static_cast<int32_t>(__dp4a(words[i / 4], 1u << (8 * (i % 4)), static_cast<unsigned>(sums[q + i][r])));
  }

  // 16 bytes of codes, zeros for none.
  __device__ static __forceinline__ void copy16(const ScanArgs& a, unsigned char* to, const unsigned char* from) {
    if (a.vector_loads) return ptx::cp_async16(to, from != nullptr ? from : a.queries, from != nullptr ? 16 : 0);
    for (int i = 0; i < 16; ++i) to[i] = from != nullptr ? from[i] : 0;
  }
};

struct PqNibblePair {
  int32_t sum = 0, self_dot = 0;

  __device__ __forceinline__ void add_row(const ScanArgs& a, int64_t number, int64_t query, bool) {
    const int64_t in_block = number % kBlockRows, parts = a.base.dims;
    const int shift = in_block < 16 ? 0 : 4;
    const unsigned char* codes =
        static_cast<const unsigned char*>(a.base.data) + number / kBlockRows * parts * kPartBytes + in_block % 16;
    const unsigned char* table = a.queries + nibble_entry(false, query, a.query_pitch, 0, 0);
    constexpr int kEntry = nibble_shape(false).together, kPart = 16 * scan_shape(false).queries();
#pragma unroll 4
    for (int64_t s = 0; s < parts; ++s, codes += kPartBytes, table += kPart) sum += table[(*codes >> shift & 15) * kEntry];
  }
};

// Of 8 bits. A part's table is 1 KiB, and a look-up shares its bank with three others of its warp on average. So a block
// keeps one query and takes many rows: a table comes from memory once for 1,024 of them, a byte a look-up. Sums are one
// float32 chain over ascending parts.
struct PqByteTile {
  static constexpr ScanShape kShape = {1, 8, 1, 4, 2, 4};
  static constexpr int kQ = 1, kR = kShape.rows_per_lane, kQueries = 1, kRows = kShape.rows();
  static constexpr int kParts = 16, kEntries = 256, kPartTable = kEntries * static_cast<int>(sizeof(float));
  static constexpr int kCodeBytes = kRows * kParts, kTableBytes = kParts * kPartTable;

  float sums[kQ][kR];
  int32_t self_dot = 0;

  __host__ __device__ static constexpr int stage_bytes(const Dataset&) { return kCodeBytes + kTableBytes; }

  __device__ static __forceinline__ void fetch(const ScanArgs& a, unsigned char* stage, int64_t row0, int rows, int query0,
                                               int chunk) {
    const unsigned char* const codes = a.base.row(row0) + chunk * kParts;
    const int left = static_cast<int>(a.base.dims) - chunk * kParts;
    if (a.vector_loads) {
      fetch_codes<16>(a, stage, codes, rows, left);
    } else if ((reinterpret_cast<uintptr_t>(a.base.data) | static_cast<uintptr_t>(a.base.stride)) % 4 == 0) {
      fetch_codes<4>(a, stage, codes, rows, left);
    } else {
      fetch_codes<1>(a, stage, codes, rows, left);
    }
    const unsigned char* const tables = a.queries + query0 * a.query_pitch + static_cast<int64_t>(chunk) * kTableBytes;
#pragma unroll 1
    for (int at = 16 * static_cast<int>(threadIdx.x); at < kTableBytes; at += 16 * kScanThreads)
      ptx::cp_async16(stage + kCodeBytes + at, tables + at, 16);
  }

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int r = 0; r < kR; ++r) sums[0][r] = 0.0f;
  }

  // Parts beyond the last add zeros.
  __device__ __forceinline__ void accumulate(const Dataset&, const unsigned char* stage, int, bool) {
    uint4 codes[kR];
#pragma unroll
    for (int r = 0; r < kR; ++r)
      codes[r] = *reinterpret_cast<const uint4*>(stage + (warp_id() * kWarp * kR + r * kWarp + lane_id()) * kParts);
    const float* const tables = reinterpret_cast<const float*>(stage + kCodeBytes);
#pragma unroll
    for (int part = 0; part < kParts; ++part)
#pragma unroll
      for (int r = 0; r < kR; ++r)
        sums[0][r] = sums[0][r] + tables[part * kEntries + (word_of(codes[r], part / 4) >> (8 * (part % 4)) & 255u)];
  }

 private:
  template <int kBytes>
  __device__ static __forceinline__ void fetch_codes(const ScanArgs& a, unsigned char* stage, const unsigned char* codes,
                                                     int rows, int left) {
    constexpr int kInRow = kParts / kBytes;
#pragma unroll 1
    for (int i = static_cast<int>(threadIdx.x); i < kRows * kInRow; i += kScanThreads) {
      const int row = i / kInRow, at = i % kInRow * kBytes;
      const bool there = row < rows && at < left;
      const unsigned char* const from = codes + row * a.base.stride + at;
      if constexpr (kBytes == 16) {
        ptx::cp_async16(stage + 16 * i, there ? from : a.queries, there ? 16 : 0);
      } else if constexpr (kBytes == 4) {
        ptx::cp_async4(stage + 4 * i, there ? from : a.queries, there ? 4 : 0);
      } else {
        stage[i] = there ? *from : 0;
      }
    }
  }
};

struct PqBytePair {
  float sum = 0.0f;
  int32_t self_dot = 0;

  __device__ __forceinline__ void add_row(const ScanArgs& a, int64_t number, int64_t query, bool) {
    const float* table = reinterpret_cast<const float*>(a.queries + query * a.query_pitch);
    for (int64_t at = 0; at < a.base.dims; at += 16) {
      const uint4 codes = load_piece(a.base.row(number), at, a.base.dims, a.vector_loads);
#pragma unroll
      for (int part = 0; part < 16; ++part, table += PqByteTile::kEntries)
        sum = sum + table[word_of(codes, part / 4) >> (8 * (part % 4)) & 255u];
    }
  }
};

}  // namespace annk::cuda
