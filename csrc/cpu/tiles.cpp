// SPDX-License-Identifier: Apache-2.0
#include "cpu/scan.h"
#include "store/bit_tiles.h"
#include "store/dot_tiles.h"
#include "store/float_tiles.h"

namespace annk::ANNK_ISA {

std::unique_ptr<const Tiles> make_tiles(const Matrix& base, const Matrix& queries, Metric metric) {
  return visit(metric, [&]<class M>(M) -> std::unique_ptr<const Tiles> {
    if constexpr (M::kBits) return std::make_unique<BitTiles<M>>(base, queries);
    if constexpr (M::kFromDot) {
      if (base.dtype == DType::i8 && queries.dtype == DType::i8) return std::make_unique<DotTiles<M, int8_t>>(base, queries);
      if (base.dtype == DType::u8 && queries.dtype == DType::u8)
        return std::make_unique<DotTiles<M, uint8_t>>(base, queries);
    }
    if constexpr (!M::kBits) return std::make_unique<FloatTiles<M>>(base, queries);
  });
}

}  // namespace annk::ANNK_ISA
