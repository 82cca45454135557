// SPDX-License-Identifier: Apache-2.0
// The one list of device codecs: a line a store.
#pragma once
#include "core/check.h"
#include "cuda/lvq_codec.cuh"

namespace annk::cuda {

// body(codec) with the codec of a compressed store.
template <class Body>
void visit_codec(const Base& store, Body&& body) {
  switch (store.kind) {
    case StoreKind::lvq:
      return body(LvqCodec(store));
    case StoreKind::array:
      break;
  }
  check(false, "store: expected a compressed one, got kind ", kStoreNames[static_cast<int>(store.kind)]);
}

// Blocks of so many threads, each of a few rows, with their scratch behind one another in shared memory.
inline constexpr int kCodecThreads = 128;
template <class Codec>
constexpr int kRowsABlock = kCodecThreads / Codec::kLanes;

template <class Codec>
size_t scratch_bytes(const Codec& codec) {
  return static_cast<size_t>(codec.scratch_floats) * kRowsABlock<Codec> * sizeof(float);
}

}  // namespace annk::cuda
