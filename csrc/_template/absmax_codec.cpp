// SPDX-License-Identifier: Apache-2.0
#include "cpu/codec/codec.h"
#include "store/absmax.h"

namespace annk::ANNK_ISA {

class AbsmaxCodec final : public Codec {
 public:
  explicit AbsmaxCodec(const Dataset& store) : view_(store) {}  // scratch_floats, where rows need room beside them

  // x is finite. False would say that the store cannot hold such numbers; this one holds them all.
  bool encode(const float* x, int64_t row, float*) const override {
    float largest = 0.0f;
    for (int64_t j = 0; j < view_.dims; ++j) largest = larger(absolute(x[j]), largest);
    const float scale = view_.scales[row] = AbsmaxView::scale_of(largest);
    for (int64_t j = 0; j < view_.dims; ++j) view_.row(row)[j] = AbsmaxView::code(x[j], scale);
    return true;
  }

  void decode(int64_t row, float* out, float*) const override {
    for (int64_t j = 0; j < view_.dims; ++j) out[j] = AbsmaxView::value(view_.row(row)[j], view_.scales[row]);
  }

 private:
  AbsmaxView view_;
};

std::unique_ptr<const Codec> make_absmax_codec(const Dataset& store) { return std::make_unique<AbsmaxCodec>(store); }

}  // namespace annk::ANNK_ISA
