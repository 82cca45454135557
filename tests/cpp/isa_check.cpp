// SPDX-License-Identifier: Apache-2.0
// The operations of one instruction set (ANNK_ISA) against plain loops, without Python: for levels that this machine runs
// only through an emulator. The suite in Python is the thorough one; this one sees that each vector wrapper does what its
// name says, in every metric, type and tail. Last line: "N passed, N failed".
#include "isa_check.h"

struct Shape {
  int64_t n, m, d, k, gap;
};

float distance_at(Metric metric, const std::vector<float>& distances, int64_t at) {
  int32_t count;
  memcpy(&count, &distances[at], 4);
  return annk::is_int_metric(metric) ? static_cast<float>(count) : distances[at];
}

void check(Metric metric, DType base_type, DType query_type, Shape s, std::mt19937& rng) {
  const Table base = table(rng, base_type, s.n, s.d, s.gap), queries = table(rng, query_type, s.m, s.d, 0);
  const std::string what = std::string(annk::kMetricNames[static_cast<int>(metric)]) + " " +
                           annk::kDTypeNames[static_cast<int>(base_type)] + " by " +
                           annk::kDTypeNames[static_cast<int>(query_type)] + " n " + std::to_string(s.n) + " m " +
                           std::to_string(s.m) + " d " + std::to_string(s.d) + " k " + std::to_string(s.k);
  std::vector<float> all(s.m * s.n);
  isa::pairwise({queries.matrix, base.matrix, metric, all.data(), nullptr, {}});
  bool near = true;
  for (int64_t q = 0; q < s.m; ++q)
    for (int64_t i = 0; i < s.n; ++i) {
      const auto [distance, bound] = plain_distance(metric, queries, q, base, i);
      near &= std::abs(distance_at(metric, all, q * s.n + i) - distance) <= bound + 1e-30;
    }
  expect(near, "pairwise " + what);

  const float sign = metric == Metric::inner_product ? -1.0f : 1.0f;
  for (int threads : {1, 3}) {
    std::vector<float> distances(s.m * s.k);
    std::vector<int64_t> ids(s.m * s.k), lims(s.m + 1);
    isa::knn({base.matrix, queries.matrix, metric, s.k, {}, distances.data(), ids.data(), nullptr, {.threads = threads}});
    const float radius = distance_at(metric, all, s.n / 2);
    annk::RadiusArgs within{base.matrix, queries.matrix, metric,  radius,  {},
                            lims.data(), nullptr,        nullptr, nullptr, {.threads = threads}};
    isa::radius_count(within);
    std::vector<float> hits(lims[s.m] + 1);
    std::vector<int64_t> hit_ids(lims[s.m] + 1);
    within.distances = hits.data();
    within.indices = hit_ids.data();
    isa::radius_fill(within);

    bool nearest = true, inside = true;
    for (int64_t q = 0; q < s.m; ++q) {
      std::vector<std::pair<float, int64_t>> order;
      std::vector<int64_t> wanted;
      for (int64_t i = 0; i < s.n; ++i) {
        const float distance = distance_at(metric, all, q * s.n + i);
        order.push_back({sign * distance, i});
        if (sign * distance <= sign * radius) wanted.push_back(i);
      }
      std::sort(order.begin(), order.end());
      for (int64_t j = 0; j < s.k; ++j) {
        const int64_t id = ids[q * s.k + j];
        nearest &= j < s.n ? id == order[j].second && sign * distance_at(metric, distances, q * s.k + j) == order[j].first
                           : id == -1;
      }
      inside &= lims[q + 1] - lims[q] == static_cast<int64_t>(wanted.size()) &&
                std::equal(wanted.begin(), wanted.end(), hit_ids.begin() + lims[q]);
    }
    expect(nearest, "knn " + what);
    expect(inside, "radius " + what);
  }
}

void check_select(int64_t m, int64_t n, int64_t k, bool largest, std::mt19937& rng) {
  std::vector<float> values(m * n), out(m * k);
  std::vector<int64_t> ids(m * k);
  for (float& x : values) x = static_cast<float>(rng() % 1000) - 500.0f;  // many ties
  isa::select_k({.values = values.data(),
                 .m = m,
                 .n = n,
                 .row_stride = n,
                 .k = k,
                 .largest = largest,
                 .out_values = out.data(),
                 .out_ids = ids.data()});
  bool same = true;
  for (int64_t row = 0; row < m; ++row) {
    std::vector<std::pair<float, int64_t>> order;
    for (int64_t i = 0; i < n; ++i) order.push_back({largest ? -values[row * n + i] : values[row * n + i], i});
    std::sort(order.begin(), order.end());
    for (int64_t j = 0; j < k; ++j)
      same &= j < n ? ids[row * k + j] == order[j].second && out[row * k + j] == values[row * n + order[j].second]
                    : ids[row * k + j] == -1;
  }
  expect(same, "select_k n " + std::to_string(n) + " k " + std::to_string(k) + (largest ? " largest" : ""));
}

void check_first_nonfinite(DType dtype, int64_t dims, std::mt19937& rng) {
  Table x = table(rng, dtype, 9, dims, 1);
  const int64_t size = annk::kDTypeBits[static_cast<int>(dtype)] / 8;
  int64_t row = 7;
  isa::first_nonfinite({x.matrix, &row, {}});
  expect(row == -1, "first_nonfinite of finite rows");
  for (int64_t bad : {8, 5, 5}) {  // the highest bits of every type: exponent all ones
    unsigned char* last = &x.bytes[bad * x.matrix.stride + (dims - 1) * size] + size - 2;
    last[0] = 0x80 | (dtype == DType::f16 ? 0x7c : 0);
    last[1] = dtype == DType::f16 ? 0x7c : 0x7f;
    isa::first_nonfinite({x.matrix, &row, {}});
    expect(row == bad,
           "first_nonfinite " + std::string(annk::kDTypeNames[static_cast<int>(dtype)]) + " d " + std::to_string(dims));
  }
}

int main() {
  std::mt19937 rng(1);
  const Shape shapes[] = {
      {1, 1, 1, 1, 0}, {37, 1, 7, 5, 0}, {131, 3, 33, 140, 1}, {260, 35, 64, 10, 0}, {70, 17, 129, 3, 3}};
  for (int metric = 0; metric < static_cast<int>(std::size(annk::kMetricNames)); ++metric)
    for (const Shape& shape : shapes) {
      const Metric which = static_cast<Metric>(metric);
      if (annk::is_bit_metric(which)) {
        for (int64_t d : {8, 64, 200, 520, 1032})
          check(which, DType::bits, DType::bits, {shape.n, shape.m, d, shape.k, shape.gap}, rng);
        continue;
      }
      for (DType dtype : {DType::f32, DType::f16, DType::bf16, DType::i8, DType::u8}) {
        check(which, dtype, dtype, shape, rng);
        if (dtype != DType::f32) check(which, dtype, DType::f32, shape, rng);
      }
    }
  for (Metric metric : {Metric::hamming, Metric::jaccard})
    for (int64_t d : {8, 1032, 65600}) check(metric, DType::bits, DType::bits, {3, 50, d, 2, 0}, rng);
  for (auto [n, k] : {std::pair<int64_t, int64_t>{1, 1}, {17, 20}, {1000, 1}, {5000, 10}, {5000, 700}})
    for (bool largest : {false, true}) check_select(3, n, k, largest, rng);
  for (DType dtype : {DType::f32, DType::f16, DType::bf16})
    for (int64_t dims : {1, 16, 67}) check_first_nonfinite(dtype, dims, rng);
  check_stores();
  printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
