// SPDX-License-Identifier: Apache-2.0
// Cases of the operations that know no metric.
#pragma once
#include "row_checks.h"

namespace check {

inline std::vector<Case> select_cases() {
  constexpr Selection kSelections[] = {
      {1, 3, 1, 1, false},
      {1, 2, 31, 5, false, Ids::own, Selection::few},
      {1, 5, 100, 32, true, Ids::none, Selection::special, 3},
      {3, 4, 33, 40, false, Ids::own, Selection::few, 1},
      {2, 3, 129, 64, true, Ids::shared, Selection::special},
      {1, 2, 300, 65, false, Ids::none, Selection::few},
      {1, 2, 1500, 64, false, Ids::none, Selection::ordinary},
      {1, 2, 1500, 200, true, Ids::own, Selection::special, 2},
      {1, 1, 5000, 1000, false, Ids::none, Selection::equal},
      {1, 2, 5000, 33, false, Ids::shared, Selection::equal, 1},
      {4, 2, 700, 300, false, Ids::own, Selection::few, 5},
      {1, 1, 20000, 100, false, Ids::none, Selection::few},
      {1, 2, 9000, 10, true, Ids::none, Selection::special},
      {1, 1, 9000, 8999, false, Ids::own, Selection::ordinary},
      {2, 3, 40, 200, true, Ids::own, Selection::special},
      {1, 3, 7, 0, false},
      {1, 0, 7, 3, false},
      {1, 3, 0, 3, true},
      {1, 4100, 3, 2, false, Ids::none, Selection::few},
  };
  std::vector<Case> cases;
  for (const Selection& s : kSelections) {
    cases.push_back({"select_k parts=" + std::to_string(s.parts) + " m=" + std::to_string(s.m) +
                         " n=" + std::to_string(s.n) + " k=" + std::to_string(s.k) + (s.largest ? " largest" : "") +
                         " ids=" + std::to_string(static_cast<int>(s.ids)) +
                         " values=" + std::to_string(static_cast<int>(s.values)),
                     [s] { check_select(s); }});
  }
  for (const Ids ids : {Ids::none, Ids::own})
    cases.push_back({"select_k in pieces ids=" + std::to_string(static_cast<int>(ids)), [ids] {
                       const FewCandidates few(500);
                       check_select({2, 3, 700, 40, ids == Ids::own, ids, Selection::few, 1});
                       check_select({1, 2, 1100, 70, false, ids, Selection::special});
                     }});
  return cases;
}

inline std::vector<Case> nonfinite_cases() {
  using Places = std::vector<std::pair<int64_t, int64_t>>;
  std::vector<Case> cases;
  const auto add = [&](int64_t n, int64_t d, DType dtype, const Places& places, Layout layout) {
    cases.push_back({"first_nonfinite " + std::string(kDTypeNames[static_cast<int>(dtype)]) + " n=" + std::to_string(n) +
                         " d=" + std::to_string(d) + " bad=" + std::to_string(places.size()) +
                         " offset=" + std::to_string(layout.offset),
                     [=] { check_nonfinite(n, d, dtype, places, layout); }});
  };
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    add(300, 9, dtype, {}, {});
    add(300, 9, dtype, {{299, 8}}, {});
    add(300, 9, dtype, {{250, 3}, {7, 0}, {8, 1}}, {4, 4, false});
    add(1, 1, dtype, {{0, 0}}, {});
    add(40, 65, dtype, {{39, 64}, {38, 64}}, {0, 0, true});
    // Whole pieces of 16 bytes: every place of one, the last of more than a warp's, none; many rows with one.
    for (int64_t j = 0; j < 8; ++j) add(9, 8, dtype, {{8, j}}, {});
    add(3, 520, dtype, {{2, 519}}, {});
    add(19, 24, dtype, {}, {0, 16, false});
    add(40, 8, dtype, {{39, 0}, {12, 1}, {13, 2}, {14, 3}, {20, 4}, {31, 5}}, {});
    add(300, 1, dtype, {{299, 0}, {298, 0}, {5, 0}, {4, 0}, {6, 0}, {100, 0}}, {});
  }
  add(5, 4, DType::i8, {}, {});
  add(0, 4, DType::f32, {}, {});
  add(5, 0, DType::f32, {}, {});
  return cases;
}

// Rows beside those in flight at a time, columns beside a block's, parts of one column and of unequal width.
inline std::vector<Case> cluster_cases() {
  std::vector<Case> cases;
  const auto add = [&](int64_t n, int64_t d, int64_t clusters, int64_t parts, DType dtype) {
    cases.push_back({"cluster_sums n=" + std::to_string(n) + " d=" + std::to_string(d) +
                         " clusters=" + std::to_string(clusters) + " parts=" + std::to_string(parts) + " " +
                         kDTypeNames[static_cast<int>(dtype)],
                     [=] { check_cluster_sums(n, d, clusters, parts, dtype); }});
  };
  add(19, 40, 3, 1, DType::f32);
  add(24, 35, 5, 4, DType::f16);
  add(7, 3, 2, 3, DType::bf16);
  add(9, 5, 2, 1, DType::i8);
  add(17, 33, 4, 2, DType::u8);
  add(0, 4, 2, 1, DType::f32);
  return cases;
}

}  // namespace check
