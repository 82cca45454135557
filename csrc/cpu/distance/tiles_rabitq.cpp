// SPDX-License-Identifier: Apache-2.0
#include "cpu/distance/distance_computer.h"
#include "cpu/distance/rabitq_tiles.h"
#include "cpu/distance/root_tiles.h"

namespace annk::ANNK_ISA {

namespace {

template <class M, int kBits>
std::unique_ptr<const DistanceComputer> tiles_of_bits(const Dataset& base, const Matrix& queries) {
  if constexpr (M::kFromDot && !kRootOfSquares<M> && kBits <= 8) {
    if (RabitqView::bits_of(base) == kBits) return std::make_unique<CodeTiles<M, RabitqRows<kBits>>>(base, queries);
    return tiles_of_bits<M, kBits + 1>(base, queries);
  }
  return nullptr;
}

}  // namespace

std::unique_ptr<const DistanceComputer> rabitq_distance_computer(const Dataset& base, const Matrix& queries, Metric metric) {
  if (metric == Metric::euclidean) return roots_of(rabitq_distance_computer(base, queries, Metric::sqeuclidean));
  if (rabitq_dims(base.dims) > rabitq_most_dims(RabitqView::bits_of(base))) return nullptr;
  return visit(metric, [&]<class M>(M) { return tiles_of_bits<M, 1>(base, queries); });
}

}  // namespace annk::ANNK_ISA
