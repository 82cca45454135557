// SPDX-License-Identifier: Apache-2.0
// What the CPU's code makes of a store, compiled into the check: device and CPU are to give the same bytes.
#pragma once
#include <string>

#include "cpu/codec/codec.h"
#include "cpu/distance/distance_computer.h"
#include "metric/all.h"
#include "stores.h"

namespace check {

// The first difference between a store that the device has made of x and the CPU's; empty for none.
inline std::string difference_from_cpu(const StoreSpec& spec, const Store& made, const plain::Rows& x) {
  const Store own(spec, x.view.rows, x.view.dims);
  const auto codec = generic::make_codec(own.base);
  const int64_t n = x.view.rows, d = x.view.dims;
  const Bytes scratch(codec->scratch_floats * 4), row(d * 4 * codec->rows_together);
  for (int64_t i = 0, next; i < n; i = next) {
    next = std::min(n, i + codec->rows_together);
    for (int64_t j = i * d; j < next * d; ++j)
      row.data<float>()[j - i * d] = static_cast<float>(x.values[static_cast<size_t>(j)]);
    const int count = static_cast<int>(next - i);
    if (codec->encode_rows(row.data<float>(), count, i, scratch.data<float>()) < count)
      return "the CPU refuses row " + std::to_string(i);
  }
  for (size_t a = 0; a < own.written.size(); ++a)
    for (int64_t i = 0; i < own.written[a].bytes; ++i)
      if (own.written[a].data[i] != made.written[a].data[i])
        return std::string(own.written[a].name) + ": byte " + std::to_string(i) + " is another";
  for (int64_t i = 0; i < n; ++i) {
    codec->decode(i, row.data<float>(), scratch.data<float>());
    for (int64_t j = 0; j < d; ++j)
      if (row.data<float>()[j] != made.decoded.data<float>()[i * d + j])
        return "decoded (" + std::to_string(i) + "," + std::to_string(j) + ") is another";
  }
  return "";
}

// Distances to the rows of a store that has a kernel of its own; null where it is decoded. With `own_rows` the queries are
// those rows, decoded.
inline std::unique_ptr<float[]> cpu_distances(const Dataset& base, const Matrix& queries, Metric metric,
                                              bool own_rows = false) {
  const auto make = base.kind == StoreKind::lvq      ? generic::lvq_distance_computer
                    : base.kind == StoreKind::rabitq ? generic::rabitq_distance_computer
                                                     : generic::pq_distance_computer;
  const auto computer = make(base, queries, metric);
  if (!computer) return nullptr;
  std::unique_ptr<float[]> keys(new float[static_cast<size_t>(queries.rows * base.rows)]);
  const Bytes room(static_cast<int64_t>(computer->query_bytes) * generic::kQueryStep);
  for (int64_t q = 0; q < queries.rows; ++q) {
    auto packed = generic::PackedQueries::none();
    if (!own_rows || !computer->pack_row(q, room.data(), packed)) packed = computer->pack_query(q, 1, room.data());
    float* const own = keys.get() + q * base.rows;
    computer->score_rows(packed, 1, {nullptr, 0, static_cast<int>(base.rows)}, own, base.rows);
    for (int64_t i = 0; i < base.rows; ++i) own[i] = generic::report(metric, own[i]);
  }
  return keys;
}

}  // namespace check
