// SPDX-License-Identifier: Apache-2.0
#include "cpu/codec/codec.h"
#include "cpu/codec/lvq_codec.h"
#include "cpu/codec/pq_codec.h"
#include "cpu/codec/rabitq_codec.h"

namespace annk::ANNK_ISA {

std::unique_ptr<const Codec> make_codec(const Dataset& store) {
  switch (store.kind) {
    case StoreKind::array:
      break;
    case StoreKind::lvq:
      return std::make_unique<LvqCodec>(store);
    case StoreKind::rabitq:
      return std::make_unique<RabitqCodec>(store);
    case StoreKind::pq:
      return std::make_unique<PqCodec>(store);
  }
  return nullptr;
}

}  // namespace annk::ANNK_ISA
