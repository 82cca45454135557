// SPDX-License-Identifier: Apache-2.0
// What the checks of one instruction set share: random rows, the same numbers in double, and plain loops over them.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/numeric.h"
#include "cpu/ops.h"
#include "plain_metric.h"

namespace isa = annk::ANNK_ISA;
using annk::DType, annk::Matrix, annk::Metric;

inline int passed = 0, failed = 0;

inline void expect(bool holds, const std::string& what) {
  ++(holds ? passed : failed);
  if (!holds && failed <= 20) printf("FAILED %s\n", what.c_str());
}

// Rows of `dims` elements in bytes, `stride` apart, and the same numbers in double.
struct Table {
  std::vector<unsigned char> bytes;
  std::vector<double> numbers;
  Matrix matrix;
  double at(int64_t row, int64_t j) const { return numbers[row * matrix.dims + j]; }
};

template <class T>
double store(unsigned char* at, T value, double widened) {
  memcpy(at, &value, sizeof value);
  return widened;
}

// One random element at `at`; halves and bfloat16 are drawn as bits, with finite exponents around 1 and some subnormals.
inline double draw(std::mt19937& rng, DType dtype, unsigned char* at) {
  const auto pick = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(rng); };
  switch (dtype) {
    case DType::f32: {
      const float x = static_cast<float>(pick(-1000, 1000)) / 731.0f;
      return store(at, x, x);
    }
    case DType::f16: {
      const uint16_t bits =
          static_cast<uint16_t>(pick(0, 1) << 15 | (pick(0, 9) == 0 ? 0 : pick(10, 16)) << 10 | pick(0, 1023));
      const int exponent = bits >> 10 & 31;
      const double size = exponent == 0 ? std::ldexp(bits & 1023, -24) : std::ldexp(1024 + (bits & 1023), exponent - 25);
      return store(at, bits, bits >> 15 ? -size : size);
    }
    case DType::bf16: {
      const uint16_t bits = static_cast<uint16_t>(pick(0, 1) << 15 | pick(120, 129) << 7 | pick(0, 127));
      return store(at, bits, isa::widen(isa::Bfloat16{bits}));
    }
    case DType::i8: {
      const int8_t x = static_cast<int8_t>(pick(-128, 127));
      return store(at, x, x);
    }
    case DType::u8:
    case DType::bits: {
      const uint8_t x = static_cast<uint8_t>(pick(0, 255));
      return store(at, x, x);
    }
  }
}

inline Table table(std::mt19937& rng, DType dtype, int64_t rows, int64_t dims, int64_t gap) {
  const int64_t bits = annk::kDTypeBits[static_cast<int>(dtype)], stride = dims * bits / 8 + gap * ((bits + 7) / 8);
  Table t{std::vector<unsigned char>(rows * stride + 64), std::vector<double>(rows * dims), {}};
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < dims; ++j) {
      double& number = t.numbers[i * dims + j];
      if (dtype != DType::bits) {
        number = draw(rng, dtype, &t.bytes[i * stride + j * bits / 8]);
      } else if (rng() & 1) {
        t.bytes[i * stride + j / 8] |= static_cast<unsigned char>(1 << j % 8);
        number = 1;
      }
    }
  t.matrix = {t.bytes.data(), rows, dims, stride, dtype};
  return t;
}

inline plain::Distance plain_distance(Metric metric, const Table& q, int64_t i, const Table& x, int64_t row) {
  const int64_t d = q.matrix.dims;
  return plain::distance(metric, q.numbers.data() + i * d, x.numbers.data() + row * d, d);
}

void check_stores();  // isa_check_stores.cpp
