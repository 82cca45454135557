// SPDX-License-Identifier: Apache-2.0
#include "cpu/distance/distance_computer.h"
#include "cpu/distance/made_of_floats.h"

namespace annk::ANNK_ISA {

std::unique_ptr<const DistanceComputer> float_tiles_from_dot(const Dataset& base, const Matrix& queries, Metric metric) {
  return visit(metric, [&]<class M>(M) -> std::unique_ptr<const DistanceComputer> {
    if constexpr (M::kFromDot && !kRootOfSquares<M>) return made_of_floats<M>(base, queries);
    return nullptr;
  });
}

}  // namespace annk::ANNK_ISA
