// SPDX-License-Identifier: Apache-2.0
// A tile of a scan of RaBitQ rows (store/rabitq.h). Codes of any number of bits become bytes in registers, once for all
// queries of a warp, and multiply the query's by dp4a. Those of one bit, too: an SM counts the bits of 16 words a cycle and
// does 64 dp4a, so that the six planes of a query up to 31 would take three times as long as the eight products of 32
// dimensions.
#pragma once
#include "cuda/distance/arith.cuh"
#include "cuda/distance/scan.h"
#include "store/rabitq.h"

namespace annk::cuda {

// A stage holds the codes of a power of two of groups, in 16-byte pieces: those of an odd number of bits come in pairs of
// groups. Rows lie an odd number of pieces apart, so that eight lanes in a row read eight different groups of banks.
struct RabitqChunk {
  int group_bytes, groups_log, pieces;

  // narrow: up to 64 bytes of a row and 8 groups. wide: as few as can be; the block's queries bring more bytes than its
  // rows.
  __host__ __device__ __forceinline__ RabitqChunk(int bits, bool wide)
      : group_bytes(8 * bits),
        groups_log(bits % 2 + (wide        ? 0
                               : bits <= 2 ? 2
                               : bits == 4 ? 1
                                           : 0)),
        pieces(group_bytes * groups() / 16) {}

  __host__ __device__ __forceinline__ int groups() const { return 1 << groups_log; }
  __host__ __device__ __forceinline__ int dims() const { return static_cast<int>(kRabitqGroup) << groups_log; }
  __host__ __device__ __forceinline__ int pitch() const { return 16 * (pieces | 1); }
};

// The dimension of a group whose code byte `at` of a prepared query multiplies. Codes of one bit count as they lie: a bit of
// each of four bytes; others in ascending order.
__device__ __forceinline__ int rabitq_dim_at(int bits, int at) {
  return bits == 1 ? at / 32 * 32 + at % 4 * 8 + at / 4 % 8 : at;
}

// The bytes of a group. It begins at a multiple of 8 bytes; of 4, where the caller's memory does.
struct RabitqGroup {
  const unsigned char* bytes;
  bool by_eight;
  __device__ __forceinline__ uint32_t four(int at) const { return *reinterpret_cast<const uint32_t*>(bytes + at); }
  __device__ __forceinline__ uint2 eight(int at) const {
    return by_eight ? *reinterpret_cast<const uint2*>(bytes + at) : uint2{four(at), four(at + 4)};
  }
};

// Codes of dimensions [16 t, 16 t + 16) of a group, in the order of rabitq_dim_at, a byte each.
template <bool kOneBit>
__device__ __forceinline__ void rabitq_codes(const RabitqGroup& group, int bits, int t, uint32_t (&to)[4]) {
  if constexpr (kOneBit) {
    const uint32_t word = group.four(t / 2 * 4) >> (t % 2 * 4);
#pragma unroll
    for (int i = 0; i < 4; ++i) to[i] = word >> i & 0x01010101u;
    return;
  }
  if (bits == 8) {
    const uint2 low = group.eight(16 * t), high = group.eight(16 * t + 8);
    to[0] = low.x, to[1] = low.y, to[2] = high.x, to[3] = high.y;
    return;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) to[i] = 0;
  int at = 0;
  if (bits & 4) {
    const uint2 low = group.eight(t % 2 * 16), high = group.eight(t % 2 * 16 + 8);
    const uint32_t words[4] = {low.x, low.y, high.x, high.y};
#pragma unroll
    for (int i = 0; i < 4; ++i)
      to[i] = (t < 2 ? words[i] << (bits & 3) : words[i] >> (4 - (bits & 3))) & 0x0f0f0f0fu << (bits & 3);
    at = 32;
  }
  if (bits & 2) {
    const uint2 low = group.eight(at), high = group.eight(at + 8);
    const uint32_t words[4] = {low.x, low.y, high.x, high.y};
#pragma unroll
    for (int i = 0; i < 4; ++i)
      to[i] |= (t == 0 ? words[i] << (bits & 1) : words[i] >> (2 * t - (bits & 1))) & 0x03030303u << (bits & 1);
    at += 16;
  }
  if (bits & 1) {  // a nibble to the low bits of four bytes
    const uint32_t word = group.four(at + t / 2 * 4) >> (t % 2 * 16);
#pragma unroll
    for (int i = 0; i < 4; ++i) to[i] |= ((word >> (4 * i) & 15u) * 0x00204081u) & 0x01010101u;
  }
}

template <int kParts>
struct RabitqSum {
  int32_t part[kParts];
};

template <bool kOneBit, int kParts, bool kWide>
struct RabitqTile {
  static constexpr ScanShape kShape = scan_shape(kWide, kParts);
  static constexpr int kQ = kShape.queries_per_warp, kR = kShape.rows_per_lane, kQueries = kShape.queries();
  static constexpr int kRows = kShape.rows();
  static_assert(kRows == kRowTile && kRowTile == kScanThreads);
  static_assert(kShape.query_warps * kShape.row_warps * kWarp == kScanThreads);

  RabitqSum<kParts> sums[kQ][kR];
  int32_t self_dot = 0;

  __host__ __device__ static __forceinline__ RabitqChunk chunk_of(const Dataset& base) {
    return RabitqChunk(RabitqView::bits_of(base), kWide);
  }
  __host__ __device__ static __forceinline__ int stage_bytes(const Dataset& base) {
    const RabitqChunk chunk = chunk_of(base);
    return kRowTile * chunk.pitch() + kQueries * kParts * chunk.dims();
  }

  __device__ static __forceinline__ void fetch(const ScanArgs& a, unsigned char* stage, int64_t row0, int rows, int query0,
                                               int number) {
    const RabitqChunk chunk = chunk_of(a.base);
    if (a.vector_loads) {
      fetch_rows<16>(a, chunk, stage, row0, rows, number);
    } else {
      fetch_rows<4>(a, chunk, stage, row0, rows, number);
    }
    const int bytes = kParts * chunk.dims(), shift = chunk.groups_log + (kParts == 2 ? 3 : 2);
    unsigned char* const to = stage + kRowTile * chunk.pitch();
    const unsigned char* const from = a.queries + query0 * a.query_pitch + static_cast<int64_t>(number) * bytes;
#pragma unroll 1
    for (int i = static_cast<int>(threadIdx.x); i < kQueries << shift; i += kScanThreads)
      ptx::cp_async16(to + 16 * i, from + (i >> shift) * a.query_pitch + 16 * (i & ((1 << shift) - 1)), 16);
  }

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int q = 0; q < kQ; ++q)
#pragma unroll
      for (int r = 0; r < kR; ++r) sums[q][r] = {};
  }

  __device__ __forceinline__ void accumulate(const Dataset& base, const unsigned char* stage, int, bool) {
    const RabitqChunk chunk = chunk_of(base);
    const int bits = RabitqView::bits_of(base), pitch = chunk.pitch(), dims = chunk.dims();
    const int query_warp = warp_id() % kShape.query_warps, row_warp = warp_id() / kShape.query_warps;
    const unsigned char* queries = stage + kRowTile * pitch + query_warp * kQ * kParts * dims;
    const unsigned char* const row = stage + (row_warp * kWarp * kR + lane_id()) * pitch;
#pragma unroll 1
    for (int first = 0; first < dims; first += 16, queries += 16) {
#pragma unroll
      for (int r = 0; r < kR; r += kRowsAtOnce) {
        uint32_t x[kRowsAtOnce][4];
#pragma unroll
        for (int i = 0; i < kRowsAtOnce; ++i) {
          const unsigned char* const group = row + (r + i) * kWarp * pitch + first / kGroup * chunk.group_bytes;
          rabitq_codes<kOneBit>(RabitqGroup{group, true}, bits, first % kGroup / 16, x[i]);
        }
        multiply(queries, dims, r, x);
      }
    }
  }

 private:
  // Of one bit: more would not fit 168 registers beside the addresses.
  static constexpr int kRowsAtOnce = kOneBit && kWide ? 2 : kR, kGroup = static_cast<int>(kRabitqGroup);

  // Sixteen dimensions of rows r and those behind it with the queries'.
  __device__ __forceinline__ void multiply(const unsigned char* queries, int dims, int r,
                                           const uint32_t (&x)[kRowsAtOnce][4]) {
#pragma unroll
    for (int q = 0; q < kQ; ++q) {
#pragma unroll
      for (int part = 0; part < kParts; ++part) {
        uint32_t y[4];
        read4(queries + (q * kParts + part) * dims, y);
#pragma unroll
        for (int w = 0; w < 4; ++w)
#pragma unroll
          for (int i = 0; i < kRowsAtOnce; ++i)
            sums[q][r + i].part[part] = ptx::dot4_mixed(x[i][w], y[w], sums[q][r + i].part[part]);
      }
    }
  }

  // Rows are multiples of 8 bytes, and so at least of 4-byte copies.
  template <int kBytes>
  __device__ static __forceinline__ void fetch_rows(const ScanArgs& a, const RabitqChunk& chunk, unsigned char* stage,
                                                    int64_t row0, int rows, int number) {
    const int in_row = chunk.pieces * 16 / kBytes, row_step = kScanThreads / in_row, step = kScanThreads % in_row;
    const int64_t offset = static_cast<int64_t>(number) * chunk.pieces * 16;
    const int64_t left = a.base.dims / kRabitqGroup * chunk.group_bytes - offset;
    int row = static_cast<int>(threadIdx.x) / in_row, at = static_cast<int>(threadIdx.x) % in_row;
#pragma unroll 1
    while (row < kRowTile) {
      const int64_t there = row < rows ? left - at * kBytes : 0;
      const int bytes = there >= kBytes ? kBytes : there > 0 ? static_cast<int>(there) : 0;
      unsigned char* const to = stage + row * chunk.pitch() + at * kBytes;
      const unsigned char* const from = bytes > 0 ? a.base.row(row0 + row) + offset + at * kBytes : a.queries;
      if constexpr (kBytes == 16) {
        ptx::cp_async16(to, from, bytes);
      } else {
        ptx::cp_async4(to, from, bytes);
      }
      row += row_step, at += step;
      if (at >= in_row) at -= in_row, ++row;
    }
  }
};

// A chosen pair: the codes of a row from memory, 8 bytes at a time.
template <bool kOneBit, int kParts>
struct RabitqPair {
  RabitqSum<kParts> sum = {};
  int32_t self_dot = 0;

  __device__ __forceinline__ void add_row(const ScanArgs& a, int64_t number, int64_t query, bool) {
    const unsigned char* const row = a.base.row(number);
    const int bits = RabitqView::bits_of(a.base);
    const RabitqChunk chunk(bits, false);
    const unsigned char* const codes = a.queries + query * a.query_pitch;
    for (int64_t first = 0; first < a.base.dims; first += 16) {
      const unsigned char* const group = row + first / kRabitqGroup * chunk.group_bytes;
      uint32_t x[4];
      rabitq_codes<kOneBit>(RabitqGroup{group, a.vector_loads}, bits, static_cast<int>(first % kRabitqGroup) / 16, x);
      const int64_t number = first / chunk.dims(), in_chunk = first % chunk.dims();
#pragma unroll
      for (int part = 0; part < kParts; ++part) {
        uint32_t y[4];
        read4(codes + (number * kParts + part) * chunk.dims() + in_chunk, y);
#pragma unroll
        for (int i = 0; i < 4; ++i) sum.part[part] = ptx::dot4_mixed(x[i], y[i], sum.part[part]);
      }
    }
  }
};

}  // namespace annk::cuda
