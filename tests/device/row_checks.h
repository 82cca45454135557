// SPDX-License-Identifier: Apache-2.0
// Operations that look at rows once, against plain loops.
#pragma once
#include "checks.h"
#include "core/parts.h"
#include "ops/cluster_sums.h"
#include "ops/first_nonfinite.h"

namespace check {

inline void check_nonfinite(int64_t n, int64_t d, DType dtype, std::vector<std::pair<int64_t, int64_t>> places,
                            Layout layout) {
  Rows x(n, d, dtype, 3, layout);
  const int64_t size = Rows::row_bytes(1, dtype);
  int64_t first = -1;
  for (size_t i = 0; i < places.size(); ++i) {
    const auto [row, column] = places[i];
    const uint32_t bits = dtype == DType::f16 ? (i % 2 ? 0x7e00u : 0xfc00u) : (i % 2 ? 0x7fc00000u : 0xff800000u);
    const uint32_t shifted = dtype == DType::bf16 ? bits >> 16 : bits;
    std::memcpy(x.mutable_row(row) + column * size, &shifted, static_cast<size_t>(size));
    first = first < 0 ? row : std::min(first, row);
  }
  const Bytes out(8);
  first_nonfinite({x.view, out.data<int64_t>(), {}});
  if (*out.data<int64_t>() != first) wrong("row " + std::to_string(*out.data<int64_t>()) + ", not " + std::to_string(first));
}

// Labels where there is one part, codes where there are more.
inline void check_cluster_sums(int64_t n, int64_t d, int64_t clusters, int64_t parts, DType dtype) {
  const Rows x(n, d, dtype, 13, {0, 4, false});
  const Bytes labels(n * 8), codes(n * parts), sums(clusters * d * 8), counts(parts * clusters * 8);
  std::mt19937 random(37);
  for (int64_t i = 0; i < n * parts; ++i) {
    codes.data()[i] = static_cast<unsigned char>(random() % static_cast<uint32_t>(clusters));
    if (parts == 1) labels.data<int64_t>()[i] = codes.data()[i];
  }
  cluster_sums({x.view,
                parts == 1 ? labels.data<int64_t>() : nullptr,
                codes.data(),
                parts,
                clusters,
                sums.data<double>(),
                counts.data<int64_t>(),
                {}});
  const Parts cut{d, parts};
  std::vector<double> expected(static_cast<size_t>(clusters * d), 0.0);
  std::vector<int64_t> members(static_cast<size_t>(parts * clusters), 0);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t p = 0; p < parts; ++p) {
      const int64_t c = codes.data()[i * parts + p];
      ++members[static_cast<size_t>(p * clusters + c)];
      for (int64_t j = cut.first(p); j < cut.first(p) + cut.width(p); ++j)
        expected[static_cast<size_t>(c * d + j)] += x.row(i)[j];
    }
  }
  for (int64_t i = 0; i < clusters * d; ++i)
    if (sums.data<double>()[i] != expected[static_cast<size_t>(i)]) wrong("sum " + std::to_string(i) + " is another");
  for (int64_t i = 0; i < parts * clusters; ++i)
    if (counts.data<int64_t>()[i] != members[static_cast<size_t>(i)]) wrong("count " + std::to_string(i) + " is another");
}

}  // namespace check
