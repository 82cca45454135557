// SPDX-License-Identifier: Apache-2.0
// Compressed stores in exact memory, made by the device's own encode, with what their rows decode to.
#pragma once
#include <array>
#include <string>
#include <vector>

#include "ops/decode.h"
#include "ops/encode.h"
#include "plain.h"
#include "store/lvq.h"
#include "store/pq.h"
#include "store/rabitq.h"

namespace check {

using namespace annk;
using plain::Bytes;
using plain::Rows;

// bits 0 is none, a plain array. Of LVQ: residual, one_scale, exponent. Of PQ: parts, at most as many as dimensions.
// `variant` is LVQ with three centroids, PQ behind a rotation, RaBitQ of signs alone, with an odd exponent with terms for
// all rows.
struct StoreSpec {
  int bits = 0, residual = 0;
  bool one_scale = false;
  int exponent = 0;
  StoreKind kind = StoreKind::lvq;
  int parts = 0;
  bool variant = false;
};

inline std::string text_of(const StoreSpec& s) {
  if (s.bits == 0) return "";
  const std::string name = std::string(" ") + kStoreNames[static_cast<int>(s.kind)] + std::to_string(s.bits);
  if (s.kind == StoreKind::rabitq) return name + (s.variant ? s.exponent % 2 != 0 ? " signs, shared" : " signs" : "");
  if (s.kind == StoreKind::pq) return name + " parts=" + std::to_string(s.parts) + (s.variant ? " rotated" : "");
  return name + "x" + std::to_string(s.residual) + (s.one_scale ? " one scale" : "") +
         (s.exponent != 0 ? " 2^" + std::to_string(s.exponent) : "") + (s.variant ? " centroids" : "");
}

class Store {
 public:
  struct Array {
    const char* name;
    const unsigned char* data;
    int64_t bytes;
  };
  Dataset base;
  Bytes mean, decoded, codes{0}, scales{0}, norms{0}, more{0}, selectors{0};
  std::vector<Array> written;  // by encode
  int64_t bad_row = -1;

  // With nothing encoded.
  Store(const StoreSpec& s, int64_t rows, int64_t dims) : mean(3 * dims * 4), decoded(rows * dims * 4) {
    base = Matrix{nullptr, rows, dims, 0, DType::f32};
    base.kind = s.kind;
    for (int64_t j = 0; j < 3 * dims; ++j)
      mean.data<float>()[j] =
          s.one_scale ? 0.0f : 0.25f * static_cast<float>(j % dims % 3) - 0.5f * static_cast<float>(j / dims);
    if (s.kind == StoreKind::lvq) make_lvq(s);
    if (s.kind == StoreKind::rabitq) make_rabitq(s);
    if (s.kind == StoreKind::pq) make_pq(s);
  }
  // In two calls, as a store that grows.
  Store(const StoreSpec& s, const Matrix& x) : Store(s, x.rows, x.dims) {
    const int64_t half = x.rows / 2;
    encode_part(x, 0, half);
    encode_part(x, half, x.rows);
    decode({base, nullptr, x.rows, decoded.data<float>(), {}});
  }

 private:
  void encode_part(const Matrix& x, int64_t begin, int64_t end) {
    Matrix part = x;
    part.rows = end - begin;
    if (part.rows > 0) part.data = x.row(begin);
    int64_t row = 5;
    encode({part, base, begin, &row, {}});
    if (bad_row < 0 && row >= 0) bad_row = begin + row;
  }
  Bytes write(const char* name, int64_t bytes, size_t offset = 0) {
    Bytes array(bytes, offset);
    written.push_back({name, array.data(), bytes});
    return array;
  }
  void take(std::initializer_list<void*> arrays, std::initializer_list<int64_t> numbers) {
    std::copy(arrays.begin(), arrays.end(), base.arrays);
    std::copy(numbers.begin(), numbers.end(), base.numbers);
  }

  void make_lvq(const StoreSpec& s) {
    codes = write("codes", base.rows * generic::turbo_bytes(base.dims, s.bits));
    scales = s.one_scale ? Bytes(4) : write("scales", base.rows * 4);
    norms = write("norms", base.rows * 8);
    more = write("residuals", s.residual == 0 ? 0 : base.rows * generic::turbo_bytes(base.dims, s.residual));
    if (s.variant) selectors = write("selectors", base.rows);
    take({codes.data(), scales.data(), norms.data(), mean.data(), more.data(), selectors.data()},
         {s.bits, s.residual, s.exponent, s.one_scale ? 0 : 1, s.variant ? 3 : 0});
    if (!s.one_scale) return;
    scales.data<uint16_t>()[0] = s.bits == 8 ? 0x2c00 : 0x3a00;  // step 1/16 or 3/4, from -4 on
    scales.data<uint16_t>()[1] = 0xc400;
  }

  // Two rounds of signs. An axis that is none, as without a mean, where codes have 8 bits. Rows begin at multiples of 4
  // where they have one bit.
  void make_rabitq(const StoreSpec& s) {
    const bool shared = s.variant && s.exponent % 2 != 0;
    const int64_t padded = generic::rabitq_dims(base.dims);
    codes = write("codes", base.rows * (padded / 8 * s.bits + (shared ? 0 : 16)), s.bits == 1 ? 4 : 0);
    scales = Bytes(base.dims * 4);
    more = Bytes(2 * padded);
    norms = Bytes(16);
    const float root = std::sqrt(static_cast<float>(base.dims));
    for (int64_t j = 0; j < base.dims; ++j)
      scales.data<float>()[j] = s.bits == 8 ? 0.0f : (j % 3 == 0 ? -1.0f : 1.0f) / root;
    for (int64_t j = 0; j < 2 * padded; ++j) more.data<int8_t>()[j] = j * 7 % 5 < 2 ? -1 : 1;
    for (int i = 0; i < 4; ++i) norms.data<float>()[i] = std::array{2.0f, 0.0f, 4.0f, 0.5f}[static_cast<size_t>(i)];
    take({codes.data(), norms.data(), mean.data(), scales.data(), more.data()},
         {s.bits, 2, s.variant ? 1 : 0, shared ? 0 : 1});
  }

  // A rotation that is not symmetric: a reflection, then the rows one further.
  static Bytes reflection(int64_t dims) {
    Bytes matrix(dims * dims * 4);
    for (int64_t i = 0; i < dims * dims; ++i) {
      const int64_t row = (i / dims + 1) % dims, column = i % dims;
      matrix.data<float>()[i] = (row == column ? 1.0f : 0.0f) - 2.0f / static_cast<float>(dims);
    }
    return matrix;
  }
  void make_pq(const StoreSpec& s) {
    const int64_t parts = std::min<int64_t>(s.parts, base.dims), words = int64_t{1} << s.bits;
    const int64_t blocks = (base.rows + 31) / 32 * ((parts + 3) / 4 * 4) * 16;
    codes = write("codes", s.bits == 4 ? blocks : base.rows * parts, parts % 4 == 1 ? 4 : 0);
    norms = write("norms", base.rows * 4);
    more = Bytes(parts * ((base.dims + parts - 1) / parts) * words * 4);
    std::mt19937 random(7);
    for (int64_t i = 0; i < parts * ((base.dims + parts - 1) / parts) * words; ++i)
      more.data<float>()[i] = std::normal_distribution<float>()(random);
    if (s.variant) scales = reflection(base.dims);
    take({codes.data(), more.data(), norms.data(), scales.data()}, {parts, s.bits, 0, s.bits == 4 ? 1 : 0});
  }
};

}  // namespace check
