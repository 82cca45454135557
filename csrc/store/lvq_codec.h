// SPDX-License-Identifier: Apache-2.0
// LVQ rows from and to float32 (store/lvq.h says what is computed). The loops go over the 16 lanes of a turbo block, which
// is how compilers vectorize them.
#pragma once
#include "store/codec.h"
#include "store/lvq.h"

namespace annk::ANNK_ISA {

class LvqCodec final : public Codec {
 public:
  explicit LvqCodec(const Base& store) : view_(store), unit_inverse_(1.0f / view_.unit) {
    scratch_floats = turbo_bytes(store.dims, 4) * 2;  // x', then whole blocks of either width
  }

  bool encode(const float* x, int64_t row, float* scratch) const override {
    const int64_t dims = view_.dims;
    if (view_.selectors != nullptr) view_.selectors[row] = static_cast<uint8_t>(nearest_centroid(x));
    const float* const mean = view_.mean_of(row);
    const Ends ends = centre(x, mean, scratch);
    if (view_.scales_stride != 0)
      view_.scales[row] = dims > 0 ? LvqScale::of(ends.low, ends.high, view_.bits) : LvqScales{{0}, {0}};
    const LvqScale scale{view_.step(row), view_.low(row), view_.bits};
    if (!(scale.low > -INFINITY && scale.step < INFINITY)) return false;
    Codes sums{0, 0};
    uint8_t* const codes = view_.codes + row * view_.code_bytes;
    for (int64_t b = 0; b * kTurboBytes < view_.code_bytes; ++b) {
      const int64_t first = b * (512 / view_.bits);
      encode_block(scratch + first, dims - first, scale, codes + b * kTurboBytes, sums);
    }
    if (view_.residual_bits != 0) encode_residual(scratch, scale, view_.residual + row * view_.residual_bytes);
    view_.norms[row] = norms_of(row, scale, sums, scratch);
    return true;
  }

  void decode(int64_t row, float* out, float* scratch) const override {
    decode_primary(row, scratch);
    if (view_.residual_bits != 0) add_residual(row, scratch);
    const float* const mean = view_.mean_of(row);
    for (int64_t j = 0; j < view_.dims; ++j) out[j] = mean[j] + view_.unit * scratch[j];
  }

 private:
  struct Codes {
    int64_t sum, squares;
  };

  struct Ends {
    float low, high;
  };

  // x' and its ends; zeros behind it.
  Ends centre(const float* x, const float* mean, float* out) const {
    float low[16], high[16];
    for (int i = 0; i < 16; ++i) low[i] = INFINITY, high[i] = -INFINITY;
    int64_t j = 0;
    for (; j + 16 <= view_.dims; j += 16)
      for (int i = 0; i < 16; ++i) {
        const float own = (x[j + i] - mean[j + i]) * unit_inverse_;
        low[i] = own < low[i] ? own : low[i];
        high[i] = own > high[i] ? own : high[i];
        out[j + i] = own;
      }
    for (; j < view_.dims; ++j) {
      out[j] = (x[j] - mean[j]) * unit_inverse_;
      low[0] = out[j] < low[0] ? out[j] : low[0];
      high[0] = out[j] > high[0] ? out[j] : high[0];
    }
    for (; j < scratch_floats; ++j) out[j] = 0.0f;
    Ends ends{low[0], high[0]};
    for (int i = 1; i < 16; ++i) {
      ends.low = low[i] < ends.low ? low[i] : ends.low;
      ends.high = high[i] > ends.high ? high[i] : ends.high;
    }
    return ends;
  }

  int nearest_centroid(const float* x) const {
    int nearest = 0;
    float least = INFINITY;
    for (int c = 0; c < view_.centroids; ++c) {
      const float distance = centroid_distance(x, view_.centroid(c));
      if (distance < least) least = distance, nearest = c;
    }
    return nearest;
  }
  float centroid_distance(const float* x, const float* centroid) const {
    float partial[16] = {}, total = 0.0f;
    auto square = [&](int64_t j) {
      const float difference = (x[j] - centroid[j]) * unit_inverse_;
      return difference * difference;
    };
    int64_t j = 0;
    for (; j + 16 <= view_.dims; j += 16)
      for (int i = 0; i < 16; ++i) partial[i] += square(j + i);
    for (int i = 0; j + i < view_.dims; ++i) partial[i] += square(j + i);
    for (int i = 0; i < 16; ++i) total += partial[i];
    return total;
  }

  // One block of 512 / bits dimensions, of which `there` exist; x becomes what is left to the residual.
  static void encode_block(float* x, int64_t there, const LvqScale& scale, uint8_t* out, Codes& sums) {
    uint32_t lanes[16] = {};
    for (int slot = 0; slot < 32 / scale.bits && 16 * slot < there; ++slot) {
      float* const at = x + 16 * slot;
      int codes[16], sum = 0, squares = 0;
      for (int i = 0; i < 16; ++i) codes[i] = scale.code(at[i]);
      for (int64_t i = there - 16 * slot; i < 16; ++i) codes[i] = 0;
      for (int i = 0; i < 16; ++i) {
        lanes[i] |= static_cast<uint32_t>(codes[i]) << (scale.bits * slot);
        at[i] -= scale.value(codes[i]);
        sum += codes[i];
        squares += codes[i] * codes[i];
      }
      sums.sum += sum;
      sums.squares += squares;
    }
    __builtin_memcpy(out, lanes, kTurboBytes);
  }

  void encode_residual(const float* left, const LvqScale& scale, uint8_t* out) const {
    const LvqResidual residual(scale, view_.residual_bits);
    const int bits = residual.bits;
    for (int64_t b = 0; b * kTurboBytes < view_.residual_bytes; ++b) {
      uint32_t lanes[16] = {};
      const float* const block = left + b * (512 / bits);
      const int64_t there = view_.dims - b * (512 / bits);
      for (int slot = 0; slot < 32 / bits && 16 * slot < there; ++slot) {
        uint32_t codes[16];
        for (int i = 0; i < 16; ++i) codes[i] = static_cast<uint32_t>(residual.code(block[16 * slot + i]));
        for (int64_t i = there - 16 * slot; i < 16; ++i) codes[i] = 0;
        for (int i = 0; i < 16; ++i) lanes[i] |= codes[i] << (bits * slot);
      }
      __builtin_memcpy(out + b * kTurboBytes, lanes, kTurboBytes);
    }
  }

  LvqNorms norms_of(int64_t row, const LvqScale& scale, const Codes& sums, float* scratch) const {
    decode_primary(row, scratch);
    const float* const mean = view_.mean_of(row);
    const double whole = sum16(view_.dims, [&](int64_t j) {
      const float y = mean[j] + view_.unit * scratch[j];
      return static_cast<double>(y) * static_cast<double>(y);
    });
    return {lvq_squared(scale, view_.dims, view_.unit, sums.sum, sums.squares), inverse_norm(whole)};
  }

  void decode_primary(int64_t row, float* out) const {
    const LvqScale scale{view_.step(row), view_.low(row), view_.bits};
    unpack(view_.code_row(row), view_.code_bytes, view_.bits, [&](int64_t j, int code) { out[j] = scale.value(code); });
  }
  void add_residual(int64_t row, float* out) const {
    const LvqResidual residual({view_.step(row), view_.low(row), view_.bits}, view_.residual_bits);
    unpack(view_.residual_row(row), view_.residual_bytes, residual.bits,
           [&](int64_t j, int code) { out[j] += residual.value(code); });
  }

  // take(j, code) for whole blocks, in ascending order of j.
  template <class Take>
  static ANNK_HD void unpack(const uint8_t* from, int64_t bytes, int bits, Take&& take) {
    const uint32_t mask = (1u << bits) - 1;
    for (int64_t b = 0; b * kTurboBytes < bytes; ++b) {
      uint32_t lanes[16];
      __builtin_memcpy(lanes, from + b * kTurboBytes, kTurboBytes);
      for (int slot = 0; slot < 32 / bits; ++slot)
        for (int i = 0; i < 16; ++i)
          take(b * (512 / bits) + 16 * slot + i, static_cast<int>(lanes[i] >> (bits * slot) & mask));
    }
  }

  LvqView view_;
  float unit_inverse_;
};

}  // namespace annk::ANNK_ISA
