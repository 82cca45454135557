// SPDX-License-Identifier: Apache-2.0
// Keys of any store under any metric of numbers: rows are decoded, then they are float32 rows. The definition of a store's
// distances, and the way for what has no kernel of its own.
#pragma once
#include <memory>

#include "core/buffer.h"
#include "cpu/codec/codec.h"
#include "cpu/distance/float_tiles.h"

namespace annk::ANNK_ISA {

template <class M>
class DecodedTiles final : public DistanceComputer {
 public:
  DecodedTiles(const Dataset& base, std::unique_ptr<const Codec> codec, const Matrix& queries)
      : codec_(std::move(codec)), queries_(queries), dims_(base.dims), floats_(floats(nullptr, 0), queries) {
    row_bytes = floats_.row_bytes;
    tile_rows = floats_.tile_rows;
    lanes = floats_.lanes;
    panel_bytes = floats_.panel_bytes;
    query_bytes = floats_.query_bytes;
    row_major_up_to = floats_.row_major_up_to;
    tile_bytes = floats_.tile_bytes + room(kTileRows) * sizeof(float);
  }

  void pack_panel(int64_t first, int count, void* panel) const override { floats_.pack_panel(first, count, panel); }
  bool pack_tile(const RowList& rows, void* tile) const override {
    float* const decoded = reinterpret_cast<float*>(static_cast<char*>(tile) + floats_.tile_bytes);
    decode(rows, decoded, kTileRows);
    return FloatTiles<M>(floats(decoded, rows.count), queries_).pack_tile({nullptr, 0, rows.count}, tile);
  }
  void keys(const void* tile, const void* panel, float* out) const override { floats_.keys(tile, panel, out); }
  void write_query(int64_t first, int count, void* packed) const override { floats_.pack_query(first, count, packed); }

  bool score_rows(PackedQueries queries, int count, const RowList& rows, float* out, int64_t stride) const override {
    bool fit = true;
    const Buffer<float> decoded(room(kLanes));
    const FloatTiles<M> computer(floats(decoded.get(), kLanes), queries_);
    for (int i = 0; i < rows.count; i += kLanes) {
      const int here = rows.count - i < kLanes ? rows.count - i : kLanes;
      decode(rows.part(i, here), decoded.get(), kLanes);
      fit = computer.score_rows(queries, count, {nullptr, 0, here}, out + i, stride) && fit;
    }
    return fit;
  }

 private:
  Matrix floats(const float* rows, int64_t count) const {
    return {rows, count, dims_, dims_ * static_cast<int64_t>(sizeof(float)), DType::f32};
  }
  // Decoded rows, then the codec's scratch.
  size_t room(int rows) const {
    return round_up(static_cast<size_t>(rows * dims_ + codec_->scratch_floats), 64 / sizeof(float));
  }
  void decode(const RowList& rows, float* out, int most) const {
    for (int r = 0; r < rows.count; ++r) codec_->decode(rows[r], out + r * dims_, out + most * dims_);
  }

  std::unique_ptr<const Codec> codec_;
  Matrix queries_;
  int64_t dims_;
  FloatTiles<M> floats_;
};

}  // namespace annk::ANNK_ISA
