// SPDX-License-Identifier: Apache-2.0
// Rows of product quantization (store/pq.h). A warp shares a row: its threads share out the codewords of a part.
#pragma once
#include "cuda/codec/codec.cuh"
#include "store/pq.h"

namespace annk::cuda {

using namespace ANNK_ISA;

struct PqCodec {
  static constexpr int kLanes = 32;
  using Team = RowTeam<kLanes>;
  PqView view;
  int scratch_floats;
  int parts, narrow, wider;  // the first `wider` parts have a dimension more than `narrow`: no division on the device

  explicit PqCodec(const Dataset& store)
      : view(store),
        scratch_floats(static_cast<int>(store.dims)),
        parts(static_cast<int>(view.parts.parts)),
        narrow(static_cast<int>(store.dims / view.parts.parts)),
        wider(static_cast<int>(store.dims % view.parts.parts)) {}

  template <class X>
  __device__ bool encode_row(const Team& team, const X& x, int64_t row, float* y) const {
    const int64_t dims = view.parts.dims;
    for (int64_t i = team.lane; i < dims; i += kLanes) {
      float sum = view.rotation == nullptr ? x(i) : 0.0f;
      if (view.rotation != nullptr)
        for (int64_t j = 0; j < dims; ++j) sum = sum + x(j) * view.rotation[j * dims + i];
      y[i] = sum * view.unit_inverse;
    }
    team.sync();
    for (int s = 0; s < parts; ++s) {
      const int code = nearest(team, y + first(s), s);
      if (view.norms != nullptr) {
        team.sync();
        put_codeword(team, s, code, y);
      }
      if (team.lane != 0) continue;
      if (view.blocked)
        write_half(row, s, code);
      else
        view.codes[row * parts + s] = static_cast<uint8_t>(code);
    }
    if (view.blocked) fill_up(team, row);
    team.sync();
    if (view.norms == nullptr) return true;
    float most = 0.0f;
    for (int64_t j = team.lane; j < dims; j += kLanes) most = larger(absolute(x(j)), most);
    most = team.all(most, [](float a, float b) { return larger(a, b); });
    const double product_of_row = product(team, y, y), squared = most > 0.0f ? product_of_row : 0.0;
    if (team.lane == 0) view.norms[row] = inverse_norm(squared);
    if (view.tilts == nullptr) return true;
    const double along = product(team, y, view.mean), mean_squared = product(team, view.mean, view.mean);
    if (team.lane == 0) view.tilts[row] = pq_tilt(squared, along, mean_squared);
    return true;
  }

  __device__ void decode_row(const Team& team, int64_t row, float* out, float* scratch) const {
    const int64_t dims = view.parts.dims;
    if (view.rotation == nullptr) return codewords_of(team, row, out);
    codewords_of(team, row, scratch);
    for (int64_t j = team.lane; j < dims; j += kLanes) {
      float sum = 0.0f;
      for (int64_t i = 0; i < dims; ++i) sum = sum + scratch[i] * view.rotation[j * dims + i];
      out[j] = sum;
    }
  }

 private:
  __device__ __forceinline__ double product(const Team& team, const float* a, const float* b) const {
    return team.sum16(view.parts.dims, [&](int64_t j) { return static_cast<double>(a[j]) * static_cast<double>(b[j]); });
  }
  __device__ __forceinline__ int first(int s) const { return s * narrow + (s < wider ? s : wider); }
  __device__ __forceinline__ int width(int s) const { return narrow + (s < wider ? 1 : 0); }
  __device__ __forceinline__ const float* codebook_of(int s) const {
    return view.codebook + static_cast<int64_t>(s) * (narrow + (wider > 0 ? 1 : 0)) * view.codewords;
  }

  __device__ void codewords_of(const Team& team, int64_t row, float* y) const {
    for (int s = 0; s < parts; ++s) put_codeword(team, s, view.code(row, s), y);
    team.sync();
  }
  __device__ __forceinline__ void put_codeword(const Team& team, int s, int code, float* y) const {
    const float* const book = codebook_of(s) + code;
    for (int j = team.lane; j < width(s); j += kLanes) y[first(s) + j] = book[j * view.codewords];
  }

  // Of the codewords as near as any the first, for all of the team; 0 where all are beyond float32.
  __device__ int nearest(const Team& team, const float* y, int s) const {
    struct Found {
      float distance;
      int code;
    };
    const float* const book = codebook_of(s);
    Found best{INFINITY, 0};
    for (int c = team.lane; c < view.codewords; c += kLanes) {
      float sum = 0.0f;
      for (int j = 0; j < width(s); ++j) {
        const float gap = y[j] - book[j * view.codewords + c] * view.unit_inverse;
        sum = sum + gap * gap;
      }
      if (sum < best.distance) best = {sum, c};
    }
    for (int step = kLanes / 2; step > 0; step /= 2) {
      const Found other{__shfl_xor_sync(team.mask, best.distance, step, kLanes),
                        __shfl_xor_sync(team.mask, best.code, step, kLanes)};
      if (other.distance < best.distance || (other.distance == best.distance && other.code < best.code)) best = other;
    }
    return best.code;
  }

  // A byte belongs to two rows, which other warps may write at the same time: only the own half is touched.
  __device__ void write_half(int64_t row, int64_t s, int code) const {
    const int64_t in_block = row % kBlockRows, byte = s * kPartBytes + in_block % 16;
    unsigned* const word = reinterpret_cast<unsigned*>(view.codes + row / kBlockRows * view.block_bytes()) + byte / 4;
    const int shift = static_cast<int>(byte % 4 * 8 + (in_block < 16 ? 0 : 4));
    atomicAnd(word, ~(15u << shift));
    atomicOr(word, static_cast<unsigned>(code) << shift);
  }

  // Zeros in the parts that fill up a block, and, by the last row, in the rows that do.
  __device__ void fill_up(const Team& team, int64_t row) const {
    for (int64_t s = parts + team.lane; s < view.code_parts; s += kLanes) write_half(row, s, 0);
    if (row != view.rows - 1) return;
    for (int64_t other = row + 1; other % kBlockRows != 0; ++other)
      for (int64_t s = team.lane; s < view.code_parts; s += kLanes) write_half(other, s, 0);
  }
};

}  // namespace annk::cuda
