// SPDX-License-Identifier: Apache-2.0
// Keys of euclidean: the roots of those of sqeuclidean, whichever rows they are of. At run time, so that no store is
// compiled for both metrics.
#pragma once
#include <cmath>
#include <memory>
#include <utility>

#include "cpu/distance/distance_computer.h"

namespace annk::ANNK_ISA {

class RootTiles final : public DistanceComputer {
 public:
  explicit RootTiles(std::unique_ptr<const DistanceComputer> squares)
      : DistanceComputer(*squares), squares_(std::move(squares)) {
    below_block = 0;
  }

  void pack_panel(int64_t first, int count, void* panel) const override { squares_->pack_panel(first, count, panel); }
  void gather_panel(const PackedQueries* queries, int count, void* panel) const override {
    squares_->gather_panel(queries, count, panel);
  }
  bool pack_tile(const RowList& rows, void* tile) const override { return squares_->pack_tile(rows, tile); }
  void keys(const void* tile, const void* panel, float* out) const override {
    squares_->keys(tile, panel, out);
    take_roots(out, tile_rows * lanes);
  }
  void keys_of_tiles(const void* tiles, int count, const void* panel, float* out) const override {
    squares_->keys_of_tiles(tiles, count, panel, out);
    take_roots(out, count * tile_rows * lanes);
  }
  void write_query(int64_t first, int count, void* packed) const override { squares_->pack_query(first, count, packed); }
  bool score_rows(PackedQueries queries, int count, const RowList& rows, float* out, int64_t stride) const override {
    const bool fit = squares_->score_rows(queries, count, rows, out, stride);
    for (int q = 0; q < count; ++q) take_roots(out + q * stride, rows.count);
    return fit;
  }
  void prefetch(const RowList& rows) const override { squares_->prefetch(rows); }
  bool write_row(int64_t row, void* packed) const override {
    PackedQueries same = PackedQueries::none();
    return squares_->pack_row(row, packed, same);
  }

 private:
  static void take_roots(float* keys, int count) {
    for (int i = 0; i < count; ++i) keys[i] = sqrtf(keys[i]);
  }

  std::unique_ptr<const DistanceComputer> squares_;
};

inline std::unique_ptr<const DistanceComputer> roots_of(std::unique_ptr<const DistanceComputer> squares) {
  if (squares == nullptr) return nullptr;
  return std::make_unique<RootTiles>(std::move(squares));
}

}  // namespace annk::ANNK_ISA
