// SPDX-License-Identifier: Apache-2.0
#include "cpu/distance/bit_tiles.h"
#include "cpu/distance/decoded_tiles.h"
#include "cpu/distance/distance_computer.h"
#include "cpu/distance/dot_tiles.h"
#include "cpu/distance/float_tiles.h"

namespace annk::ANNK_ISA {
namespace {

using Made = std::unique_ptr<const DistanceComputer>;

template <class M>
Made array_tiles(const Matrix& base, const Matrix& queries) {
  if constexpr (M::kBits) return std::make_unique<BitTiles<M>>(base, queries);
  if constexpr (M::kFromDot) {
    if (base.dtype == DType::i8 && queries.dtype == DType::i8) return std::make_unique<DotTiles<M, int8_t>>(base, queries);
    if (base.dtype == DType::u8 && queries.dtype == DType::u8) return std::make_unique<DotTiles<M, uint8_t>>(base, queries);
  }
  if constexpr (!M::kBits) return std::make_unique<FloatTiles<M>>(base, queries);
}

Made own_tiles(const Dataset& base, const Matrix& queries, Metric metric) {
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

}  // namespace

std::unique_ptr<const DistanceComputer> make_distance_computer(const Dataset& base, const Matrix& queries, Metric metric) {
  if (base.kind == StoreKind::array) return visit(metric, [&]<class M>(M) { return array_tiles<M>(base, queries); });
  if (Made own = own_tiles(base, queries, metric)) return own;
  return visit(metric, [&]<class M>(M) -> Made {
    if constexpr (!M::kBits) return std::make_unique<DecodedTiles<M>>(base, make_codec(base), queries);
    return nullptr;
  });
}

}  // namespace annk::ANNK_ISA
