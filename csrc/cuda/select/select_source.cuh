// SPDX-License-Identifier: Apache-2.0
// What a selection reads. A source gives the candidates of a row by place, four at a time, as entries; tie(row, key_id) is
// the number that decides between equal keys, and less() the order of entries by (key, tie).
#pragma once
#include "core/view.h"
#include "cuda/device/key_id.cuh"

namespace annk::cuda {

using namespace ANNK_ISA;

// NaN ranks behind infinity, and in front of what is not there.
inline constexpr uint32_t kNanKey = 0xfffffffeu;

// Values of ops/select_k.h. An entry's position is part * n + column; ids, where given, decide ties.
struct ValueSource {
  const float* values = nullptr;
  const int64_t* ids = nullptr;
  int64_t parts = 1, n = 0;
  int64_t part_stride = 0, row_stride = 0;  // of values, in elements
  int64_t ids_part_stride = 0, ids_row_stride = 0;
  int64_t first_id = 0;  // without ids: of position 0
  bool largest = false;
  bool vector_loads = false;  // one part, rows aligned to 16 bytes

  __host__ __device__ int64_t length() const { return parts * n; }

  // Where candidate i of a row lies. Positions and so parts and columns are 31-bit numbers: dividing those is cheap.
  struct Place {
    uint32_t part, column;
  };
  __device__ __forceinline__ Place place(int64_t i) const {
    const uint32_t at = static_cast<uint32_t>(i), columns = static_cast<uint32_t>(n);
    return parts == 1 ? Place{0, at} : Place{at / columns, at % columns};
  }
  __device__ __forceinline__ float value(int64_t row, Place at) const {
    return values[at.part * part_stride + row * row_stride + at.column];
  }
  __device__ __forceinline__ int64_t id(int64_t row, Place at) const {
    if (ids == nullptr) return first_id + at.part * n + at.column;
    return ids[at.part * ids_part_stride + row * ids_row_stride + at.column];
  }
  __device__ __forceinline__ KeyId key_id(int64_t row, int64_t i, Place at, float value) const {
    if (ids != nullptr && id(row, at) < 0) return kNoKeyId;
    const uint32_t key_bits = value != value ? kNanKey : sortable_bits(largest ? -value : value);
    return make_key_id(key_bits, static_cast<uint32_t>(i));
  }

  // Candidates i .. i + 3, i a multiple of 4; kNoKeyId from `end` on.
  __device__ __forceinline__ void read4(int64_t row, int64_t i, int64_t end, KeyId (&to)[4]) const {
    if (vector_loads && i + 4 <= end) {
      const float4 four = *reinterpret_cast<const float4*>(values + row * row_stride + i);
      const uint32_t column = static_cast<uint32_t>(i);
      to[0] = key_id(row, i, {0, column}, four.x);
      to[1] = key_id(row, i + 1, {0, column + 1}, four.y);
      to[2] = key_id(row, i + 2, {0, column + 2}, four.z);
      to[3] = key_id(row, i + 3, {0, column + 3}, four.w);
      return;
    }
    Place at = i < end ? place(i) : Place{0, 0};
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      to[j] = i + j < end ? key_id(row, i + j, at, value(row, at)) : kNoKeyId;
      const bool last = ++at.column == n;
      at.part += last ? 1 : 0;
      at.column = last ? 0 : at.column;
    }
  }

  __device__ __forceinline__ uint64_t tie(int64_t row, KeyId key_id) const {
    return ids == nullptr ? position_of(key_id) : static_cast<uint64_t>(id(row, place(position_of(key_id))));
  }
  __device__ __forceinline__ bool less(int64_t row, KeyId a, KeyId b) const {
    if (ids == nullptr || key_bits_of(a) != key_bits_of(b) || a == b) return a < b;
    const uint64_t tie_a = tie(row, a), tie_b = tie(row, b);
    return tie_a != tie_b ? tie_a < tie_b : a < b;  // one id twice: by place, so that the result is one
  }
};

// Keys that a scan wrote for a chunk of base rows, behind the entries that earlier chunks left. Positions are rows, and
// all of the earlier ones are smaller.
struct KeySource {
  const KeyId* kept = nullptr;  // (row, kept_room), of which kept_counts[row] are there
  const uint32_t* kept_counts = nullptr;
  int64_t kept_room = 0;
  const uint32_t* keys = nullptr;
  int64_t pitch = 0, chunk = 0;  // pitch is a multiple of 4
  int64_t first_row = 0;         // of the chunk, in the base
  int64_t part_row = 0;          // the row that is position 0
  Filter filter;
  int64_t query_begin = 0;

  __host__ __device__ int64_t kept_length() const { return (kept_room + 3) / 4 * 4; }
  __host__ __device__ int64_t length() const { return kept_length() + chunk; }

  __device__ __forceinline__ void read4(int64_t row, int64_t i, int64_t end, KeyId (&to)[4]) const {
    if (i < kept_length()) {
      const int64_t there = kept_counts[row];
#pragma unroll
      for (int j = 0; j < 4; ++j) to[j] = i + j < there ? kept[row * kept_room + i + j] : kNoKeyId;
      return;
    }
    const int64_t at = i - kept_length();
    const uint4 four = *reinterpret_cast<const uint4*>(keys + row * pitch + at);
    const uint32_t sortable_keys[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const bool there = i + j < end && filter.is_allowed(query_begin + row, first_row + at + j);
      to[j] = there ? make_key_id(sortable_keys[j], static_cast<uint32_t>(first_row - part_row + at + j)) : kNoKeyId;
    }
  }

  __device__ __forceinline__ uint64_t tie(int64_t, KeyId key_id) const { return position_of(key_id); }
  __device__ __forceinline__ bool less(int64_t, KeyId a, KeyId b) const { return a < b; }
};

// The order of a source's entries in one row.
template <class Source>
struct BySource {
  const Source* source;
  int64_t row;
  __device__ __forceinline__ bool operator()(KeyId a, KeyId b) const { return source->less(row, a, b); }
};

}  // namespace annk::cuda
