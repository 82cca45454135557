// SPDX-License-Identifier: Apache-2.0
// A store to copy: this file to csrc/store/, absmax_codec.cpp to csrc/cpu/codec/, absmax_codec.cuh to csrc/cuda/codec/,
// absmax.py to python/annkern/stores/, absmax_reference.py to python/annkern/reference/absmax.py. What else takes a line of
// it stands in CONTRIBUTING.md, and tests/test_template.py does all of it in a copy of the tree.
//
// The simplest store that is of use: every dimension in 8 bits, as a share of the row's largest magnitude.
//
//   scale = max_j |x_j| / 127        code_j = rint(x_j / scale), zeros for a row of zeros        x_j ~ scale code_j
// |error| <= scale / 2, save for the float32 roundings.
//
// Arrays  0 codes (n, d) i8        1 scales (n,) f32
// Numbers none
#pragma once
#include "core/numeric.h"
#include "core/view.h"

namespace annk::ANNK_ISA {

struct AbsmaxView {
  int8_t* codes;
  float* scales;
  int64_t dims;

  ANNK_HD explicit AbsmaxView(const Dataset& b) : codes(b.array<int8_t>(0)), scales(b.array<float>(1)), dims(b.dims) {}
  ANNK_HD int8_t* row(int64_t i) const { return codes + i * dims; }

  // What both codecs compute is written once, so that they give the same bytes.
  ANNK_HD static float scale_of(float largest) { return largest / 127.0f; }
  ANNK_HD static int8_t code(float x, float scale) {
    const float steps = scale > 0.0f ? rintf(x / scale) : 0.0f;  // a scale may have been rounded down, to zero even
    return static_cast<int8_t>(steps > 127.0f ? 127.0f : steps < -127.0f ? -127.0f : steps);
  }
  ANNK_HD static float value(int8_t code, float scale) { return scale * static_cast<float>(code); }
};

}  // namespace annk::ANNK_ISA
