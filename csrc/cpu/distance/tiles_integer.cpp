// SPDX-License-Identifier: Apache-2.0
#include "cpu/distance/distance_computer.h"
#include "cpu/distance/dot_tiles.h"

namespace annk::ANNK_ISA {

std::unique_ptr<const DistanceComputer> integer_tiles(const Dataset& base, const Matrix& queries, Metric metric) {
  if (base.kind != StoreKind::array || base.dtype != queries.dtype || base.dims > kMostDims8Bit) return nullptr;
  return visit(metric, [&]<class M>(M) -> std::unique_ptr<const DistanceComputer> {
    if constexpr (M::kFromDot && !kRootOfSquares<M>) {
      if (base.dtype == DType::i8) return std::make_unique<DotTiles<M, int8_t>>(base, queries);
      if (base.dtype == DType::u8) return std::make_unique<DotTiles<M, uint8_t>>(base, queries);
    }
    return nullptr;
  });
}

}  // namespace annk::ANNK_ISA
