// SPDX-License-Identifier: Apache-2.0
#include "cpu/stores.h"
#include "store/lvq_tiles.h"

namespace annk::ANNK_ISA {

// With its residual a row is decoded: only the few that are reranked are asked for.
std::unique_ptr<const Tiles> lvq_tiles(const Base& base, const Matrix& queries, Metric metric) {
  return visit(metric, [&]<class M>(M) -> std::unique_ptr<const Tiles> {
    if constexpr (M::kFromDot) {
      if (base.numbers[1] == 0 && base.numbers[0] == 8) return std::make_unique<CodeTiles<M, LvqRows<8>>>(base, queries);
      if (base.numbers[1] == 0 && base.numbers[0] == 4) return std::make_unique<CodeTiles<M, LvqRows<4>>>(base, queries);
    }
    return nullptr;
  });
}

}  // namespace annk::ANNK_ISA
