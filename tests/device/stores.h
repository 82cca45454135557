// SPDX-License-Identifier: Apache-2.0
// Compressed stores in exact memory, made by the device's own encode, with what their rows decode to.
#pragma once
#include <string>

#include "ops/decode.h"
#include "ops/encode.h"
#include "plain.h"
#include "store/lvq.h"

namespace check {

using namespace annk;
using plain::Bytes;
using plain::Rows;

// An LVQ store: bits 0 is none, a plain array.
struct Lvq {
  int bits = 0, residual = 0;
  bool one_scale = false;
  int exponent = 0;
};

inline std::string text_of(const Lvq& s) {
  if (s.bits == 0) return "";
  return " lvq" + std::to_string(s.bits) + "x" + std::to_string(s.residual) + (s.one_scale ? " one scale" : "") +
         (s.exponent != 0 ? " 2^" + std::to_string(s.exponent) : "");
}

struct Store {
  Base base;
  Bytes codes, scales, norms, mean, residual, decoded;

  Store(const Lvq& s, const Matrix& x)
      : codes(x.rows * generic::turbo_bytes(x.dims, s.bits)),
        scales((s.one_scale ? 1 : x.rows) * 4),
        norms(x.rows * 8),
        mean(x.dims * 4),
        residual(s.residual == 0 ? 0 : x.rows * generic::turbo_bytes(x.dims, s.residual)),
        decoded(x.rows * x.dims * 4) {
    base = Matrix{nullptr, x.rows, x.dims, 0, DType::f32};
    base.kind = StoreKind::lvq;
    void* const arrays[] = {codes.data(), scales.data(), norms.data(), mean.data(), residual.data()};
    std::copy(std::begin(arrays), std::end(arrays), base.arrays);
    const int64_t numbers[] = {s.bits, s.residual, s.exponent, s.one_scale ? 0 : 1};
    std::copy(std::begin(numbers), std::end(numbers), base.numbers);
    for (int64_t j = 0; j < x.dims; ++j) mean.data<float>()[j] = s.one_scale ? 0.0f : 0.25f * static_cast<float>(j % 3);
    if (s.one_scale) {  // step 1/16 or 3/4, from -4 on
      scales.data<uint16_t>()[0] = s.bits == 8 ? 0x2c00 : 0x3a00;
      scales.data<uint16_t>()[1] = 0xc400;
    }
    const Bytes row(8);
    encode({x, base, 0, row.data<int64_t>(), {}});
    bad_row = *row.data<int64_t>();
    decode({base, nullptr, x.rows, decoded.data<float>(), {}});
  }
  int64_t bad_row = -1;
};

}  // namespace check
