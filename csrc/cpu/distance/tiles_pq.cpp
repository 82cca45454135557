// SPDX-License-Identifier: Apache-2.0
#include "cpu/distance/distance_computer.h"
#include "cpu/distance/pq_prefilter.h"

namespace annk::ANNK_ISA {

std::unique_ptr<const DistanceComputer> pq_distance_computer(const Dataset& base, const Matrix& queries, Metric metric) {
  return visit(metric, [&]<class M>(M) -> std::unique_ptr<const DistanceComputer> {
    if constexpr (M::kFromDot) {
      if (M::kTerm == Term::inverse_norm && PqView::norms_of(base) == nullptr) return nullptr;
      if (PqView::is_blocked(base)) return std::make_unique<PqBlockTiles<M>>(base, queries);
      return std::make_unique<PqByteTiles<M>>(base, queries);
    }
    return nullptr;
  });
}

}  // namespace annk::ANNK_ISA
