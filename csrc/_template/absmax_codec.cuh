// SPDX-License-Identifier: Apache-2.0
// The rows of store/absmax.h. Threads that share a row take turns in its dimensions, so that they read neighbors.
#pragma once
#include "cuda/codec/codec.cuh"
#include "store/absmax.h"

namespace annk::cuda {

using namespace ANNK_ISA;

struct AbsmaxCodec {
  static constexpr int kLanes = 32;
  static constexpr int scratch_floats = 0;
  using Team = RowTeam<kLanes>;
  AbsmaxView view;

  explicit AbsmaxCodec(const Dataset& store) : view(store) {}

  template <class X>
  __device__ bool encode_row(const Team& team, const X& x, int64_t row, float*) const {
    float largest = 0.0f;
    for (int64_t j = team.lane; j < view.dims; j += kLanes) largest = larger(absolute(x(j)), largest);
    largest = team.all(largest, [](float a, float b) { return larger(a, b); });
    const float scale = AbsmaxView::scale_of(largest);
    if (team.lane == 0) view.scales[row] = scale;
    for (int64_t j = team.lane; j < view.dims; j += kLanes) view.row(row)[j] = AbsmaxView::code(x(j), scale);
    return true;
  }

  __device__ void decode_row(const Team& team, int64_t row, float* out, float*) const {
    const float scale = view.scales[row];
    for (int64_t j = team.lane; j < view.dims; j += kLanes) out[j] = AbsmaxView::value(view.row(row)[j], scale);
  }
};

}  // namespace annk::cuda
