// SPDX-License-Identifier: Apache-2.0
// The codec of each compressed store, <kind>_codec.cuh.
#pragma once
#include "core/check.h"
#include "cuda/codec/lvq_codec.cuh"
#include "cuda/codec/pq_codec.cuh"
#include "cuda/codec/rabitq_codec.cuh"

namespace annk::cuda {

// body(codec) with the codec of a compressed store.
template <class Body>
void visit_codec(const Dataset& store, Body&& body) {
  switch (store.kind) {
#define ANNK_ROW(name, type, on_cpu, on_gpu) \
  case StoreKind::name:                      \
    return body(type##Codec(store));
    ANNK_CODED_STORES(ANNK_ROW)
#undef ANNK_ROW
    case StoreKind::array:
      break;
  }
  check(false, "store: expected a compressed one, got kind ", kStoreNames[static_cast<int>(store.kind)]);
}

// Blocks of so many threads, each of a few rows with their scratch behind one another in shared memory; of fewer rows where
// that would not fit an SM of any architecture.
inline constexpr int kCodecThreads = 128;
inline constexpr int64_t kMostScratch = 96 * 1024;

// Bytes of so many floats of shared memory.
inline int64_t scratch_bytes(int64_t floats) {
  const int64_t bytes = floats * static_cast<int64_t>(sizeof(float));
  check(bytes <= kMostScratch, "store: too many dimensions for its kernels on a GPU, which take rows of ", kMostScratch,
        " bytes of floats, got ", bytes);
  return bytes;
}

struct CodecBlock {
  int rows, threads;
  size_t scratch_bytes;
  template <class Codec>
  explicit CodecBlock(const Codec& codec) : rows(kCodecThreads / Codec::kLanes) {
    const int64_t each = cuda::scratch_bytes(codec.scratch_floats);
    while (rows > 1 && rows * each > kMostScratch) rows /= 2;
    threads = rows * Codec::kLanes;
    scratch_bytes = static_cast<size_t>(rows * each);
  }
};

}  // namespace annk::cuda
