// SPDX-License-Identifier: Apache-2.0
// The kernel of row_queries.h: a thread a row, which it reads once for kJoinQueries queries. The chains are those of
// pairs.cuh, and so are the bits.
#pragma once
#include "cuda/distance/pairs.cuh"
#include "cuda/graph/build/row_queries.h"

namespace annk::cuda {

// 16-byte pieces of a row in flight. With other numbers ptxas saves registers for one more block and spills, in one kernel
// or another, for one architecture or another.
template <class Arith>
inline constexpr int kJoinPieces = Arith::kBits < 8 ? 4 : 1;

// The sums of one row with kJoinQueries prepared queries that lie one after the other.
template <class Arith>
__device__ __forceinline__ void add_row(const ScanArgs& a, const unsigned char* row, int64_t slot,
                                        typename Arith::Sum (&sums)[1][kJoinQueries]) {
  constexpr int kPieces = kJoinPieces<Arith>, kQueryPiece = 16 * Arith::kParts;
  const int64_t bytes = (a.base.dims * Arith::kBits + 7) / 8;
  const unsigned char* from = a.queries + slot * a.query_pitch;
  const int64_t chain = chain_dims(a.base.dims) * Arith::kBits / 8;
  typename Arith::Sum none = 0;
  ChainSums<kInChains<Arith>, 1, kJoinQueries, false> chains;
  chains.clear();
#pragma unroll 1
  for (int64_t at = 0; at < bytes; at += 16 * kPieces) {
    if (kInChains<Arith> && at > 0 && (at & (chain - 1)) == 0) chains.end_chain(sums, none);
    uint4 raw[kPieces];
#pragma unroll
    for (int i = 0; i < kPieces; ++i) raw[i] = load_piece(row, at + 16 * i, bytes, a.vector_loads);
#pragma unroll
    for (int i = 0; i < kPieces; ++i, from += kQueryPiece)
#pragma unroll
      for (int part = 0; part < Arith::kParts; ++part) {
        typename Arith::Operand x[4], y[4];
        Arith::expand(raw[i], part, x);
#pragma unroll
        for (int q = 0; q < kJoinQueries; ++q) {
          read4(from + q * a.query_pitch + 16 * part, y);
#pragma unroll
          for (int j = 0; j < 4; ++j) sums[0][q] = Arith::step(sums[0][q], y[j], x[j]);
        }
      }
  }
  if (bytes > chain) chains.add_to(sums, none);
}

// What a row's term is made from. Apart from the sums, where ptxas would have no register for it.
template <class Arith>
__device__ __forceinline__ uint32_t term_of_row(const ScanArgs& a, const unsigned char* row) {
  const int64_t bytes = (a.base.dims * Arith::kBits + 7) / 8;
  const int64_t chain = chain_dims(a.base.dims) * Arith::kBits / 8;
  typename Arith::Sum self_dot = 0, chains = 0;
#pragma unroll 1
  for (int64_t at = 0; at < bytes; at += 16) {
    if (kInChains<Arith> && (at & (chain - 1)) == 0) chains += self_dot, self_dot = 0;
    const uint4 raw = load_piece(row, at, bytes, a.vector_loads);
#pragma unroll
    for (int part = 0; part < Arith::kParts; ++part) {
      typename Arith::Operand x[4];
      Arith::expand(raw, part, x);
#pragma unroll
      for (int j = 0; j < 4; ++j) self_dot = Arith::add_self_dot(self_dot, x[j]);
    }
  }
  return Arith::row_word(a.metric, kInChains<Arith> ? chains + self_dot : self_dot, row, a.base.dims);
}

__device__ __forceinline__ void write_sortable_keys(uint32_t* to, const uint32_t (&sortable_keys)[kJoinQueries]) {
#pragma unroll
  for (int q = 0; q < kJoinQueries; q += 4)
    *reinterpret_cast<uint4*>(to + q) = {sortable_keys[q], sortable_keys[q + 1], sortable_keys[q + 2], sortable_keys[q + 3]};
}

template <class Arith>
__global__ void __launch_bounds__(kPairThreads) join_kernel(const JoinArgs a) {
  using QueryTerm = typename Terms<Arith>::Query;
  const int64_t p = static_cast<int64_t>(blockIdx.x) * kPairThreads + threadIdx.x;
  if (p >= a.positions) return;
  const JoinGroup group = a.join_groups[p];
  if (group.count == 0) return;
  const int64_t id = a.ids[p];
  const unsigned char* const row = a.scan.base.row(a.gathered ? p : id);
  uint32_t* const out = a.sortable_keys + p * a.width;
  if constexpr (requires { typename Arith::OwnPair; }) {
#pragma unroll 1
    for (int k = 0; k < group.count; ++k) out[k] = key_bits_of_pair<Arith>(a.scan, group.slot + k, row, id, RowTeam<1>());
  } else {
    uint32_t sortable_keys[kJoinQueries];
    typename Terms<Arith>::Row row_term{};
    if constexpr (Terms<Arith>::kRead) {
      row_term = Arith::row_term(a.scan.metric, a.scan.base, id);
    } else if (Terms<Arith>::needed(a.scan.metric)) {
      row_term = term_of_row<Arith>(a.scan, row);
    }
    for (int k = 0; k < group.count; k += kJoinQueries) {
      typename Arith::Sum sums[1][kJoinQueries] = {};
      add_row<Arith>(a.scan, row, group.slot + k, sums);
      const QueryTerm* const terms = reinterpret_cast<const QueryTerm*>(a.scan.query_words);
      visit_list(typename Arith::Metrics{}, a.scan.metric, [&](auto metric) {
#pragma unroll
        for (int q = 0; q < kJoinQueries; ++q)
          sortable_keys[q] =
              Arith::key_bits(metric, sums[0][q], terms != nullptr ? terms[group.slot + k + q] : QueryTerm{}, row_term);
      });
      write_sortable_keys(out + k, sortable_keys);
    }
  }
}

template <class Arith>
void launch_join(const JoinArgs& a, void* stream) {
  require_listed(typename Arith::Metrics{}, a.scan.metric);
  if (a.positions > 0)
    ANNK_LAUNCH(join_kernel<Arith>, ceil_div<int64_t>(a.positions, kPairThreads), kPairThreads, 0, stream, a);
}

// Of a store in its own form. Of: LvqRows and the like (stores/<kind>_arith.cuh).
template <class Of>
void join_rows(const JoinArgs& a, void* stream) {
  Of::visit(a.scan, [&]<class Arith>(std::type_identity<Arith>) { launch_join<Arith>(a, stream); });
}

}  // namespace annk::cuda
