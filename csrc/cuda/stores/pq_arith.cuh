// SPDX-License-Identifier: Apache-2.0
// Product-quantized stores by tables, with the keys of cpu/distance/pq_tiles.h bit for bit.
#pragma once
#include "cuda/stores/pq_tile.cuh"

namespace annk::cuda {

struct alignas(16) PqQueryTerm {
  float step, bias;  // of tables of bytes
  PqShare share;
};

template <bool kNibbles>
struct PqArith {
  using Sum = std::conditional_t<kNibbles, int32_t, float>;
  using Metrics = MetricsFromDot;
  template <bool kWide>
  using OwnTile = std::conditional_t<kNibbles, PqNibbleTile<kWide>, PqByteTile>;
  using OwnPair = std::conditional_t<kNibbles, PqNibblePair, PqBytePair>;
  using QueryTerm = PqQueryTerm;
  struct RowTerm {
    float inverse_norm, tilt;
  };
  static constexpr int kBits = kNibbles ? 4 : 8;

  __device__ static __forceinline__ RowTerm row_term(Metric metric, const Dataset& store, int64_t row) {
    const bool cosine = metric == Metric::cosine;
    const float* const tilts = PqView::tilts_of(store);
    return {cosine ? PqView::norms_of(store)[row] : 0.0f, cosine && tilts != nullptr ? tilts[row] : 0.0f};
  }
  template <class Key>
  __device__ static __forceinline__ uint32_t key_bits(Key, Sum sum, const QueryTerm& query, const RowTerm& row) {
    constexpr Metric kMetric = Key::kMetric;
    static_assert(is_one_of<Key, Metric::sqeuclidean, Metric::euclidean, Metric::inner_product, Metric::cosine>);
    float key;
    if constexpr (kNibbles) {
      key = query.bias + query.step * static_cast<float>(sum);
    } else {
      key = sum;
    }
    if constexpr (kMetric == Metric::euclidean) key = sqrtf(key);
    if constexpr (kMetric == Metric::cosine) key = pq_cosine(key, query.share, row.inverse_norm, row.tilt);
    return sortable_bits(key);
  }
};

// As in lvq_arith.cuh.
struct PqRows {
  static constexpr int kLanes = 1;
  template <class Body>
  ANNK_HD static void visit(const ScanArgs& a, Body&& body) {
    PqView::is_blocked(a.base) ? body(std::type_identity<PqArith<true>>()) : body(std::type_identity<PqArith<false>>());
  }
};

}  // namespace annk::cuda
