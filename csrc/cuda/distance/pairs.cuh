// SPDX-License-Identifier: Apache-2.0
// Chosen pairs of queries and rows: the same arithmetic over the same chain as a tile's.
#pragma once
#include "cuda/codec/codec.cuh"
#include "cuda/distance/arith.cuh"
#include "cuda/distance/scan.h"

namespace annk::cuda {

inline constexpr int kPairThreads = 128;
inline constexpr int kPiecesAhead = 4;  // 16-byte pieces of a row in flight

// Bytes [at, at + 16) of a row of `bytes`, zero beyond its end.
__device__ __forceinline__ uint4 load_piece(const unsigned char* row, int64_t at, int64_t bytes, bool vector_loads) {
  if (vector_loads && at + 16 <= bytes) return *reinterpret_cast<const uint4*>(row + at);
  uint32_t words[4] = {};
#pragma unroll
  for (int i = 0; i < 16; ++i)
    if (at + i < bytes) words[i / 4] |= static_cast<uint32_t>(row[at + i]) << (8 * (i % 4));
  return {words[0], words[1], words[2], words[3]};
}

// One pair's sums, for all lanes of a team. An arithmetic with an OwnTile brings its own, by a thread from a row's number.
template <class Arith>
struct PairSums {
  static_assert(row_chunk_bytes(false, Arith::kBits, Arith::kWidens) % (16 * kPiecesAhead) == 0);
  using Operand = typename Arith::Operand;
  using Sum = typename Arith::Sum;
  Sum sum = 0, self_dot = 0;

  // Queries are padded to whole chunks, of which one holds a multiple of kPiecesAhead pieces; a team's may end earlier.
  template <class Team>
  __device__ __forceinline__ void add_row(const ScanArgs& a, const unsigned char* row, int64_t query, bool with_self_dot,
                                          const Team& team) {
    constexpr int kSize = Team::kSize, kQueryPiece = 16 * Arith::kParts;
    const int64_t bytes = (a.base.dims * Arith::kBits + 7) / 8;
    const int64_t chain = kInChains<Arith> ? chain_dims(a.base.dims) * Arith::kBits / 8 : bytes;
    Sum chains = 0, self_chains = 0;
    const unsigned char* from = a.queries + query * a.query_pitch + team.lane * kQueryPiece;
    for (int64_t at = 16 * team.lane; at < bytes; at += 16 * kSize * kPiecesAhead) {
      if (kInChains<Arith> && at > 0 && (at & (chain - 1)) == 0) {
        chains += sum, self_chains += self_dot;
        sum = self_dot = 0;
      }
      uint4 raw[kPiecesAhead];
#pragma unroll
      for (int i = 0; i < kPiecesAhead; ++i) raw[i] = load_piece(row, at + 16 * kSize * i, bytes, a.vector_loads);
#pragma unroll
      for (int i = 0; i < kPiecesAhead; ++i, from += kQueryPiece * kSize)
        if (kSize == 1 || at + 16 * kSize * i < bytes) take(raw[i], from, with_self_dot);
    }
    if constexpr (kInChains<Arith>) sum = chains + sum, self_dot = self_chains + self_dot;
    if constexpr (kSize > 1) {
      sum = team.sum(sum);
      if (with_self_dot) self_dot = team.sum(self_dot);
    }
  }

 private:
  __device__ __forceinline__ void take(const uint4& raw, const unsigned char* query, bool with_self_dot) {
#pragma unroll
    for (int part = 0; part < Arith::kParts; ++part) {
      Operand x[4], y[4];
      Arith::expand(raw, part, x);
      read4(query + 16 * part, y);
#pragma unroll
      for (int i = 0; i < 4; ++i) sum = Arith::step(sum, y[i], x[i]);
      if (with_self_dot)
#pragma unroll
        for (int i = 0; i < 4; ++i) self_dot = Arith::add_self_dot(self_dot, x[i]);
    }
  }
};
template <class Arith>
struct PairChoice {
  using Type = PairSums<Arith>;
};
template <class Arith>
  requires requires { typename Arith::OwnPair; }
struct PairChoice<Arith> {
  using Type = typename Arith::OwnPair;
};

// The key, in order, of prepared query `query` and row `number`, which lies at `row`, for all lanes of a team. Floats are
// summed by one lane, since the order of a chain is part of the contract; sums of integers are exact, so that a team may
// share the pieces of a row.
template <class Arith, class Team>
__device__ __forceinline__ uint32_t key_bits_of_pair(const ScanArgs& a, int64_t query, const unsigned char* row,
                                                     int64_t number, const Team& team) {
  static_assert(Team::kSize == 1 || std::is_same_v<typename Arith::Sum, int32_t>);
  const bool summed = !Terms<Arith>::kRead && Terms<Arith>::needed(a.metric);
  typename PairChoice<Arith>::Type sums;
  if constexpr (requires { typename Arith::OwnPair; }) {
    sums.add_row(a, number, query, summed);
  } else {
    sums.add_row(a, row, query, summed, team);
  }
  typename Terms<Arith>::Row row_term{};
  if constexpr (Terms<Arith>::kRead) {
    row_term = Arith::row_term(a.metric, a.base, number);
  } else if (summed) {
    row_term = Arith::row_word(a.metric, sums.self_dot, row, a.base.dims);
  }
  typename Terms<Arith>::Query query_term{};
  if (a.query_words != nullptr) query_term = reinterpret_cast<const typename Terms<Arith>::Query*>(a.query_words)[query];
  uint32_t made = kNoKey;
  visit_list(typename Arith::Metrics{}, a.metric,
             [&](auto metric) { made = Arith::key_bits(metric, sums.sum, query_term, row_term); });
  return made;
}

template <class Arith>
__global__ void __launch_bounds__(kPairThreads) pairs_kernel(const PairArgs a) {
  const int64_t p = static_cast<int64_t>(blockIdx.x) * kPairThreads + threadIdx.x;
  if (p >= a.pairs) return;
  const int64_t id = a.ids[p], query = (a.first_pair + p) / a.width;
  const Metric metric = a.scan.metric;
  uint32_t key_bits = kNoKey;
  if (id >= 0) key_bits = key_bits_of_pair<Arith>(a.scan, query, a.scan.base.row(a.gathered ? p : id), id, RowTeam<1>());
  if (!a.reported) {
    a.out[p] = key_bits;
  } else if (id >= 0) {
    a.out[p] = reported_bits<Arith>(metric, key_bits);
  } else {
    a.out[p] = is_int_metric(metric) ? static_cast<uint32_t>(kMissingInt) : bits_of_float(missing_distance(metric));
  }
}

template <class Arith>
void launch_pairs(const PairArgs& a, void* stream) {
  require_listed(typename Arith::Metrics{}, a.scan.metric);
  ANNK_LAUNCH(pairs_kernel<Arith>, ceil_div<int64_t>(a.pairs, kPairThreads), kPairThreads, 0, stream, a);
}

}  // namespace annk::cuda
