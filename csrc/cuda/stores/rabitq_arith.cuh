// SPDX-License-Identifier: Apache-2.0
// RaBitQ stores by integer products, with the keys of cpu/distance/rabitq_tiles.h bit for bit.
#pragma once
#include "cuda/stores/rabitq_tile.cuh"

namespace annk::cuda {

struct alignas(16) RabitqQueryTerm {
  RabitqQueryTerms<float> terms;
  int32_t zero_point[2];  // of each part: what is added to the sum of products
};

// kParts: 2 where queries have 15 bits.
template <bool kOneBit, int kParts>
struct RabitqArith {
  using Sum = RabitqSum<kParts>;
  using Metrics = MetricsFromDot;
  template <bool kWide>
  using OwnTile = RabitqTile<kOneBit, kParts, kWide>;
  using OwnPair = RabitqPair<kOneBit, kParts>;
  static constexpr int kBits = 8;

  using QueryTerm = RabitqQueryTerm;
  struct RowTerm {
    float step, along, norm, tilt;
  };

  __device__ static __forceinline__ RowTerm row_term(Metric metric, const Dataset& store, int64_t row) {
    const float* const at =
        RabitqView::has_own_terms(store)
            ? reinterpret_cast<const float*>(store.row(row) + store.dims / 8 * RabitqView::bits_of(store))
            : reinterpret_cast<const float*>(RabitqView::shared_of(store));
    const bool cosine = metric == Metric::cosine, binary = RabitqView::is_binary(store);
    const bool splits = cosine || (metric == Metric::inner_product && binary);
    const float* const offset = RabitqView::offset_of(store);
    const float tilt =
        splits && offset != nullptr ? rabitq_tilt(binary, cosine, {at[0], at[1], at[2], at[3]}, *offset) : 0.0f;
    return {at[0], at[1], cosine ? at[3] : at[2], tilt};
  }
  template <class Key>
  __device__ static __forceinline__ uint32_t key_bits(Key, const Sum& sum, const QueryTerm& query, const RowTerm& row) {
    float dot = static_cast<float>(sum.part[0] + query.zero_point[0]);
    if constexpr (kParts == 2) dot = dot * 128.0f + static_cast<float>(sum.part[1] + query.zero_point[1]);
    const RabitqRowTerms<float> terms{row.step, row.along, row.norm, row.tilt};
    const float key = rabitq_key<Key>(dot, query.terms, terms, 0.0f, 2.0f);
    return sortable_bits(Key::kMetric == Metric::euclidean ? sqrtf(key) : key);
  }
};

// As in lvq_arith.cuh.
struct RabitqRows {
  static constexpr int kLanes = 1;
  template <class Body>
  ANNK_HD static void visit(const ScanArgs& a, Body&& body) {
    const int bits = RabitqView::bits_of(a.base);
    if (bits == 1) return body(std::type_identity<RabitqArith<true, 1>>());
    rabitq_query_top(bits) > 127 ? body(std::type_identity<RabitqArith<false, 2>>())
                                 : body(std::type_identity<RabitqArith<false, 1>>());
  }
};

}  // namespace annk::cuda
