// SPDX-License-Identifier: Apache-2.0
// The scan kernel: tiles of sums, turned into keys in registers, which an epilogue takes there.
#pragma once
#include "cuda/device/elements.h"
#include "cuda/distance/epilogues.h"
#include "cuda/distance/pairs.cuh"
#include "cuda/distance/tile.cuh"

namespace annk::cuda {

// The keys of a warp's sums.
template <class Arith, bool kWide>
class KeysOfWarp {
  using Shared = TileOf<Arith, kWide>;
  static constexpr ScanShape kShape = Shared::kShape;
  static constexpr int kQ = kShape.queries_per_warp, kR = kShape.rows_per_lane;
  using QueryTerm = typename Terms<Arith>::Query;
  using RowTerm = typename Terms<Arith>::Row;
  static_assert(kQ <= kWarp, "a lane for each query of a warp");

 public:
  __device__ __forceinline__ explicit KeysOfWarp(const ScanWarp<kShape>& warp) : warp_(warp) {
    const uint32_t* const words = warp.args.query_words;
    if (!Terms<Arith>::kRead)
      query_word_ = lane_id() < warp.queries && words != nullptr ? words[warp.query0 + lane_id()] : 0;
  }

  __device__ __forceinline__ void make(const Shared& tile, const RowTerm* row_terms, int row, WarpKeys<kShape>& keys) const {
    RowTerm terms[kR];
#pragma unroll
    for (int r = 0; r < kR; ++r) terms[r] = Terms<Arith>::needed(warp_.args.metric) ? row_terms[r * kWarp] : RowTerm{};
    // Query by query: a branch around all keys at once would cost a second register for each.
#pragma unroll
    for (int q = 0; q < kQ; ++q) {
      const QueryTerm query_term = term_of(q);
      visit_list(typename Arith::Metrics{}, warp_.args.metric, [&](auto metric) {
#pragma unroll
        for (int r = 0; r < kR; ++r) keys[q][r] = Arith::key_bits(metric, tile.sums[q][r], query_term, terms[r]);
      });
#pragma unroll
      for (int r = 0; r < kR; ++r) keys[q][r] = row + r * kWarp < warp_.rows ? keys[q][r] : kNoKey;
    }
  }

 private:
  __device__ __forceinline__ QueryTerm term_of(int q) const {
    if constexpr (Terms<Arith>::kRead) {
      return reinterpret_cast<const QueryTerm*>(warp_.args.query_words)[warp_.query0 + q];
    } else {
      return __shfl_sync(kAllLanes, query_word_, q);
    }
  }

  const ScanWarp<kShape>& warp_;
  uint32_t query_word_;
};

// Whether this block's queries are scanned: all are, or one of them has lost more candidates than may be. The same for all
// its threads.
template <int kQueries>
__device__ __forceinline__ bool is_scanned(const ScanArgs& a, int query0) {
  if (a.redo == nullptr) return true;
  const int query = query0 + static_cast<int>(threadIdx.x);
  const bool open = static_cast<int>(threadIdx.x) < kQueries && query < a.m && a.redo[query] > a.redo_above;
  return __syncthreads_or(open);
}

// What the base keeps of this thread's rows, of which the first is `thread_row` in a part of `rows` that starts at `begin`.
template <class Arith, int kRows>
__device__ __forceinline__ void read_terms(const ScanArgs& a, int64_t begin, int thread_row, int rows,
                                           typename Terms<Arith>::Row (&term)[kRows]) {
#pragma unroll
  for (int i = 0; i < kRows; ++i)
    if (thread_row + i * kScanThreads < rows)
      term[i] = Arith::row_term(a.metric, a.base, begin + thread_row + i * kScanThreads);
}

template <class Arith, bool kWide, class E>
__global__ void __launch_bounds__(kScanThreads, TileOf<Arith, kWide>::kShape.min_blocks)
    scan_kernel(const ScanArgs a, const E epilogue) {
  using Shared = TileOf<Arith, kWide>;
  constexpr ScanShape kShape = Shared::kShape;
  constexpr int kTermRows = Shared::kRows / kScanThreads;  // rows whose terms a thread sees to
  ANNK_DYN_SHARED(unsigned char, shared);
  const int stage_bytes = Shared::stage_bytes(a.base);
  using RowTerm = typename Terms<Arith>::Row;
  RowTerm* row_terms = reinterpret_cast<RowTerm*>(shared + Shared::kShape.stages * stage_bytes);

  // Blocks of one split run side by side, so that its rows are read from memory once.
  const int64_t split = blockIdx.x / a.query_tiles;
  const int query0 = static_cast<int>(blockIdx.x % a.query_tiles) * kShape.queries();
  if (!is_scanned<kShape.queries()>(a, query0)) return;
  const bool needs_term = Terms<Arith>::needed(a.metric), summed = !Terms<Arith>::kRead && needs_term;
  const ScanWarp<kShape> warp(a, split, query0);
  const KeysOfWarp<Arith, kWide> keys_of_warp(warp);
  typename E::template OfWarp<Arith, kShape> of_warp(epilogue, warp,
                                                     reinterpret_cast<unsigned char*>(row_terms + Shared::kRows));
  const int64_t begin = warp.begin;
  const int rows = warp.rows;

  int fetch_row = 0, fetch_chunk = 0, stage = 0;
  const auto fetch_next = [&](int to) {
    if (fetch_row < rows)
      Shared::fetch(a, shared + to * stage_bytes, begin + fetch_row, rows - fetch_row, query0, fetch_chunk);
    ptx::cp_async_commit();
    if (++fetch_chunk == a.chunks) {
      fetch_chunk = 0;
      fetch_row += Shared::kRows;
    }
  };
#pragma unroll 1
  for (int s = 1; s < kShape.stages; ++s) fetch_next(s - 1);

  for (int row = 0; row < rows; row += Shared::kRows) {
    Shared tile;
    ChainsOf<Shared> chains;
    tile.clear();
    const int thread_row = row + static_cast<int>(threadIdx.x);
    RowTerm term[kTermRows]{};  // asked for before the tile's dimensions, so that it is there behind them
    if constexpr (Terms<Arith>::kRead) read_terms<Arith>(a, begin, thread_row, rows, term);
    for (int chunk = 0; chunk < a.chunks; ++chunk) {
      // The barrier says both that the chunk has arrived for all, and that all are done with the stage fetched next.
      ptx::cp_async_wait<kShape.stages - 2>();
      __syncthreads();
      fetch_next(stage == 0 ? kShape.stages - 1 : stage - 1);
      const unsigned char* const there = shared + stage * stage_bytes;
      if constexpr (std::is_same_v<ChainsOf<Shared>, NoChains>)
        tile.accumulate(a.base, there, chunk, summed);
      else
        tile.accumulate(a.base, there, chunk, summed, chains);
      stage = stage + 1 == kShape.stages ? 0 : stage + 1;
    }
    if constexpr (!std::is_same_v<ChainsOf<Shared>, NoChains>) tile.finish(a.base, chains);
    if (needs_term) {
      if constexpr (!Terms<Arith>::kRead)
        term[0] = Arith::row_word(a.metric, tile.self_dot, thread_row < rows ? a.base.row(begin + thread_row) : nullptr,
                                  a.base.dims);
#pragma unroll
      for (int i = 0; i < kTermRows; ++i) row_terms[threadIdx.x + i * kScanThreads] = term[i];
      __syncthreads();
    }
    const int in_tile = warp.row_warp() * kWarp * kShape.rows_per_lane + lane_id();
    WarpKeys<kShape> keys;
    keys_of_warp.make(tile, row_terms + in_tile, row + in_tile, keys);
    of_warp.take(keys, row + in_tile);
  }
  of_warp.finish();
}

template <class Arith, bool kWide, class E>
void launch_scan(const ScanArgs& a, const E& epilogue, void* stream) {
  using Shared = TileOf<Arith, kWide>;
  constexpr ScanShape kShape = Shared::kShape;
  static_assert(Epilogue<E, Arith, kShape>);
  require_listed(typename Arith::Metrics{}, a.metric);
  const int64_t ring = static_cast<int64_t>(kShape.stages) * Shared::stage_bytes(a.base);
  const int64_t terms = Shared::kRows * static_cast<int64_t>(sizeof(typename Terms<Arith>::Row));
  const size_t shared_bytes = static_cast<size_t>(ring + terms + epilogue.shared_bytes(kShape));
  const int64_t grid = static_cast<int64_t>(a.query_tiles) * a.splits.count;
  ANNK_LAUNCH((scan_kernel<Arith, kWide, E>), grid, kScanThreads, shared_bytes, stream, a, epilogue);
}

// An arithmetic has two shapes, or one.
template <class Arith>
void launch_any(const ScanArgs& a, const AnyEpilogue& any, bool wide, void* stream) {
  constexpr bool kTwoShapes = !std::is_same_v<TileOf<Arith, true>, TileOf<Arith, false>>;
  const auto launch = [&](const auto& epilogue) {
    wide&& kTwoShapes ? launch_scan<Arith, kTwoShapes>(a, epilogue, stream) : launch_scan<Arith, false>(a, epilogue, stream);
  };
  std::visit(launch, any);
}

// Of::visit(args, body) calls body(std::type_identity<Arith>()) with the arithmetic of a scan.
template <class Of>
struct KernelsOf {
  static void scan(const ScanArgs& a, const AnyEpilogue& any, bool wide, void* stream) {
    Of::visit(a, [&]<class Arith>(std::type_identity<Arith>) { launch_any<Arith>(a, any, wide, stream); });
  }
  static void pairs(const PairArgs& a, void* stream) {
    Of::visit(a.scan, [&]<class Arith>(std::type_identity<Arith>) { launch_pairs<Arith>(a, stream); });
  }
};
template <class Of>
inline constexpr ScanKernels kScanKernels{KernelsOf<Of>::scan, KernelsOf<Of>::pairs};

// Rows that widen to float32.
template <class Step>
struct WidenedRows {
  template <class Body>
  static void visit(const ScanArgs& a, Body&& body) {
    visit_element(a.base.dtype, [&]<class T>(T) { body(std::type_identity<FloatArith<Step, T>>()); });
  }
};

}  // namespace annk::cuda
