// SPDX-License-Identifier: Apache-2.0
#include "cuda/prefilter/prefilter_tile.cuh"

namespace annk::cuda {
namespace {

// The test of one warp's tile, and what becomes of those that pass. A lane holds 4 queries by 16 rows.
template <class Mma>
class CandidateFinder {
  using Tile = PrefilterTile<Mma>;
  static constexpr int kQueries = 2 * Tile::kQueryBlocks;

 public:
  __device__ __forceinline__ CandidateFinder(const PrefilterArgs& args, int query0) : a_(args), query0_(query0) {
#pragma unroll
    for (int i = 0; i < kQueries; ++i) open_ |= static_cast<unsigned>(query0 + place_of(i) < a_.m) << i;
  }

  // `row` is the tile's first; rows of the level end at `end`. `limits` are those of the block's queries.
  __device__ __forceinline__ void take(const Tile& tile, const Threshold* all_limits, const RowNorm* norms, int row,
                                       int end) {
    unsigned hits[2] = {0, 0};
    Threshold limits[kQueries];
#pragma unroll
    for (int i = 0; i < kQueries; ++i) limits[i] = all_limits[place_of(i)];
#pragma unroll
    for (int n = 0; n < Tile::kRowBlocks; ++n) {
      const float4 two = *reinterpret_cast<const float4*>(norms + Tile::first_row(n) + lane_id() % 4 * 2);
      const RowNorm x[2] = {{two.x, two.y}, {two.z, two.w}};
#pragma unroll
      for (int i = 0; i < kQueries; ++i)
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const float dot = static_cast<float>(tile.sums[i / 2][n][i % 2 * 2 + e]);
          const float value = multiply_add(limits[i].a, x[e].norm, multiply_add(limits[i].b, x[e].squared, dot));
          if (!(value < limits[i].c)) hits[n / 4] |= 1u << (n % 4 * 8 + i * 2 + e);
        }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll 1
      for (unsigned left = hits[half]; left != 0; left &= left - 1) {
        const int bit = __ffs(static_cast<int>(left)) - 1, query = bit % 8 / 2;
        const int at = row + Tile::first_row(half * 4 + bit / 8) + lane_id() % 4 * 2 + bit % 2;
        if (at < end && (open_ >> query & 1u) != 0) add(query, at);
      }
    }
  }

 private:
  // This lane's i-th query in the block.
  __device__ static __forceinline__ int place_of(int i) {
    return Tile::query_warp() * Tile::kQueryBlocks * 16 + 8 * i + lane_id() / 4;
  }

  // Once a query has too many, this thread finds no more for it.
  __device__ __forceinline__ void add(int i, int row) {
    const int query = query0_ + place_of(i);
    if (!a_.filter.is_allowed(a_.query_begin + query, row * a_.step)) return;
    const uint32_t at = atomicAdd(a_.counts + query, 1u);
    if (at < a_.capacity) {
      a_.candidates[static_cast<int64_t>(query) * a_.capacity + at] = static_cast<uint32_t>(row);
    } else {
      open_ &= ~(1u << i);
    }
  }

  const PrefilterArgs& a_;
  int query0_;
  unsigned open_ = 0;
};

template <class Mma>
__global__ void __launch_bounds__(kPrefilterThreads, 2) prefilter_kernel(const PrefilterArgs a) {
  using Tile = PrefilterTile<Mma>;
  ANNK_DYN_SHARED(unsigned char, shared);
  Threshold* limits = reinterpret_cast<Threshold*>(shared + Tile::kRingBytes);
  RowNorm* norms = reinterpret_cast<RowNorm*>(limits + kPrefilterTile);

  // Blocks of one split run side by side, so that its rows are read from memory once.
  const int each = static_cast<int>(a.splits.rows_each), begin = static_cast<int>(blockIdx.x / a.query_tiles) * each;
  const int left = static_cast<int>(a.rows.rows) - begin, rows = left < each ? left : each;
  const int query0 = static_cast<int>(blockIdx.x % a.query_tiles) * kPrefilterTile;
  const int query = static_cast<int>(threadIdx.x);
  if (query < kPrefilterTile)
    limits[query] = query0 + query < a.m ? a.thresholds[query0 + query] : Threshold{0, 0, INFINITY, 0};
  CandidateFinder<Mma> finder(a, query0);

  int fetch_row = 0, fetch_chunk = 0, stage = 1;  // the stage fetched next is the one before
  const auto fetch_next = [&] {
    if (fetch_row < rows)
      Tile::fetch(a, shared + (stage + kPrefilterStages - 1) % kPrefilterStages * Tile::kStageBytes, begin + fetch_row,
                  rows - fetch_row, query0, fetch_chunk);
    ptx::cp_async_commit();
    if (++fetch_chunk == a.chunks) {
      fetch_chunk = 0;
      fetch_row += kPrefilterTile;
    }
  };
#pragma unroll 1
  for (; stage < kPrefilterStages; ++stage) fetch_next();
  stage = 0;

  for (int row = 0; row < rows; row += kPrefilterTile) {
    Tile tile;
    tile.clear();
    for (int chunk = 0; chunk < a.chunks; ++chunk) {
      // The barrier says both that the chunk has arrived for all, and that all are done with the stage fetched next.
      ptx::cp_async_wait<kPrefilterStages - 2>();
      __syncthreads();
      fetch_next();
      tile.accumulate(shared + stage * Tile::kStageBytes);
      stage = (stage + 1) % kPrefilterStages;
    }
    tile.write_norms(norms);
    __syncthreads();
    finder.take(tile, limits, norms, begin + row, begin + rows);
  }
}

template <class Mma>
void launch(const PrefilterArgs& a, void* stream) {
  const int64_t grid = static_cast<int64_t>(a.query_tiles) * a.splits.count;
  constexpr size_t kSharedBytes = PrefilterTile<Mma>::kRingBytes + kPrefilterTile * (sizeof(Threshold) + sizeof(RowNorm));
  ANNK_LAUNCH(prefilter_kernel<Mma>, grid, kPrefilterThreads, kSharedBytes, stream, a);
}

}  // namespace

void find_candidates(const PrefilterArgs& a, void* stream) {
  switch (a.rows.dtype) {
    case DType::f32:
      return launch<MmaFloat>(a, stream);
    case DType::f16:
      return launch<MmaHalf>(a, stream);
    case DType::bf16:
      return launch<MmaBfloat16>(a, stream);
    case DType::i8:
      return launch<MmaInt8>(a, stream);
    case DType::u8:
      return launch<MmaUint8>(a, stream);
    case DType::bits:
      break;
  }
  no_kernel("element type");
}

}  // namespace annk::cuda
