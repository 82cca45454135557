// SPDX-License-Identifier: Apache-2.0
// Where a store's kind, a number at run time, becomes its types.
#pragma once
#include <memory>

#include "metric/all.h"
#include "store/codec.h"
#include "store/tiles.h"

namespace annk::ANNK_ISA {

// The keys of base's rows under queries and metric (cpu/tiles.cpp).
std::unique_ptr<const Tiles> make_tiles(const Base& base, const Matrix& queries, Metric metric);
// Of one kind; null where a store of these numbers has no kernel of its own under the metric, and is decoded. A source each
// (cpu/tiles_<kind>.cpp), which compile side by side.
std::unique_ptr<const Tiles> lvq_tiles(const Base& base, const Matrix& queries, Metric metric);
std::unique_ptr<const Tiles> rabitq_tiles(const Base& base, const Matrix& queries, Metric metric);
std::unique_ptr<const Tiles> pq_tiles(const Base& base, const Matrix& queries, Metric metric);
// The codes of a compressed store (cpu/codecs.cpp); null for a plain array.
std::unique_ptr<const Codec> make_codec(const Base& store);

}  // namespace annk::ANNK_ISA
