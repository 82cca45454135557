// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/kinds.h"
#include "core/numeric.h"

namespace annk::cuda {

// body(T{}) with the type of a matrix's elements, bits aside.
template <class Body>
void visit_element(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::f32:
      return body(float{});
    case DType::f16:
      return body(ANNK_ISA::Half{});
    case DType::bf16:
      return body(ANNK_ISA::Bfloat16{});
    case DType::i8:
      return body(int8_t{});
    case DType::u8:
    case DType::bits:
      return body(uint8_t{});
  }
}

}  // namespace annk::cuda
