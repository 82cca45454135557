// SPDX-License-Identifier: Apache-2.0
#include "cpu/distance/distance_computer.h"
#include "cpu/distance/lvq_tiles.h"
#include "cpu/distance/root_tiles.h"

namespace annk::ANNK_ISA {

std::unique_ptr<const DistanceComputer> lvq_distance_computer(const Dataset& base, const Matrix& queries, Metric metric) {
  if (metric == Metric::euclidean) return roots_of(lvq_distance_computer(base, queries, Metric::sqeuclidean));
  return visit(metric, [&]<class M>(M) -> std::unique_ptr<const DistanceComputer> {
    if constexpr (M::kFromDot && !kRootOfSquares<M>) {
      const LvqView store(base);
      if (!store.codes_are_all()) return nullptr;
      if (store.bits == 8) return std::make_unique<CodeTiles<M, LvqRows<8>>>(base, queries);
      return std::make_unique<CodeTiles<M, LvqRows<4>>>(base, queries);
    }
    return nullptr;
  });
}

}  // namespace annk::ANNK_ISA
