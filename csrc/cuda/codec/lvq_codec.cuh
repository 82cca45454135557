// SPDX-License-Identifier: Apache-2.0
// LVQ rows (store/lvq.h). Sixteen threads share a row: thread i owns the dimensions i, i + 16, ..., which are those of word
// i of each turbo block and those of partial sum i of sum16.
#pragma once
#include "cuda/codec/codec.cuh"
#include "store/lvq.h"

namespace annk::cuda {

using namespace ANNK_ISA;

struct LvqCodec {
  static constexpr int kLanes = 16;
  static constexpr int scratch_floats = 0;
  using Team = RowTeam<kLanes>;
  LvqView view;

  explicit LvqCodec(const Dataset& store) : view(store) {}

  template <class X>
  __device__ bool encode_row(const Team& team, const X& x, int64_t row, float*) const {
    const float inverse = 1.0f / view.unit;
    const float* const mean = choose_mean(team, x, row, inverse);
    const auto scaled = [&](int64_t j) { return (x(j) - mean[j]) * inverse; };
    LvqScale scale;
    if (!scale_of(team, scaled, row, scale)) return false;
    uint32_t* const codes = word_of_row(view.codes, view.code_bytes, row, team.lane);
    const int slots = 32 / view.bits;
    uint32_t word = 0;
    double squared = 0.0;
    float most = 0.0f;
    long long sum = 0, squares = 0;
    const int64_t end = view.code_bytes * 8 / view.bits / 16;  // whole blocks
    for (int64_t t = 0; t < end; ++t) {
      const int64_t j = 16 * t + team.lane;
      const int slot = static_cast<int>(t % slots);
      if (j < view.dims) {
        const int code = scale.code(scaled(j));
        most = larger(absolute(x(j)), most);
        word |= static_cast<uint32_t>(code) << (view.bits * slot);
        sum += code;
        squares += code * code;
        const float y = mean[j] + view.unit * scale.value(code);
        squared += static_cast<double>(y) * static_cast<double>(y);
      }
      if (slot != slots - 1) continue;
      codes[t / slots * 16] = word;
      word = 0;
    }
    if (view.residual_bits != 0) encode_residual(team, scaled, row, scale);
    most = team.all(most, [](float a, float b) { return larger(a, b); });
    write_norms(team, row, scale, team.sum(sum), team.sum(squares), squared, most);
    return true;
  }

  __device__ void decode_row(const Team& team, int64_t row, float* out, float*) const {
    if (view.is_zero(row)) {
      for (int64_t j = team.lane; j < view.dims; j += 16) out[j] = 0.0f;
      return;
    }
    const LvqScale scale{view.step(row), view.low(row), view.bits};
    const float* const mean = view.mean_of(row);
    const int slots = 32 / view.bits;
    const uint32_t* const codes = word_of_row(view.codes, view.code_bytes, row, team.lane);
    const auto code = [&](const uint32_t* words, int64_t t, int bits) {
      const int in_word = 32 / bits;
      return static_cast<int>(words[t / in_word * 16] >> (bits * (t % in_word)) & ((1u << bits) - 1));
    };
    if (view.residual_bits == 0) {
      uint32_t word = 0;
      for (int64_t t = 0, j = team.lane; j < view.dims; ++t, j += 16) {
        word = t % slots == 0 ? codes[t / slots * 16] : word >> view.bits;
        out[j] = mean[j] + view.unit * scale.value(static_cast<int>(word & ((1u << view.bits) - 1)));
      }
      return;
    }
    const LvqResidual residual(scale, view.residual_bits);
    const uint32_t* const rest = word_of_row(view.residual, view.residual_bytes, row, team.lane);
    for (int64_t t = 0, j = team.lane; j < view.dims; ++t, j += 16) {
      const float coarse = scale.value(code(codes, t, view.bits));
      out[j] = mean[j] + view.unit * (coarse + residual.value(code(rest, t, view.residual_bits)));
    }
  }

 private:
  __device__ static __forceinline__ uint32_t* word_of_row(uint8_t* array, int64_t row_bytes, int64_t row, int lane) {
    return reinterpret_cast<uint32_t*>(array + row * row_bytes) + lane;
  }

  // The row's mean; of several centroids the nearest, which is written down.
  template <class X>
  __device__ __forceinline__ const float* choose_mean(const Team& team, const X& x, int64_t row, float inverse) const {
    if (view.selectors == nullptr) return view.mean;
    int nearest = 0;
    float least = INFINITY;
    for (int c = 0; c < view.centroids; ++c) {
      const float* const centroid = view.centroid(c);
      float partial = 0.0f;
      for (int64_t j = team.lane; j < view.dims; j += kLanes) {
        const float difference = (x(j) - centroid[j]) * inverse;
        partial += difference * difference;
      }
      const float distance = team.total16(partial);
      if (distance < least) least = distance, nearest = c;
    }
    if (team.lane == 0) view.selectors[row] = static_cast<uint8_t>(nearest);
    return view.centroid(nearest);
  }

  template <class Scaled>
  __device__ __forceinline__ bool scale_of(const Team& team, const Scaled& scaled, int64_t row, LvqScale& scale) const {
    if (view.scales_stride == 0) {
      scale = {view.step(0), view.low(0), view.bits};
    } else {
      float low = INFINITY, high = -INFINITY;
      for (int64_t j = team.lane; j < view.dims; j += kLanes) {
        const float x = scaled(j);
        low = x < low ? x : low;
        high = x > high ? x : high;
      }
      low = team.all(low, [](float a, float b) { return b < a ? b : a; });
      high = team.all(high, [](float a, float b) { return b > a ? b : a; });
      const LvqScales scales = view.dims > 0 ? LvqScale::of(low, high, view.bits) : LvqScales{{0}, {0}};
      if (team.lane == 0) view.scales[row] = scales;
      scale = {widen(scales.step), widen(scales.low), view.bits};
    }
    return scale.low > -INFINITY && scale.step < INFINITY;
  }

  template <class Scaled>
  __device__ __forceinline__ void encode_residual(const Team& team, const Scaled& scaled, int64_t row,
                                                  const LvqScale& scale) const {
    const LvqResidual residual(scale, view.residual_bits);
    uint32_t* const words = word_of_row(view.residual, view.residual_bytes, row, team.lane);
    const int slots = 32 / residual.bits;
    for (int64_t b = 0; b * kTurboBytes < view.residual_bytes; ++b) {
      uint32_t word = 0;
      for (int slot = 0; slot < slots; ++slot) {
        const int64_t j = 16 * (b * slots + slot) + team.lane;
        if (j >= view.dims) break;
        const float x = scaled(j);
        word |= static_cast<uint32_t>(residual.code(x - scale.value(scale.code(x)))) << (residual.bits * slot);
      }
      words[b * 16] = word;
    }
  }

  // sum (low + step c)^2 from the sums of c and c^2, which are exact; `squared` is this thread's part of sum16.
  __device__ __forceinline__ void write_norms(const Team& team, int64_t row, const LvqScale& scale, long long sum,
                                              long long squares, double squared, float most) const {
    const float inverse = view.kept_inverse(team.total16(squared), most, scale.step);
    if (team.lane == 0) view.norms[row] = {lvq_squared(scale, view.dims, view.unit, sum, squares), inverse};
  }
};

}  // namespace annk::cuda
