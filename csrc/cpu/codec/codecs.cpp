// SPDX-License-Identifier: Apache-2.0
#include "cpu/codec/codec.h"

namespace annk::ANNK_ISA {

std::unique_ptr<const Codec> make_codec(const Dataset& store) {
  switch (store.kind) {
    case StoreKind::array:
      return nullptr;
#define ANNK_ROW(name, ...) \
  case StoreKind::name:     \
    return make_##name##_codec(store);
      ANNK_CODED_STORES(ANNK_ROW)
#undef ANNK_ROW
  }
  __builtin_trap();  // the bindings refuse other numbers
}

}  // namespace annk::ANNK_ISA
