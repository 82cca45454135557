// SPDX-License-Identifier: Apache-2.0
#include "cpu/distance/bit_tiles.h"
#include "cpu/distance/distance_computer.h"
#include "cpu/distance/root_tiles.h"

namespace annk::ANNK_ISA {
namespace {

using Made = std::unique_ptr<const DistanceComputer>;

Made tiles_of_kind(const Dataset& base, const Matrix& queries, Metric metric) {
  switch (base.kind) {
    case StoreKind::lvq:
      return lvq_distance_computer(base, queries, metric);
    case StoreKind::rabitq:
      return rabitq_distance_computer(base, queries, metric);
    case StoreKind::pq:
      return pq_distance_computer(base, queries, metric);
    default:
      return nullptr;  // rows are decoded
  }
}

Made bit_tiles(const Matrix& base, const Matrix& queries, Metric metric) {
  return visit(metric, [&]<class M>(M) -> Made {
    if constexpr (M::kBits) return std::make_unique<BitTiles<M>>(base, queries);
    return nullptr;
  });
}

}  // namespace

std::unique_ptr<const DistanceComputer> make_distance_computer(const Dataset& base, const Matrix& queries, Metric metric) {
  if (Made own = tiles_of_kind(base, queries, metric)) return own;
  if (metric == Metric::euclidean) return roots_of(make_distance_computer(base, queries, Metric::sqeuclidean));
  if (Made integers = integer_tiles(base, queries, metric)) return integers;
  if (Made products = float_tiles_from_dot(base, queries, metric)) return products;
  if (Made others = float_tiles(base, queries, metric)) return others;
  return bit_tiles(base, queries, metric);
}

}  // namespace annk::ANNK_ISA
