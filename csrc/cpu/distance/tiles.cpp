// SPDX-License-Identifier: Apache-2.0
#include "cpu/distance/bit_tiles.h"
#include "cpu/distance/distance_computer.h"
#include "cpu/distance/root_tiles.h"

namespace annk::ANNK_ISA {
namespace {

using Made = std::unique_ptr<const DistanceComputer>;

// Null: rows are an array, or decoded.
Made tiles_of_kind(const Dataset& base, const Matrix& queries, Metric metric) {
  switch (base.kind) {
    case StoreKind::array:
      return nullptr;
#define ANNK_KEYS_own(name) return name##_distance_computer(base, queries, metric);
#define ANNK_KEYS_decoded(name) return nullptr;
#define ANNK_ROW(name, type, on_cpu, on_gpu) \
  case StoreKind::name:                      \
    ANNK_KEYS_##on_cpu(name)
      ANNK_CODED_STORES(ANNK_ROW)
#undef ANNK_ROW
#undef ANNK_KEYS_own
#undef ANNK_KEYS_decoded
  }
  __builtin_trap();  // the bindings refuse other numbers
}

Made bit_tiles(const Matrix& base, const Matrix& queries, Metric metric) {
  return visit(metric, [&]<class M>(M) -> Made {
    if constexpr (M::kBits) return std::make_unique<BitTiles<M>>(base, queries);
    return nullptr;
  });
}

}  // namespace

std::unique_ptr<const DistanceComputer> make_distance_computer(const Dataset& base, const Matrix& queries, Metric metric) {
  if (Made made = tiles_of_kind(base, queries, metric)) return made;
  if (metric == Metric::euclidean) return roots_of(make_distance_computer(base, queries, Metric::sqeuclidean));
  if (is_bit_metric(metric)) return bit_tiles(base, queries, metric);
  if (!from_dot(metric)) return float_tiles(base, queries, metric);
  if (Made integers = integer_tiles(base, queries, metric)) return integers;
  return float_tiles_from_dot(base, queries, metric);
}

}  // namespace annk::ANNK_ISA
