// SPDX-License-Identifier: Apache-2.0
// A scan under an epilogue that the library does not have: the nearest row of each document, with the keys of pairwise.
#pragma once
#include "checks.h"
#include "nearest_of_documents.h"

namespace check {

inline void check_documents(const Shape& s, int64_t rows_each) {
  const Inputs in(s);
  const std::vector<double> all = distances(in, s);
  const int64_t documents = (s.n + rows_each - 1) / rows_each;
  const Bytes nearest(s.m * documents * 4);
  std::fill_n(nearest.data<uint32_t>(), s.m * documents, ~uint32_t{0});
  nearest_of_documents(in.queries.view, in.base.view, rows_each, nearest.data<uint32_t>());
  for (int64_t q = 0; q < s.m; ++q)
    for (int64_t j = 0; j < documents; ++j) {
      const double* const row = all.data() + q * s.n;
      const double least = *std::min_element(row + j * rows_each, row + std::min(s.n, (j + 1) * rows_each));
      if (nearest.data<uint32_t>()[q * documents + j] != generic::sortable_bits(static_cast<float>(least)))
        wrong("document " + std::to_string(j) + " of query " + std::to_string(q));
    }
}

// Of narrow and of wide tiles, of several splits.
inline std::vector<Case> document_cases() {
  std::vector<Case> cases;
  for (const auto& [m, n, d] : std::initializer_list<std::array<int64_t, 3>>{{3, 300, 33}, {18, 1000, 8}, {70, 257, 5}})
    for (const int64_t rows_each : {7, 100}) {
      const Shape s{m, n, d, DType::f32, DType::f32, Metric::sqeuclidean};
      cases.push_back(
          {"documents " + text_of(s) + " of " + std::to_string(rows_each), [=] { check_documents(s, rows_each); }});
    }
  return cases;
}

}  // namespace check
