// SPDX-License-Identifier: Apache-2.0
// LVQ stores by integer products, with the keys of cpu/distance/lvq_tiles.h bit for bit. Codes multiply the query's in the
// order in which they lie in memory; those of four bits are taken from 16 bytes as 16 low nibbles, then 16 high ones.
#pragma once
#include "cuda/distance/arith.cuh"
#include "cuda/distance/scan.h"
#include "store/lvq.h"

namespace annk::cuda {

template <int kCodeBits>
struct LvqArith {
  using Element = uint8_t;
  using Operand = uint32_t;
  using Sum = int32_t;
  using Metrics = MetricsFromDot;
  static constexpr int kBits = kCodeBits, kQueryBits = 8, kParts = 8 / kCodeBits;
  static constexpr bool kWidens = false;

  struct alignas(16) QueryTerm {
    LvqQueryTerms<float> terms;
    float unit, unused[2];  // zero, and no padding: terms are copied by words
  };
  struct alignas(8) RowTerm {
    LvqScales scales;
    float norm, along, unused;
  };

  __device__ static __forceinline__ void expand(const uint4& raw, int part, uint32_t (&to)[4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) to[i] = kCodeBits == 8 ? word_of(raw, i) : word_of(raw, i) >> (4 * part) & 0x0f0f0f0fu;
  }
  __device__ static __forceinline__ int32_t step(int32_t sum, uint32_t q, uint32_t x) { return ptx::dot4_mixed(x, q, sum); }
  __device__ static __forceinline__ int32_t add_self_dot(int32_t sum, uint32_t) { return sum; }

  __device__ static __forceinline__ RowTerm row_term(Metric metric, const Dataset& store, int64_t row) {
    const LvqView view(store);
    const LvqNorms* const norms = view.norms + row;
    const bool cosine = metric == Metric::cosine, dot = cosine || metric == Metric::inner_product;
    const float offset = dot ? view.offset() : 0.0f;
    return {view.scales[row * view.scales_stride], cosine ? norms->inverse : norms->squared,
            offset > 0.0f ? lvq_along(cosine, norms->squared, norms->inverse, offset) : 0.0f};
  }
  template <class Key>
  __device__ static __forceinline__ uint32_t key_bits(Key, int32_t sum, const QueryTerm& query, const RowTerm& row) {
    const LvqRowTerms<float> terms{ptx::widen_half(row.scales.low.bits) * query.unit,
                                   ptx::widen_half(row.scales.step.bits) * query.unit, row.norm, row.along};
    const float key = lvq_key<Key>(static_cast<float>(sum), query.terms, terms, 0.0f, 2.0f);
    return sortable_bits(Key::kMetric == Metric::euclidean ? sqrtf(key) : key);
  }
};

// body(std::type_identity<Arith>()) with the arithmetic of a store. kLanes: threads that share a row.
struct LvqRows {
  static constexpr int kLanes = 4;
  template <class Body>
  ANNK_HD static void visit(const ScanArgs& a, Body&& body) {
    LvqView::bits_of(a.base) == 8 ? body(std::type_identity<LvqArith<8>>()) : body(std::type_identity<LvqArith<4>>());
  }
};

}  // namespace annk::cuda
