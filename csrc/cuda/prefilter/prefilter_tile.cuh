// SPDX-License-Identifier: Apache-2.0
// A tile of the prefilter: 128 queries against 128 rows of a level, 8 warps of 32 queries by 64 rows in m16n8 products. Rows
// and operands come in chunks of 64 bytes through a ring of stages. An instruction takes 32 bytes of a row, whatever the
// type.
#pragma once
#include "cuda/distance/arith.cuh"
#include "cuda/prefilter/prefilter.h"

namespace annk::cuda {

// Per element type of the rows: the product, and the squares of one word of a row added to a sum.
struct MmaFloat {
  using Sum = float;
  __device__ static __forceinline__ void multiply(Sum (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    ptx::mma_tf32(sums, a, b0, b1);
  }
  __device__ static __forceinline__ Sum squares(uint32_t word, Sum sum) {
    return multiply_add(float_of_bits(word), float_of_bits(word), sum);
  }
};
struct MmaHalf {
  using Sum = float;
  __device__ static __forceinline__ void multiply(Sum (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    ptx::mma_f16(sums, a, b0, b1);
  }
  __device__ static __forceinline__ Sum squares(uint32_t word, Sum sum) {
    const float low = ptx::widen_half(word & 0xffffu), high = ptx::widen_half(word >> 16);
    return multiply_add(high, high, multiply_add(low, low, sum));
  }
};
struct MmaBfloat16 {
  using Sum = float;
  __device__ static __forceinline__ void multiply(Sum (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    ptx::mma_bf16(sums, a, b0, b1);
  }
  __device__ static __forceinline__ Sum squares(uint32_t word, Sum sum) {
    const float low = float_of_bits(word << 16), high = float_of_bits(word & 0xffff0000u);
    return multiply_add(high, high, multiply_add(low, low, sum));
  }
};
struct MmaInt8 {
  using Sum = int32_t;
  __device__ static __forceinline__ void multiply(Sum (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    ptx::mma_s8(sums, a, b0, b1);
  }
  __device__ static __forceinline__ Sum squares(uint32_t word, Sum sum) { return dot4(int8_t{}, word, word, sum); }
};
struct MmaUint8 {
  using Sum = int32_t;
  __device__ static __forceinline__ void multiply(Sum (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    ptx::mma_u8(sums, a, b0, b1);
  }
  __device__ static __forceinline__ Sum squares(uint32_t word, Sum sum) { return dot4(uint8_t{}, word, word, sum); }
};

inline constexpr int kPrefilterThreads = 256, kPrefilterTile = kPrefilterQueries, kPrefilterStages = 4;
inline constexpr int kPrefilterChunk = 64;  // as prefilter.cu deals
static_assert(kPrefilterTile == kRowTile, "splits are dealt in the scan's tiles");

// What the prefilter's test needs of a row.
struct RowNorm {
  float norm, squared;
};

template <class Mma>
struct PrefilterTile {
  using Sum = typename Mma::Sum;
  static constexpr int kQueryWarps = 4, kQueryBlocks = 2, kRowBlocks = 8;
  static constexpr int kStageBytes = 2 * kPrefilterTile * kPrefilterChunk;
  static constexpr int kRingBytes = kPrefilterStages * kStageBytes;
  static_assert(kQueryWarps * kQueryBlocks * 16 == kPrefilterTile && 2 * kRowBlocks * 8 == kPrefilterTile);

  Sum sums[kQueryBlocks][kRowBlocks][4];
  Sum squares[2];  // of this lane's words of the first two blocks of rows

  // Eight rows, the same piece of each, lie in eight groups of banks.
  __device__ static __forceinline__ int place(int row, int piece) {
    return row * kPrefilterChunk + 16 * (piece ^ (row / 2 & 3));
  }
  __device__ static __forceinline__ int query_warp() { return warp_id() % kQueryWarps; }
  // The first row of the warp's n-th block of eight. The four warps of the same 64 rows begin at different blocks, so that
  // the two that come first, whose squares a warp adds up, are everyone's own.
  __device__ static __forceinline__ int first_row(int n) {
    return warp_id() / kQueryWarps * 64 + ((n + 2 * query_warp()) & (kRowBlocks - 1)) * 8;
  }

  // Starts the copies of a chunk of the operands from `query0` and of the rows from `row0`, of which there are so many.
  __device__ static __forceinline__ void fetch(const PrefilterArgs& a, unsigned char* stage, int row0, int rows, int query0,
                                               int chunk) {
    const int thread = static_cast<int>(threadIdx.x), piece = thread % 4;
    const int64_t offset = static_cast<int64_t>(chunk) * kPrefilterChunk + 16 * piece;
    const int64_t left = a.row_bytes - offset;
    const int there = left >= 16 ? 16 : left > 0 ? static_cast<int>(left) : 0;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int at = thread / 4 + i * 64, bytes = at < rows ? there : 0;
      const bool asked = query0 + at < a.m;
      ptx::cp_async16(stage + place(at, piece), asked ? a.operands + (query0 + at) * a.operand_pitch + offset : a.operands,
                      asked ? 16 : 0);
      ptx::cp_async16(stage + kPrefilterTile * kPrefilterChunk + place(at, piece),
                      bytes > 0 ? a.rows.row(row0 + at) + offset : a.operands, bytes);
    }
  }

  __device__ __forceinline__ void clear() {
    squares[0] = squares[1] = 0;
#pragma unroll
    for (int m = 0; m < kQueryBlocks; ++m)
#pragma unroll
      for (int n = 0; n < kRowBlocks; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) sums[m][n][i] = 0;
  }

  __device__ __forceinline__ void accumulate(const unsigned char* stage) {
    const int lane = lane_id();
    const unsigned char* rows = stage + kPrefilterTile * kPrefilterChunk;
    // A: matrices of rows 0-7 and 8-15, then the same of the next piece. B: two pieces of one block, then of the next.
    const int query_place = place(query_warp() * kQueryBlocks * 16 + lane % 16, lane / 16);
    const int row_place = place(lane % 8, lane / 8 % 2);
#pragma unroll 1
    for (int step = 0; step < 2; ++step) {
      uint32_t a[kQueryBlocks][4];
#pragma unroll
      for (int m = 0; m < kQueryBlocks; ++m)
        ptx::ldmatrix_x4(a[m], stage + ((query_place + m * 16 * kPrefilterChunk) ^ 32 * step));
#pragma unroll
      for (int n = 0; n < kRowBlocks; n += 2) {
        uint32_t b[4];
        ptx::ldmatrix_x4(b, rows + (first_row(n) + lane / 16 * 8) * kPrefilterChunk + (row_place ^ 32 * step));
        if (n == 0) {
          squares[0] = Mma::squares(b[1], Mma::squares(b[0], squares[0]));
          squares[1] = Mma::squares(b[3], Mma::squares(b[2], squares[1]));
        }
#pragma unroll
        for (int m = 0; m < kQueryBlocks; ++m) {
          Mma::multiply(sums[m][n], a[m], b[0], b[1]);
          Mma::multiply(sums[m][n + 1], a[m], b[2], b[3]);
        }
      }
    }
  }

  // Each warp writes the norms of its own two blocks of rows.
  __device__ __forceinline__ void write_norms(RowNorm* norms) const {
#pragma unroll
    for (int n = 0; n < 2; ++n) {
      Sum sum = squares[n];
      sum += __shfl_xor_sync(kAllLanes, sum, 1);
      sum += __shfl_xor_sync(kAllLanes, sum, 2);
      const float squared = static_cast<float>(sum);
      const bool usual = squared >= 0x1p-80f && squared <= 0x1p80f;
      if (lane_id() % 4 == 0)
        norms[first_row(n) + lane_id() / 4] = usual ? RowNorm{sqrtf(squared), squared} : RowNorm{NAN, NAN};
    }
  }
};

}  // namespace annk::cuda
