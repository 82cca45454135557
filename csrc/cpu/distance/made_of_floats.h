// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "cpu/distance/decoded_tiles.h"
#include "cpu/distance/float_tiles.h"

namespace annk::ANNK_ISA {

// Keys under M of rows that are float32, become it or are decoded to it.
template <class M>
std::unique_ptr<const DistanceComputer> made_of_floats(const Dataset& base, const Matrix& queries) {
  if (base.kind == StoreKind::array) return std::make_unique<FloatTiles<M>>(base, queries);
  return std::make_unique<DecodedTiles<M>>(base, make_codec(base), queries);
}

}  // namespace annk::ANNK_ISA
