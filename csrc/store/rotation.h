// SPDX-License-Identifier: Apache-2.0
// A random orthogonal map in O(d log d): rounds of random signs, a Hadamard transform of the first or the last p dimensions
// in turns, p being the largest power of two in d, and, where p < d, a butterfly of the halves. d is a multiple of 64.
//   round t   x_j *= signs[t][j];   x[..p) or x[d-p..) = 2^(-log2(p)/2) H x;
//             (x_i, x_{i+d/2}) = (c (x_i + x_{i+d/2}), c (x_i - x_{i+d/2})), c = sqrt(1/2)
// H x is log2(p) times  new_{2i} = old_i + old_{i+p/2}, new_{2i+1} = old_i - old_{i+p/2}.  All float32, in this order.
#pragma once
#include "core/numeric.h"

namespace annk::ANNK_ISA {

struct Rotation {
  const int8_t* signs;  // (rounds, dims), each 1 or -1
  int64_t dims, power;
  int rounds;
  float scale;

  ANNK_HD Rotation(const int8_t* signs_, int rounds_, int64_t dims_)
      : signs(signs_), dims(dims_), power(1), rounds(dims_ > 0 ? rounds_ : 0), scale(1.0f) {
    int log = 0;
    for (; power * 2 <= dims; power *= 2) ++log;
    scale = float_of_bits(static_cast<uint32_t>(127 - log / 2) << 23);
    if (log % 2 != 0) scale *= kHalfRoot;
  }

  // In place; other: room for dims floats.
  void apply(float* x, float* other) const {
    for (int t = 0; t < rounds; ++t) {
      flip(x, t);
      hadamard(segment(x, t), other);
      butterfly(x);
    }
  }
  void undo(float* x, float* other) const {
    for (int t = rounds - 1; t >= 0; --t) {
      butterfly(x);
      hadamard(segment(x, t), other);
      flip(x, t);
    }
  }

 private:
  static constexpr float kHalfRoot = 0.70710678f;

  float* segment(float* x, int t) const { return t % 2 == 0 ? x : x + (dims - power); }
  void flip(float* x, int t) const {
    const int8_t* const row_signs = signs + t * dims;
    for (int64_t j = 0; j < dims; ++j) x[j] *= static_cast<float>(row_signs[j]);
  }
  void butterfly(float* x) const {
    if (power == dims) return;
    float* const high = x + dims / 2;
    for (int64_t i = 0; i < dims / 2; ++i) {
      const float a = x[i], b = high[i];
      x[i] = (a + b) * kHalfRoot;
      high[i] = (a - b) * kHalfRoot;
    }
  }
  void hadamard(float* x, float* other) const {
    float *from = x, *to = other;
    for (int64_t m = power; m > 1; m /= 2) {
      stage(from, to, power / 2);
      float* const swapped = from;
      from = to;
      to = swapped;
    }
    for (int64_t j = 0; j < power; ++j) x[j] = from[j] * scale;
  }
  static void stage(const float* __restrict from, float* __restrict to, int64_t half) {
    for (int64_t i = 0; i < half; ++i) {
      to[2 * i] = from[i] + from[i + half];
      to[2 * i + 1] = from[i] - from[i + half];
    }
  }
};

}  // namespace annk::ANNK_ISA
