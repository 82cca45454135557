// SPDX-License-Identifier: Apache-2.0
// LVQ rows from and to float32 (store/lvq.h says what is computed), in registers that hold the 16 lanes of a turbo block
// together.
#include <algorithm>

#include "cpu/codec/codec.h"
#include "cpu/simd/vec.h"
#include "store/lvq.h"

namespace annk::ANNK_ISA {

class LvqCodec final : public Codec {
 public:
  explicit LvqCodec(const Dataset& store) : view_(store), unit_inverse_(1.0f / view_.unit) {
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
    const Sums sums =
        view_.bits == 4 ? encode_codes<4>(scratch, mean, scale, row) : encode_codes<8>(scratch, mean, scale, row);
    if (view_.residual_bits == 4) encode_residual<4>(scratch, scale, row);
    if (view_.residual_bits == 8) encode_residual<8>(scratch, scale, row);
    view_.norms[row] = {lvq_squared(scale, dims, view_.unit, sums.codes, sums.squares),
                        view_.kept_inverse(sums.decoded, ends.most, scale.step)};
    return true;
  }

  void decode(int64_t row, float* out, float* scratch) const override {
    if (view_.is_zero(row)) return void(std::fill_n(out, view_.dims, 0.0f));  // no memset: out of no dimensions may be null
    decode_primary(row, scratch);
    if (view_.residual_bits != 0) add_residual(row, scratch);
    const float* const mean = view_.mean_of(row);
    for (int64_t j = 0; j < view_.dims; ++j) out[j] = mean[j] + view_.unit * scratch[j];
  }

 private:
  // Of a row: of its codes, of their squares, and of the squares of what it decodes to.
  struct Sums {
    int64_t codes = 0, squares = 0;
    double decoded = 0.0;
  };

  struct Ends {
    float low, high, most;  // most: the largest |x|
  };

  // x' and its ends; zeros behind it.
  Ends centre(const float* x, const float* mean, float* out) const {
    F32 low = F32::broadcast(INFINITY), high = F32::broadcast(-INFINITY), most = F32::zero();
    const F32 unit = F32::broadcast(unit_inverse_);
    int64_t j = 0;
    for (; j + kLanes <= view_.dims; j += kLanes) {
      const F32 centred = (F32::load(x + j) - F32::load(mean + j)) * unit;
      most = larger(absolute(F32::load(x + j)), most);
      low = smaller(centred, low);
      high = larger(centred, high);
      centred.store(out + j);
    }
    float lows[kLanes], highs[kLanes], mosts[kLanes];
    low.store(lows);
    high.store(highs);
    most.store(mosts);
    Ends ends{lows[0], highs[0], mosts[0]};
    auto include = [&](float least, float most) {
      ends.low = least < ends.low ? least : ends.low;
      ends.high = most > ends.high ? most : ends.high;
    };
    for (int i = 1; i < kLanes; ++i) include(lows[i], highs[i]), ends.most = larger(ends.most, mosts[i]);
    for (; j < view_.dims; ++j) {
      ends.most = larger(ends.most, absolute(x[j]));
      out[j] = (x[j] - mean[j]) * unit_inverse_;
      include(out[j], out[j]);
    }
    for (; j < scratch_floats; ++j) out[j] = 0.0f;
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

  static constexpr int kRegisters = 16 / kLanes;  // of 16 dimensions

  // whole_steps of a register, as whole numbers in float32.
  struct WholeSteps {
    F32 step, least, top;
    WholeSteps(float of, float from, float to)
        : step(F32::broadcast(of > 0.0f ? of : INFINITY)), least(F32::broadcast(from)), top(F32::broadcast(to)) {}
    ANNK_HD F32 operator()(F32 x) const {
      const F32 rounding = F32::broadcast(12582912.0f);
      return (smaller(top, larger(least, x / step)) + rounding) - rounding;
    }
  };

  // x becomes what is left to the residual; the last dims % 16 dimensions are followed by zeros, whose codes are zero.
  // Sums stay in lanes, and in float32 within a block, where they are whole numbers below 2^24.
  template <int kBits>
  Sums encode_codes(float* x, const float* mean, const LvqScale& scale, int64_t row) const {
    const WholeSteps code(scale.step, 0.0f, static_cast<float>((1 << kBits) - 1));
    const F32 low = F32::broadcast(scale.low), step = F32::broadcast(scale.step), unit = F32::broadcast(view_.unit);
    Sums sums;
    Sum16 decoded;
    for (int64_t b = 0; b * kTurboBytes < view_.code_bytes; ++b) {
      I32 lanes[kRegisters];
      F32 codes = F32::zero(), squares = F32::zero();
      for (int h = 0; h < kRegisters; ++h) lanes[h] = I32::zero();
      for (int slot = 0; slot < 32 / kBits; ++slot)
        at_slot(b * (512 / kBits) + 16 * slot, mean, [&](int64_t from, const float* means, const auto& there) {
#pragma GCC unroll 4
          for (int h = 0; h < kRegisters; ++h) {
            float* const at = x + from + h * kLanes;
            const F32 step_count = there.keep(code(F32::load(at) - low), h), value = low + step * step_count;
            (F32::load(at) - value).store(at);
            lanes[h] = lanes[h] | shift_left(to_i32(step_count), kBits * slot);
            codes = codes + step_count;
            squares = squares + step_count * step_count;
            add_squares(there.keep(F32::load(means + h * kLanes) + unit * value, h), decoded.partial + h * kLanes);
          }
        });
      sums.codes += whole_sum(codes);
      sums.squares += whole_sum(squares);
      store_block(lanes, view_.codes + row * view_.code_bytes + b * kTurboBytes);
    }
    sums.decoded = decoded.total();
    return sums;
  }

  // Which of 16 dimensions are there: numbers of the others become zero.
  struct AllThere {
    ANNK_HD F32 keep(F32 x, int) const { return x; }
  };
  struct SomeThere {
    float one[16];
    ANNK_HD F32 keep(F32 x, int h) const { return x * F32::load(one + h * kLanes); }
  };
  // body(from, 16 numbers of x, which of them are there), where any of dimensions from .. from + 15 are.
  template <class Body>
  ANNK_HD void at_slot(int64_t from, const float* x, Body&& body) const {
    const int64_t count = view_.dims - from;
    if (count >= 16) return body(from, x + from, AllThere{});
    if (count <= 0) return;
    SomeThere some;
    float values[16];
    for (int i = 0; i < 16; ++i) some.one[i] = i < count ? 1.0f : 0.0f;
    for (int i = 0; i < 16; ++i) values[i] = i < count ? x[from + i] : 0.0f;
    body(from, values, some);
  }
  static int64_t whole_sum(F32 x) {
    float lanes[kLanes];
    x.store(lanes);
    int64_t sum = 0;
    for (int i = 0; i < kLanes; ++i) sum += static_cast<int64_t>(lanes[i]);
    return sum;
  }
  static ANNK_HD void store_block(const I32 (&lanes)[kRegisters], uint8_t* out) {
    int32_t words[16];
    for (int h = 0; h < kRegisters; ++h) lanes[h].store(words + h * kLanes);
    __builtin_memcpy(out, words, kTurboBytes);
  }

  template <int kBits>
  void encode_residual(const float* left, const LvqScale& scale, int64_t row) const {
    const LvqResidual residual(scale, kBits);
    const float half = static_cast<float>(residual.half());
    const WholeSteps code(residual.step, -half, half - 1.0f);
    for (int64_t b = 0; b * kTurboBytes < view_.residual_bytes; ++b) {
      I32 lanes[kRegisters];
      for (int h = 0; h < kRegisters; ++h) lanes[h] = I32::zero();
      for (int slot = 0; slot < 32 / kBits; ++slot)
        at_slot(b * (512 / kBits) + 16 * slot, left, [&](int64_t, const float* values, const auto& there) {
#pragma GCC unroll 4
          for (int h = 0; h < kRegisters; ++h) {
            const F32 steps = there.keep(code(F32::load(values + h * kLanes)) + F32::broadcast(half), h);
            lanes[h] = lanes[h] | shift_left(to_i32(steps), kBits * slot);
          }
        });
      store_block(lanes, view_.residual + row * view_.residual_bytes + b * kTurboBytes);
    }
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

std::unique_ptr<const Codec> make_lvq_codec(const Dataset& store) { return std::make_unique<LvqCodec>(store); }

}  // namespace annk::ANNK_ISA
