// SPDX-License-Identifier: Apache-2.0
// RaBitQ rows from and to float32 (store/rabitq.h says what is computed).
#include "cpu/codec/codec.h"
#include "store/rabitq.h"

namespace annk::ANNK_ISA {

class RabitqCodec final : public Codec {
 public:
  explicit RabitqCodec(const Dataset& store)
      : view_(store), lost_(kLostShare * product16(view_.mean, view_.mean, view_.dims)) {
    scratch_floats = 3 * view_.padded;
  }

  bool encode(const float* x, int64_t row, float* scratch) const override {
    float *const z = scratch, *const other = scratch + view_.padded;
    for (int64_t j = 0; j < view_.dims; ++j) z[j] = x[j] - view_.mean[j];
    const float along = static_cast<float>(product16(z, view_.axis, view_.dims));
    float most = 0.0f;
    for (int64_t j = 0; j < view_.dims; ++j) {
      z[j] = z[j] - along * view_.axis[j];
      most = larger(absolute(z[j]), most);
    }
    if (!(most < INFINITY && absolute(along) < INFINITY)) return false;
    const PowerOfTwo unit(most);
    for (int64_t j = 0; j < view_.dims; ++j) z[j] = z[j] * unit.inverse;
    for (int64_t j = view_.dims; j < view_.padded; ++j) z[j] = view_.filling();
    const double squared = product16(z, z, view_.dims), power = unit.power;
    view_.rotation.apply(z, other);

    const float t = view_.bits == 1 ? 0.0f : best_scale(z);
    const double dot = put_codes(row, z, t);
    const double squared_length = product16(x, x, view_.dims);
    if (view_.binary) return put_binary_terms(row, squared_length == 0.0, scratch);
    RabitqTerms terms{0.0f, along, static_cast<float>(squared * (power * power)),
                      squared_length > lost_ ? inverse_norm(squared_length) : 0.0f};
    if (dot > 0.0) terms.step = static_cast<float>(squared / dot * power);
    put_terms(row, terms);
    return terms.step < INFINITY;
  }

  void decode(int64_t row, float* out, float* scratch) const override {
    float* const y = scratch;
    const uint8_t* const codes = view_.row(row);
    const RabitqTerms terms = view_.terms(row);
    const float middle = static_cast<float>((1 << view_.bits) - 1) * 0.5f;
    for (int64_t j = 0; j < view_.padded; ++j)
      y[j] = static_cast<float>(rabitq_get(group(codes, j), view_.bits, static_cast<int>(j % kRabitqGroup))) - middle;
    view_.rotation.undo(y, scratch + view_.padded);
    for (int64_t j = 0; j < view_.dims; ++j) y[j] = terms.step * y[j];
    const float rest = terms.along - static_cast<float>(product16(y, view_.axis, view_.dims));
    for (int64_t j = 0; j < view_.dims; ++j) out[j] = view_.mean[j] + (y[j] + rest * view_.axis[j]);
  }

 private:
  static constexpr int kScales = 16;

  template <class Byte>
  Byte* group(Byte* codes, int64_t j) const {
    return codes + j / kRabitqGroup * 8 * view_.bits;
  }
  // floor(t |z|) up to the largest magnitude there is.
  ANNK_HD int magnitude(float z, float t) const {
    const int most = (1 << (view_.bits - 1)) - 1, m = static_cast<int>(t * absolute(z));
    return m < most ? m : most;
  }

  // t of the codes with the smallest angle to z: that of the largest <v, |z|>^2 / |v|^2. The smallest t leaves nothing out.
  float best_scale(const float* z) const {
    float largest = 0.0f;
    for (int64_t j = 0; j < view_.padded; ++j) largest = larger(absolute(z[j]), largest);
    if (largest == 0.0f) return 0.0f;
    const float least = static_cast<float>(1 << (view_.bits - 1)) / largest;
    float best = least;
    double most = -1.0;
    for (int i = 0; i < kScales; ++i) {
      const float t = least * (1.0f + static_cast<float>(i) / kScales);
      int64_t squares = 0;
      const double dot = sum16(view_.padded, [&](int64_t j) {
        const int w = 2 * magnitude(z[j], t) + 1;
        squares += w * w;
        return static_cast<double>(w) * static_cast<double>(absolute(z[j]));
      });
      const double gain = dot * dot / static_cast<double>(squares);
      if (gain > most) {
        most = gain;
        best = t;
      }
    }
    return best;
  }

  // Writes the codes; returns <z, v>.
  double put_codes(int64_t row, const float* z, float t) const {
    uint8_t* const codes = view_.row(row);
    __builtin_memset(codes, 0, static_cast<size_t>(view_.code_bytes));
    const int half = 1 << (view_.bits - 1);
    const double dot = sum16(view_.padded, [&](int64_t j) {
      const int m = view_.bits == 1 ? 0 : magnitude(z[j], t);
      rabitq_put(group(codes, j), view_.bits, static_cast<int>(j % kRabitqGroup), z[j] >= 0.0f ? half + m : half - 1 - m);
      return static_cast<double>(2 * m + 1) * static_cast<double>(absolute(z[j]));
    });
    return dot * 0.5;
  }

  // Of what the signs decode to, so that distances to it are exact.
  bool put_binary_terms(int64_t row, bool zero, float* scratch) const {
    if (!view_.own_terms) return true;
    RabitqTerms terms = *view_.shared;
    put_terms(row, terms);
    float* const out = scratch + 2 * view_.padded;
    decode(row, out, scratch);
    terms.inverse = zero ? 0.0f : inverse_norm(product16(out, out, view_.dims));
    terms.squared = static_cast<float>(sum16(view_.dims, [&](int64_t j) {
      const float r = out[j] - view_.mean[j];
      return static_cast<double>(r) * static_cast<double>(r);
    }));
    put_terms(row, terms);
    return true;
  }

  void put_terms(int64_t row, const RabitqTerms& terms) const {
    if (view_.own_terms) __builtin_memcpy(view_.row(row) + view_.code_bytes, &terms, sizeof terms);
  }

  RabitqView view_;
  double lost_;  // squared lengths up to it
};

std::unique_ptr<const Codec> make_rabitq_codec(const Dataset& store) { return std::make_unique<RabitqCodec>(store); }

}  // namespace annk::ANNK_ISA
