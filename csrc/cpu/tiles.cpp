// SPDX-License-Identifier: Apache-2.0
#include "cpu/stores.h"
#include "store/bit_tiles.h"
#include "store/decoded_tiles.h"
#include "store/dot_tiles.h"
#include "store/float_tiles.h"
#include "store/lvq_tiles.h"
#include "store/pq_tiles.h"
#include "store/rabitq_tiles.h"

namespace annk::ANNK_ISA {
namespace {

using Made = std::unique_ptr<const Tiles>;

template <class M>
Made array_tiles(const Matrix& base, const Matrix& queries) {
  if constexpr (M::kBits) return std::make_unique<BitTiles<M>>(base, queries);
  if constexpr (M::kFromDot) {
    if (base.dtype == DType::i8 && queries.dtype == DType::i8) return std::make_unique<DotTiles<M, int8_t>>(base, queries);
    if (base.dtype == DType::u8 && queries.dtype == DType::u8) return std::make_unique<DotTiles<M, uint8_t>>(base, queries);
  }
  if constexpr (!M::kBits) return std::make_unique<FloatTiles<M>>(base, queries);
}

// With its residual a row is decoded: only the few that are reranked are asked for.
template <class M>
Made lvq_tiles(const Base& base, const Matrix& queries) {
  if constexpr (M::kFromDot) {
    if (base.numbers[1] == 0 && base.numbers[0] == 8) return std::make_unique<CodeTiles<M, LvqRows<8>>>(base, queries);
    if (base.numbers[1] == 0 && base.numbers[0] == 4) return std::make_unique<CodeTiles<M, LvqRows<4>>>(base, queries);
  }
  return nullptr;
}

template <class M, int kBits>
Made rabitq_tiles(const Base& base, const Matrix& queries) {
  if constexpr (M::kFromDot && kBits <= 8) {
    if (base.numbers[0] == kBits) return std::make_unique<CodeTiles<M, RabitqRows<kBits>>>(base, queries);
    return rabitq_tiles<M, kBits + 1>(base, queries);
  }
  return nullptr;
}

template <class M>
Made pq_tiles(const Base& base, const Matrix& queries) {
  if constexpr (M::kFromDot) {
    if (M::kTerm == Term::inverse_norm && base.arrays[2] == nullptr) return nullptr;
    if (base.numbers[3] != 0) return std::make_unique<PqBlockTiles<M>>(base, queries);
    return std::make_unique<PqRowTiles<M>>(base, queries);
  }
  return nullptr;
}

template <class M>
Made store_tiles(const Base& base, const Matrix& queries) {
  Made own;
  if (base.kind == StoreKind::lvq) own = lvq_tiles<M>(base, queries);
  if (base.kind == StoreKind::rabitq) own = rabitq_tiles<M, 1>(base, queries);
  if (base.kind == StoreKind::pq) own = pq_tiles<M>(base, queries);
  if constexpr (!M::kBits)
    if (own == nullptr) own = std::make_unique<DecodedTiles<M>>(base, make_codec(base), queries);
  return own;
}

}  // namespace

std::unique_ptr<const Tiles> make_tiles(const Base& base, const Matrix& queries, Metric metric) {
  return visit(metric, [&]<class M>(M) {
    return base.kind == StoreKind::array ? array_tiles<M>(base, queries) : store_tiles<M>(base, queries);
  });
}

}  // namespace annk::ANNK_ISA
