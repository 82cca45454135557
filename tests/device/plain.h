// SPDX-License-Identifier: Apache-2.0
// Every operation as plain loops over doubles, written from its contract, and arrays that end where their bytes end.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "../cpp/plain_metric.h"
#include "ops/knn.h"
#include "ops/select_k.h"

namespace plain {

using annk::DType;
using annk::Matrix;
using annk::Metric;

// Exactly so many bytes, so that the address sanitizer sees the first one beyond; filled with NaN patterns,
// with large numbers or with zeros, by the seed.
class Bytes {
 public:
  explicit Bytes(int64_t count, size_t offset = 0) : offset_(offset) {
    void* memory = nullptr;
    const size_t bytes = static_cast<size_t>(count) + offset;
    if (bytes != 0 && posix_memalign(&memory, 256, bytes) != 0) std::abort();
    if (bytes != 0) std::memset(memory, poison(), bytes);
    memory_.reset(static_cast<unsigned char*>(memory));
  }
  template <class T = unsigned char>
  T* data() const {
    return memory_ ? reinterpret_cast<T*>(memory_.get() + offset_) : nullptr;
  }

  static int poison() {
    const char* seed = std::getenv("EMU_SEED");
    constexpr int kPoison[] = {0, 0xff, 0x7f};
    return kPoison[seed != nullptr ? std::atoi(seed) % 3 : 1];
  }

 private:
  size_t offset_;
  std::unique_ptr<unsigned char, decltype(&std::free)> memory_{nullptr, &std::free};
};

// How rows lie in memory: bytes before the first one, bytes between two; backwards stores the last row first.
struct Layout {
  size_t offset = 0;
  int64_t gap = 0;
  bool backwards = false;
};

inline double decode(DType dtype, const unsigned char* at) {
  uint16_t half;
  float single;
  switch (dtype) {
    case DType::f32:
      std::memcpy(&single, at, 4);
      return single;
    case DType::i8:
      return static_cast<int8_t>(*at);
    case DType::u8:
      return *at;
    default:
      break;
  }
  std::memcpy(&half, at, 2);
  if (dtype == DType::bf16) {
    const uint32_t bits = static_cast<uint32_t>(half) << 16;
    std::memcpy(&single, &bits, 4);
    return single;
  }
  const int exponent = half >> 10 & 31, mantissa = half & 1023;
  const double magnitude = exponent == 0    ? std::ldexp(mantissa, -24)
                           : exponent == 31 ? (mantissa ? NAN : INFINITY)
                                            : std::ldexp(1024 + mantissa, exponent - 25);
  return half & 0x8000 ? -magnitude : magnitude;
}

// Random values of about unit size (float32: of this magnitude), or small integers. `few` draws from so few that distances
// tie.
inline void draw(DType dtype, std::mt19937& random, bool few, float magnitude, unsigned char* at) {
  const float value =
      few ? static_cast<float>(static_cast<int>(random() % 3) - 1) : magnitude * std::normal_distribution<float>()(random);
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  const auto half = static_cast<uint16_t>(few ? (value == 0  ? 0
                                                 : value > 0 ? 0x3c00
                                                             : 0xbc00)
                                              : (random() & 0x83ff) | ((11 + random() % 6) << 10));
  const auto upper = static_cast<uint16_t>(bits >> 16);
  const auto byte = static_cast<unsigned char>(few ? random() % 3 : random());
  if (dtype == DType::f32)
    std::memcpy(at, &value, 4);
  else if (dtype == DType::f16)
    std::memcpy(at, &half, 2);
  else if (dtype == DType::bf16)
    std::memcpy(at, &upper, 2);
  else
    *at = byte;
}

// A matrix in exact memory, and the same values as doubles (bits: 0 and 1).
struct Rows {
  Matrix view;
  std::vector<double> values;
  Bytes memory;

  Rows(int64_t rows, int64_t dims, DType dtype, uint32_t seed, Layout layout = {}, bool few = false, float magnitude = 1)
      : memory(rows == 0 ? 0 : (rows - 1) * (row_bytes(dims, dtype) + layout.gap) + row_bytes(dims, dtype), layout.offset) {
    const int64_t pitch = row_bytes(dims, dtype) + layout.gap;
    view = {memory.data(), rows, dims, layout.backwards ? -pitch : pitch, dtype};
    if (layout.backwards && rows > 0) view.data = memory.data() + (rows - 1) * pitch;
    std::mt19937 random(seed);
    const int64_t size = dtype == DType::bits ? 1 : row_bytes(1, dtype);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t at = 0; at < row_bytes(dims, dtype); at += size) draw(dtype, random, few, magnitude, mutable_row(i) + at);
    read_back();
  }

  unsigned char* mutable_row(int64_t i) const { return const_cast<unsigned char*>(view.row(i)); }
  void read_back() {
    values.assign(static_cast<size_t>(view.rows * view.dims), 0);
    for (int64_t i = 0; i < view.rows; ++i)
      for (int64_t j = 0; j < view.dims; ++j)
        values[static_cast<size_t>(i * view.dims + j)] =
            view.dtype == DType::bits ? view.row(i)[j / 8] >> (j % 8) & 1
                                      : decode(view.dtype, view.row(i) + j * row_bytes(1, view.dtype));
  }
  static int64_t row_bytes(int64_t dims, DType dtype) { return dims * annk::kDTypeBits[static_cast<int>(dtype)] / 8; }
  const double* row(int64_t i) const { return values.data() + i * view.dims; }
};

// The best k of `count` candidates that `wanted` admits, by (key, id); keys are smaller-is-better, NaN last.
template <class Wanted>
std::vector<int64_t> best(const std::vector<double>& keys, const std::vector<int64_t>& ids, int64_t k, Wanted&& wanted) {
  std::vector<int64_t> order;
  for (size_t i = 0; i < keys.size(); ++i)
    if (wanted(static_cast<int64_t>(i))) order.push_back(static_cast<int64_t>(i));
  const auto before = [&](int64_t a, int64_t b) {
    const double x = keys[static_cast<size_t>(a)], y = keys[static_cast<size_t>(b)];
    if (std::isnan(x) != std::isnan(y)) return std::isnan(y);
    if (x != y && !std::isnan(x)) return x < y;
    return ids[static_cast<size_t>(a)] < ids[static_cast<size_t>(b)];
  };
  std::sort(order.begin(), order.end(), before);
  if (static_cast<int64_t>(order.size()) > k) order.resize(static_cast<size_t>(k));
  return order;
}

}  // namespace plain
