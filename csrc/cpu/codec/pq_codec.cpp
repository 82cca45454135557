// SPDX-License-Identifier: Apache-2.0
// Codes of product quantization from and to float32 (store/pq.h says what is computed). Rows lie in lanes, 32 at a time, so
// that the codewords of a part are read once for all of them.
#include <algorithm>

#include "core/buffer.h"
#include "cpu/codec/codec.h"
#include "cpu/simd/elements.h"
#include "cpu/simd/vec.h"
#include "store/pq.h"

namespace annk::ANNK_ISA {

class PqCodec final : public Codec {
 public:
  explicit PqCodec(const Dataset& store)
      : view_(store),
        unrotation_(view_.rotation != nullptr ? static_cast<size_t>(store.dims * store.dims) : 0),
        mean_squared_(view_.tilts != nullptr ? product16(view_.mean, view_.mean, store.dims) : 0.0) {
    const int64_t dims = store.dims;
    rows_together = kRows;
    scratch_floats = 2 * (dims + kLanes) * kRows;  // transposed rows, and rotated ones
    for (int64_t j = 0; view_.rotation != nullptr && j < dims; ++j)
      for (int64_t i = 0; i < dims; ++i) unrotation_[i * dims + j] = view_.rotation[j * dims + i];
    if (view_.unit_inverse == 1.0f) return;
    const size_t size = static_cast<size_t>(view_.parts.parts * view_.parts.widest() * view_.codewords);
    scaled_.reset(size);
    for (size_t i = 0; i < size; ++i) scaled_[i] = view_.codebook[i] * view_.unit_inverse;
  }

  bool encode(const float* x, int64_t row, float* scratch) const override { return encode_rows(x, 1, row, scratch) == 1; }

  int encode_rows(const float* x, int count, int64_t row, float* scratch) const override {
    const Parts& parts = view_.parts;
    float* y = scratch;
    transpose_rows(x, count, y);
    if (view_.rotation != nullptr) {
      rotate_rows(y, scratch + (parts.dims + kLanes) * kRows);
      y = scratch + (parts.dims + kLanes) * kRows;
    }
    for (int64_t i = 0; view_.unit_inverse != 1.0f && i < parts.dims * kRows; ++i) y[i] *= view_.unit_inverse;
    const float* const book = view_.unit_inverse == 1.0f ? view_.codebook : scaled_.get();
    if (view_.blocked && row % kBlockRows == 0)
      __builtin_memset(view_.codes + row / kBlockRows * view_.block_bytes(), 0, static_cast<size_t>(view_.block_bytes()));
    for (int64_t s = 0; s < parts.parts; ++s) {
      float codes[kRows];
      nearest(y + parts.first(s) * kRows, book + s * parts.widest() * view_.codewords, parts.width(s), codes);
      if (view_.blocked)
        write_halves(codes, count, row, s);
      else
        for (int r = 0; r < count; ++r) view_.codes[(row + r) * parts.parts + s] = static_cast<uint8_t>(codes[r]);
    }
    for (int r = 0; view_.norms != nullptr && r < count; ++r) write_norm(x + r * parts.dims, row + r, scratch);
    return count;
  }

  void decode(int64_t row, float* out, float* scratch) const override {
    const int64_t dims = view_.parts.dims;
    float* const y = view_.rotation != nullptr ? scratch : out;
    codewords_of(row, y);
    if (view_.rotation == nullptr) return;
    for (int64_t j = 0; j < dims; ++j) out[j] = 0.0f;
    for (int64_t i = 0; i < dims; ++i)
      for (int64_t j = 0; j < dims; ++j) out[j] = out[j] + y[i] * unrotation_[i * dims + j];
  }

 private:
  static constexpr int kRows = static_cast<int>(kBlockRows);

  void codewords_of(int64_t row, float* y) const {
    const Parts& parts = view_.parts;
    for (int64_t s = 0; s < parts.parts; ++s) {
      const float* const book = view_.codebook_of(s) + view_.code(row, s);
      for (int64_t j = 0; j < parts.width(s); ++j) y[parts.first(s) + j] = book[j * view_.codewords];
    }
  }

  void write_norm(const float* x, int64_t row, float* y) const {
    const int64_t dims = view_.parts.dims;
    codewords_of(row, y);
    const bool zero = std::all_of(x, x + dims, [](float each) { return each == 0.0f; });
    const double squared = zero ? 0.0 : product16(y, y, dims);
    view_.norms[row] = inverse_norm(squared);
    if (view_.tilts != nullptr) view_.tilts[row] = pq_tilt(squared, product16(y, view_.mean, dims), mean_squared_);
  }

  // out: [dims][kRows]; rows that are not there repeat the last.
  void transpose_rows(const float* x, int count, float* out) const {
    const int64_t dims = view_.parts.dims;
    for (int from = 0; from < kRows; from += kLanes) {
      const float* rows[kLanes];
      for (int r = 0; r < kLanes; ++r) rows[r] = x + (from + r < count ? from + r : count - 1) * dims;
      for (int64_t j = 0; j < dims; j += kLanes) {
        F32 block[kLanes];
        if (j + kLanes <= dims) {
          load_transposed(rows, j, block);
        } else {
          for (int r = 0; r < kLanes; ++r) block[r] = load_part(rows[r] + j, dims - j);
          transpose(block);
        }
        for (int i = 0; i < kLanes; ++i) block[i].store(out + (j + i) * kRows + from);
      }
    }
  }

  // y, x: [dims][kRows]
  void rotate_rows(const float* x, float* y) const {
    const int64_t dims = view_.parts.dims;
    int64_t i = 0;
    for (; i + 4 <= dims; i += 4) rotate_columns<4>(x, i, y);
    for (; i < dims; ++i) rotate_columns<1>(x, i, y);
  }
  template <int N>
  void rotate_columns(const float* x, int64_t i, float* y) const {
    const int64_t dims = view_.parts.dims;
    for (int from = 0; from < kRows; from += kLanes) {
      F32 acc[N];
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) acc[n] = F32::zero();
      for (int64_t j = 0; j < dims; ++j) {
        const F32 row = F32::load(x + j * kRows + from);
#pragma GCC unroll 4
        for (int n = 0; n < N; ++n) acc[n] = acc[n] + row * F32::broadcast(view_.rotation[j * dims + i + n]);
      }
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) acc[n].store(y + (i + n) * kRows + from);
    }
  }

  // The nearest codeword of each of kRows rows, as float: y [width][kRows], book [width][codewords].
  void nearest(const float* y, const float* book, int64_t width, float* codes) const {
    switch (width) {
      case 1:
        return nearest_of<1>(y, book, width, codes);
      case 2:
        return nearest_of<2>(y, book, width, codes);
      case 3:
        return nearest_of<3>(y, book, width, codes);
      case 4:
        return nearest_of<4>(y, book, width, codes);
      case 6:
        return nearest_of<6>(y, book, width, codes);
      case 8:
        return nearest_of<8>(y, book, width, codes);
      default:
        return nearest_of<0>(y, book, width, codes);
    }
  }
  // kWidth: the width, where the compiler is to keep the rows in registers.
  template <int kWidth>
  void nearest_of(const float* y, const float* book, int64_t width, float* codes) const {
    constexpr int kHalves = 2;  // registers of rows for each broadcast codeword
    const int64_t many = view_.codewords;
    for (int from = 0; from < kRows; from += kHalves * kLanes) {
      F32 best[kHalves], found[kHalves], number = F32::zero();
      F32 values[kHalves][kWidth > 0 ? kWidth : 1];
#pragma GCC unroll 2
      for (int h = 0; h < kHalves; ++h) {
        best[h] = F32::broadcast(INFINITY);
        found[h] = F32::zero();
#pragma GCC unroll 8
        for (int j = 0; j < kWidth; ++j) values[h][j] = F32::load(y + j * kRows + from + h * kLanes);
      }
      for (int64_t c = 0; c < many; ++c) {
        F32 sum[kHalves];
#pragma GCC unroll 2
        for (int h = 0; h < kHalves; ++h) sum[h] = F32::zero();
        auto add = [&](int64_t j, int h, F32 row, F32 word) __attribute__((always_inline)) {
          const F32 gap = row - word;
          sum[h] = j == 0 ? gap * gap : sum[h] + gap * gap;
        };
        if constexpr (kWidth > 0) {
#pragma GCC unroll 8
          for (int j = 0; j < kWidth; ++j) {
            const F32 word = F32::broadcast(book[j * many + c]);
#pragma GCC unroll 2
            for (int h = 0; h < kHalves; ++h) add(j, h, values[h][j], word);
          }
        } else {
          for (int64_t j = 0; j < width; ++j) {
            const F32 word = F32::broadcast(book[j * many + c]);
#pragma GCC unroll 2
            for (int h = 0; h < kHalves; ++h) add(j, h, F32::load(y + j * kRows + from + h * kLanes), word);
          }
        }
#pragma GCC unroll 2
        for (int h = 0; h < kHalves; ++h) keep_smaller(best[h], found[h], sum[h], number);
        number = number + F32::broadcast(1.0f);
      }
#pragma GCC unroll 2
      for (int h = 0; h < kHalves; ++h) found[h].store(codes + from + h * kLanes);
    }
  }

  // Rows [row, row + count) of one block, cleared when its first row is written.
  void write_halves(const float* codes, int count, int64_t row, int64_t s) const {
    uint8_t* const part = view_.codes + row / kBlockRows * view_.block_bytes() + s * kPartBytes;
    for (int r = 0; r < count; ++r) {
      const int64_t in_block = row % kBlockRows + r;
      const int shift = in_block < 16 ? 0 : 4, others = part[in_block % 16] & ~(15 << shift);
      part[in_block % 16] = static_cast<uint8_t>(others | static_cast<int>(codes[r]) << shift);
    }
  }

  PqView view_;
  Buffer<float> unrotation_, scaled_;
  double mean_squared_;
};

std::unique_ptr<const Codec> make_pq_codec(const Dataset& store) { return std::make_unique<PqCodec>(store); }

}  // namespace annk::ANNK_ISA
