// SPDX-License-Identifier: Apache-2.0
// RaBitQ rows (store/rabitq.h). A warp takes a row, which lies in shared memory while it is rotated.
#pragma once
#include "cuda/codec/codec.cuh"
#include "store/rabitq.h"

namespace annk::cuda {

using namespace ANNK_ISA;

// A Rotation whose every step is shared by the lanes of a team; x and `other` lie in shared memory.
template <class Team>
struct TeamRotation {
  static constexpr float kHalfRoot = 0.70710678f;
  const Team& team;
  const Rotation& of;

  __device__ __forceinline__ void apply(float* x, float* other) const {
    for (int t = 0; t < of.rounds; ++t) {
      flip(x, t);
      hadamard(t % 2 == 0 ? x : x + (of.dims - of.power), other);
      butterfly(x);
    }
  }
  __device__ __forceinline__ void undo(float* x, float* other) const {
    for (int t = of.rounds - 1; t >= 0; --t) {
      butterfly(x);
      hadamard(t % 2 == 0 ? x : x + (of.dims - of.power), other);
      flip(x, t);
    }
  }

 private:
  __device__ __forceinline__ void flip(float* x, int t) const {
    const int8_t* const signs = of.signs + t * of.dims;
    for (int64_t j = team.lane; j < of.dims; j += Team::kSize) x[j] *= static_cast<float>(signs[j]);
    team.sync();
  }
  __device__ __forceinline__ void butterfly(float* x) const {
    if (of.power == of.dims) return;
    float* const high = x + of.dims / 2;
    for (int64_t i = team.lane; i < of.dims / 2; i += Team::kSize) {
      const float a = x[i], b = high[i];
      x[i] = (a + b) * kHalfRoot;
      high[i] = (a - b) * kHalfRoot;
    }
    team.sync();
  }
  __device__ __forceinline__ void hadamard(float* x, float* other) const {
    float *from = x, *to = other;
    const int64_t half = of.power / 2;
    for (int64_t m = of.power; m > 1; m /= 2) {
      for (int64_t i = team.lane; i < half; i += Team::kSize) {
        const float a = from[i], b = from[i + half];
        to[2 * i] = a + b;
        to[2 * i + 1] = a - b;
      }
      team.sync();
      float* const swapped = from;
      from = to;
      to = swapped;
    }
    for (int64_t j = team.lane; j < of.power; j += Team::kSize) x[j] = from[j] * of.scale;
    team.sync();
  }
};

// A float at a time: rows are multiples of 8 bytes.
__device__ __forceinline__ RabitqTerms rabitq_terms(const RabitqView& view, int64_t row) {
  const float* const at =
      view.own_terms ? reinterpret_cast<const float*>(view.row(row) + view.code_bytes) : &view.shared->step;
  return {at[0], at[1], at[2], at[3]};
}

struct RabitqCodec {
  static constexpr int kLanes = kWarp;
  using Team = RowTeam<kLanes>;
  RabitqView view;
  int64_t scratch_floats;

  explicit RabitqCodec(const Dataset& store) : view(store), scratch_floats(2 * view.padded) {}

  template <class X>
  __device__ bool encode_row(const Team& team, const X& x, int64_t row, float* scratch) const {
    float *const z = scratch, *const other = scratch + view.padded;
    each(team, view.dims, [&](int64_t j) { z[j] = x(j) - view.mean[j]; });
    team.sync();
    const float along = static_cast<float>(product(team, z, view.axis, view.dims));
    float most = 0.0f;
    each(team, view.dims, [&](int64_t j) {
      z[j] = z[j] - along * view.axis[j];
      most = larger(absolute(z[j]), most);
    });
    most = team.all(most, [](float a, float b) { return larger(a, b); });
    if (!(most < INFINITY && absolute(along) < INFINITY)) return false;
    const PowerOfTwo unit(most);
    each(team, view.padded, [&](int64_t j) { z[j] = j < view.dims ? z[j] * unit.inverse : view.filling(); });
    team.sync();
    const double squared = product(team, z, z, view.dims), power = unit.power;
    TeamRotation<Team>{team, view.rotation}.apply(z, other);

    const double dot = code_row(team, row, z, view.bits == 1 ? 0.0f : best_scale(team, z), other);
    const double squared_length =
        team.sum16(view.dims, [&](int64_t j) { return static_cast<double>(x(j)) * static_cast<double>(x(j)); });
    if (view.binary) return put_binary_terms(team, row, squared_length == 0.0, scratch);
    const double lost = kLostShare * product(team, view.mean, view.mean, view.dims);
    RabitqTerms terms{0.0f, along, static_cast<float>(squared * (power * power)),
                      squared_length > lost ? inverse_norm(squared_length) : 0.0f};
    if (dot > 0.0) terms.step = static_cast<float>(squared / dot * power);
    put_terms(team, row, terms);
    return terms.step < INFINITY;
  }

  __device__ void decode_row(const Team& team, int64_t row, float* out, float* scratch) const {
    const uint8_t* const codes = view.row(row);
    each(team, view.padded, [&](int64_t j) {
      const uint8_t* const group = codes + j / kRabitqGroup * 8 * view.bits;
      scratch[j] = static_cast<float>(rabitq_get(group, view.bits, static_cast<int>(j % kRabitqGroup)));
    });
    team.sync();
    decode_codes(team, scratch, scratch + view.padded, rabitq_terms(view, row), [&](int64_t j, float x) { out[j] = x; });
  }

 private:
  static constexpr int kScales = 16;

  template <class Body>
  __device__ static __forceinline__ void each(const Team& team, int64_t count, Body&& body) {
    for (int64_t j = team.lane; j < count; j += kLanes) body(j);
  }
  // Nobody writes to a or b before all have read them.
  __device__ static __forceinline__ double product(const Team& team, const float* a, const float* b, int64_t count) {
    const double sum = team.sum16(count, [&](int64_t j) { return static_cast<double>(a[j]) * static_cast<double>(b[j]); });
    team.sync();
    return sum;
  }

  // y: codes, which are used up. put(j, x) receives the decoded row.
  template <class Put>
  __device__ __forceinline__ void decode_codes(const Team& team, float* y, float* other, const RabitqTerms& terms,
                                               Put&& put) const {
    const float middle = static_cast<float>((1 << view.bits) - 1) * 0.5f;
    each(team, view.padded, [&](int64_t j) { y[j] = y[j] - middle; });
    team.sync();
    TeamRotation<Team>{team, view.rotation}.undo(y, other);
    each(team, view.dims, [&](int64_t j) { y[j] = terms.step * y[j]; });
    team.sync();
    const float rest = terms.along - static_cast<float>(product(team, y, view.axis, view.dims));
    each(team, view.dims, [&](int64_t j) { put(j, view.mean[j] + (y[j] + rest * view.axis[j])); });
  }

  __device__ __forceinline__ int magnitude(float z, float t) const {
    const int most = (1 << (view.bits - 1)) - 1, m = static_cast<int>(t * absolute(z));
    return m < most ? m : most;
  }

  // Each half of the warp tries another t; the smallest of the best counts.
  __device__ __forceinline__ float best_scale(const Team& team, const float* z) const {
    float largest = 0.0f;
    each(team, view.padded, [&](int64_t j) { largest = larger(absolute(z[j]), largest); });
    largest = team.all(largest, [](float a, float b) { return larger(a, b); });
    if (largest == 0.0f) return 0.0f;
    const RowTeam<16> half;
    const float least = static_cast<float>(1 << (view.bits - 1)) / largest;
    float best = least;
    double most = -1.0;
    for (int i = 0; i < kScales; i += 2) {
      const float t = least * (1.0f + static_cast<float>(i + team.lane / 16) / kScales);
      long long squares = 0;
      const double dot = half.sum16(view.padded, [&](int64_t j) {
        const int w = 2 * magnitude(z[j], t) + 1;
        squares += w * w;
        return static_cast<double>(w) * static_cast<double>(absolute(z[j]));
      });
      const double gain = dot * dot / static_cast<double>(half.sum(squares));
      for (int h = 0; h < 2; ++h) {
        const double its = team.of(gain, 16 * h);
        const float its_t = team.of(t, 16 * h);
        if (!(its > most)) continue;
        most = its;
        best = its_t;
      }
    }
    return best;
  }

  // The codes, in memory and as floats; returns <z, v>.
  __device__ __forceinline__ double code_row(const Team& team, int64_t row, const float* z, float t, float* codes) const {
    const int half = 1 << (view.bits - 1);
    const auto size = [&](int64_t j) { return view.bits == 1 ? 0 : magnitude(z[j], t); };
    const double dot = team.sum16(
        view.padded, [&](int64_t j) { return static_cast<double>(2 * size(j) + 1) * static_cast<double>(absolute(z[j])); });
    each(team, view.padded,
         [&](int64_t j) { codes[j] = static_cast<float>(z[j] >= 0.0f ? half + size(j) : half - 1 - size(j)); });
    team.sync();
    const int group_bytes = 8 * view.bits;
    uint8_t* const out = view.row(row);
    each(team, view.code_bytes, [&](int64_t at) {
      out[at] = code_byte(codes + at / group_bytes * kRabitqGroup, static_cast<int>(at % group_bytes));
    });
    return dot * 0.5;
  }

  // Byte `at` of a group of 64 codes.
  __device__ __forceinline__ uint8_t code_byte(const float* codes, int at) const {
    const int bits = view.bits;
    if (bits == 8) return static_cast<uint8_t>(codes[at]);
    int byte = 0;
    const auto add = [&](int element, int shift, int width, int place) {
      byte |= (static_cast<int>(codes[element]) >> shift & ((1 << width) - 1)) << place;
    };
    if ((bits & 4) != 0 && at < 32) {
      for (int h = 0; h < 2; ++h) add(at + 32 * h, bits & 3, 4, 4 * h);
      return static_cast<uint8_t>(byte);
    }
    at -= (bits & 4) * 8;
    if ((bits & 2) != 0 && at < 16) {
      for (int h = 0; h < 4; ++h) add(at + 16 * h, bits & 1, 2, 2 * h);
      return static_cast<uint8_t>(byte);
    }
    at -= (bits & 2) * 8;
    for (int h = 0; h < 8; ++h) add(8 * at + h, 0, 1, h);
    return static_cast<uint8_t>(byte);
  }

  // Of what the signs decode to, so that distances to it are exact. The codes lie in the second half of the scratch.
  __device__ __forceinline__ bool put_binary_terms(const Team& team, int64_t row, bool zero, float* scratch) const {
    if (!view.own_terms) return true;
    RabitqTerms terms{view.shared->step, view.shared->along, 0.0f, 0.0f};
    float *const y = scratch + view.padded, *const out = scratch;
    team.sync();
    decode_codes(team, y, scratch, terms, [&](int64_t j, float x) { out[j] = x; });
    team.sync();
    const double squared_length = product(team, out, out, view.dims);
    terms.inverse = zero ? 0.0f : inverse_norm(squared_length);
    terms.squared = static_cast<float>(team.sum16(view.dims, [&](int64_t j) {
      const float r = out[j] - view.mean[j];
      return static_cast<double>(r) * static_cast<double>(r);
    }));
    put_terms(team, row, terms);
    return true;
  }

  __device__ __forceinline__ void put_terms(const Team& team, int64_t row, const RabitqTerms& terms) const {
    if (!view.own_terms || team.lane != 0) return;
    float* const at = reinterpret_cast<float*>(view.row(row) + view.code_bytes);
    at[0] = terms.step;
    at[1] = terms.along;
    at[2] = terms.squared;
    at[3] = terms.inverse;
  }
};

}  // namespace annk::cuda
