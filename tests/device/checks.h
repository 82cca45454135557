// SPDX-License-Identifier: Apache-2.0
// One call of an operation of the device backend, compared with plain loops; a difference is thrown as a Failure.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "cuda/device/policy.h"
#include "ops/distances.h"
#include "ops/pairwise.h"
#include "ops/radius.h"
#include "store_truth.h"

namespace check {

using namespace annk;
using plain::Bytes;
using plain::Layout;
using plain::Rows;

struct Case {
  std::string name;
  std::function<void()> run;
};

struct Failure {
  std::string text;
};
[[noreturn]] inline void wrong(const std::string& text) { throw Failure{text}; }

// Runs an operation with a workspace of exactly the size that it asks for.
template <class Args>
void run(Args args, void (*operation)(const Args&), int64_t (*workspace)(const Args&)) {
  const int64_t bytes = workspace(args);
  const Bytes memory(bytes);
  args.exec.workspace = memory.data();
  args.exec.workspace_bytes = bytes;
  operation(args);
}

struct Shape {
  int64_t m, n, d;
  DType base, queries;
  Metric metric;
  Layout layout = {};
  bool few = false;
  float magnitude = 1;
  StoreSpec store = {};
};

inline std::string text_of(const Shape& s) {
  return std::string(kMetricNames[static_cast<int>(s.metric)]) + " " + kDTypeNames[static_cast<int>(s.base)] + "/" +
         kDTypeNames[static_cast<int>(s.queries)] + " m=" + std::to_string(s.m) + " n=" + std::to_string(s.n) +
         " d=" + std::to_string(s.d) + " offset=" + std::to_string(s.layout.offset) +
         " gap=" + std::to_string(s.layout.gap) + (s.layout.backwards ? " backwards" : "") + (s.few ? " few" : "") +
         (s.magnitude == 1  ? ""
          : s.magnitude < 1 ? " tiny"
                            : " huge") +
         text_of(s.store);
}

struct Inputs {
  Rows base, queries;
  std::optional<Store> store;
  Dataset searched;
  int64_t zero_row = -1;  // of the base
  // closely: the store's bytes, too
  explicit Inputs(const Shape& s, bool closely = false)
      : base(s.n, s.d, s.base, 17, s.layout, s.few, s.magnitude),
        queries(s.m, s.d, s.queries, 23, s.layout, s.few, s.magnitude) {
    if (s.m > 1 && s.n > 1 && s.d > 0) {  // a zero vector each
      zero_row = s.n / 2;
      clear(queries, s.m / 2), clear(base, zero_row);
    }
    searched = base.view;
    if (s.store.bits == 0) return;
    store.emplace(s.store, base.view);
    searched = store->base;
    if (closely) {
      if (const std::string other = difference_from_cpu(s.store, *store, base); !other.empty()) wrong(other);
      check_chosen_rows(s);
    }
    check_codes(s);
  }
  // The errors that csrc/store/lvq.h promises; then the decoded rows count as the base.
  void check_codes(const Shape& s) {
    if (store->bad_row != -1) wrong("encode refuses row " + std::to_string(store->bad_row));
    if (s.store.kind != StoreKind::lvq) {
      base.values.assign(store->decoded.data<float>(), store->decoded.data<float>() + s.n * s.d);
      return;
    }
    const generic::LvqView view(store->base);
    for (int64_t i = 0; i < s.n; ++i) {
      for (int64_t j = 0; j < s.d; ++j) {
        double& value = base.values[static_cast<size_t>(i * s.d + j)];
        const double y = store->decoded.data<float>()[i * s.d + j], step = view.unit * view.step(i * view.scales_stride);
        const double half = step / 2 / (s.store.residual == 0 ? 1 : 1 << (s.store.residual - 1));
        if (!(std::abs(y - value) <= half + 0x1p-20 * (std::abs(value) + 256 * step)))
          wrong("code (" + std::to_string(i) + "," + std::to_string(j) + ") is " + std::to_string(y) + ", not " +
                std::to_string(value));
        value = y;
      }
    }
  }
  // Rows that are named decode as all do.
  void check_chosen_rows(const Shape& s) {
    const Bytes ids(s.n * 8), rows(s.n * s.d * 4);
    for (int64_t i = 0; i < s.n; ++i) ids.data<int64_t>()[i] = s.n - 1 - i;
    decode({store->base, ids.data<int64_t>(), s.n, rows.data<float>(), {}});
    for (int64_t i = 0; i < s.n * s.d; ++i)
      if (rows.data<float>()[i] != store->decoded.data<float>()[(s.n - 1 - i / s.d) * s.d + i % s.d])
        wrong("chosen row " + std::to_string(i / s.d) + " is another");
  }
  static void clear(Rows& rows, int64_t i) {
    std::memset(rows.mutable_row(i), 0, static_cast<size_t>(Rows::row_bytes(rows.view.dims, rows.view.dtype)));
    rows.read_back();
  }
};

// The first row that cannot be encoded is named, however many there are.
inline void check_refusal(const Shape& s) {
  Rows x(s.n, s.d, DType::f32, 17);
  const int64_t bad[] = {s.n / 3, s.n / 3 + 1, s.n / 3 + 2, s.n / 3 + 7, s.n - 1};
  for (const int64_t i : bad) reinterpret_cast<float*>(x.mutable_row(i))[i % s.d] = i % 2 == 0 ? NAN : INFINITY;
  const Store store(s.store, x.view);
  if (store.bad_row != bad[0]) wrong("encode refuses row " + std::to_string(store.bad_row));
}

// Sums in float64 whose order shows: 1e20 - 1e20 + 1 is 1, or 0.
inline void check_cancelling(const Shape& s) {
  Rows x(s.n, s.d, DType::f32, 19);
  for (int64_t i = 0; i < s.n; i += 5)
    for (const int64_t j : {0, 2}) reinterpret_cast<float*>(x.mutable_row(i))[j] = -1e20f;
  x.read_back();
  const Store store(s.store, x.view);
  if (const std::string other = difference_from_cpu(s.store, store, x); !other.empty()) wrong(other);
}

// As the device computes them: what knn and radius must agree with, bit for bit.
inline std::vector<double> distances(const Inputs& in, const Shape& s) {
  const Bytes out(s.m * s.n * 4);
  run(PairwiseArgs{in.queries.view, in.searched, s.metric, out.data(), nullptr, {}}, pairwise, pairwise_workspace);
  std::vector<double> values(static_cast<size_t>(s.m * s.n));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = is_int_metric(s.metric) ? out.data<int32_t>()[i] : static_cast<double>(out.data<float>()[i]);
  return values;
}

// Sums of tables may cancel, where rows are decoded they are those of the decoded rows. What RaBitQ estimates, and tables of
// bytes, are compared with the CPU's bytes by tests/test_store_backends.py; here they must only agree with themselves.
inline double slack_of_codes(const Inputs& in, const Shape& s, int64_t q, int64_t i) {
  if (s.metric == Metric::cityblock || s.metric == Metric::chebyshev) return 0;
  if (s.store.kind == StoreKind::rabitq || s.store.bits == 4) return INFINITY;
  double sum = 0;
  for (int64_t j = 0; j < s.d; ++j) sum += 1 + std::abs(in.queries.row(q)[j]) + std::abs(in.base.row(i)[j]);
  return 0x1p-18 * sum * sum;
}

// What the rounding of a query to 8 bits may add to the error: half a step a dimension, against the row's codes.
inline double rounded_query(const Inputs& in, const Shape& s, int64_t q, int64_t i) {
  if (s.store.bits == 0 || s.store.residual != 0 || (s.store.variant && s.store.kind == StoreKind::lvq)) return 0;
  if (s.store.kind != StoreKind::lvq) return slack_of_codes(in, s, q, i);
  const double *x = in.base.row(i), *v = in.queries.row(q);
  const bool dot = s.metric == Metric::inner_product || s.metric == Metric::cosine;
  const generic::LvqView view(in.store->base);
  const double low = static_cast<double>(view.unit) * view.low(i);
  double most = 0, sum = 0, x2 = 0, v2 = 0;
  for (int64_t j = 0; j < s.d; ++j) {
    const double mean = in.store->mean.data<float>()[j];
    most = std::max(most, std::abs(v[j] - (dot ? 0 : mean)));
    sum += std::abs(x[j] - mean - low);
    x2 += x[j] * x[j];
    v2 += v[j] * v[j];
  }
  const double error = (1 + 0x1p-12) * most / 254 * sum;
  if (s.metric == Metric::cosine) return x2 * v2 > 0 ? error / std::sqrt(x2 * v2) + 0x1p-18 : 0;
  const double slack = 0x1p-18 * (x2 + v2 + static_cast<double>(s.d) * most * most);
  if (s.metric == Metric::inner_product) return error + slack;
  return s.metric == Metric::sqeuclidean ? 2 * error + slack
         : s.metric == Metric::euclidean ? std::sqrt(2 * error + slack)
                                         : 0;
}

inline void check_row(const char* what, int64_t q, int64_t slot, double got, int64_t got_id, double expected, int64_t id) {
  const bool same = got == expected || (std::isnan(got) && std::isnan(expected));
  if (same && got_id == id) return;
  wrong(std::string(what) + " (" + std::to_string(q) + "," + std::to_string(slot) + ") is " + std::to_string(got) + " of " +
        std::to_string(got_id) + ", not " + std::to_string(expected) + " of " + std::to_string(id));
}

// Bit for bit, where a store's keys are made from its codes.
inline void check_against_cpu(const Inputs& in, const Shape& s, const std::vector<double>& got) {
  const auto expected = cpu_distances(in.searched, in.queries.view, s.metric);
  for (int64_t i = 0; expected && i < s.m * s.n; ++i)
    check_row("store", i / s.n, i % s.n, got[static_cast<size_t>(i)], i % s.n, expected[static_cast<size_t>(i)], i % s.n);
}

inline void check_pairwise(const Shape& s) {
  const Inputs in(s, true);
  const auto got = distances(in, s);
  if (s.store.bits != 0) check_against_cpu(in, s, got);
  for (int64_t q = 0; q < s.m; ++q) {
    for (int64_t i = 0; i < s.n; ++i) {
      auto expected = plain::distance(s.metric, in.queries.row(q), in.base.row(i), s.d);
      expected.bound += rounded_query(in, s, q, i);
      const double value = got[static_cast<size_t>(q * s.n + i)];
      // Whatever its codes decode to; signs whose norm is shared have no such row.
      if (s.store.bits != 0 && s.metric == Metric::cosine && i == in.zero_row && value == 1) continue;
      if (!(std::abs(value - expected.value) <= expected.bound) || std::isnan(value)) {
        wrong("(" + std::to_string(q) + "," + std::to_string(i) + ") is " + std::to_string(value) + ", not " +
              std::to_string(expected.value));
      }
    }
  }
}

// A filter that about two of three rows pass, and its meaning. A strict one is of bytes: every fifth row passes, and of odd
// queries' very few.
struct FilterCase {
  Filter filter;
  Bytes memory{0};
  FilterCase(Filter::Kind kind, bool shared, int64_t m, int64_t n, bool strict = false) {
    const int64_t width = kind == Filter::Kind::bytes ? n : (n + 31) / 32 * 4, count = shared ? 1 : m;
    if (kind == Filter::Kind::none) return;
    memory = Bytes(width * count);
    for (int64_t i = 0; i < width * count; ++i)
      memory.data()[i] = static_cast<unsigned char>(strict                        ? i % n % (i / n % 2 ? 2003 : 5) == 0
                                                    : kind == Filter::Kind::bytes ? (i * 7 % 3 != 0) * (1 + i % 5)
                                                                                  : 0xb6 ^ i);
    filter = {memory.data(), shared ? 0 : width, kind};
  }
};

inline double missing(Metric metric) {
  if (is_int_metric(metric)) return 0x7fffffff;
  return metric == Metric::inner_product ? -INFINITY : INFINITY;
}

inline void check_knn(const Shape& s, int64_t k, Filter::Kind kind, bool shared, bool strict = false) {
  const Inputs in(s);
  const FilterCase f(kind, shared, s.m, s.n, strict);
  const Bytes out(s.m * k * 4), indices(s.m * k * 8);
  run(KnnArgs{in.searched, in.queries.view, s.metric, k, f.filter, out.data(), indices.data<int64_t>(), nullptr, {}}, knn,
      knn_workspace);
  const auto all = distances(in, s);
  std::vector<int64_t> ids(static_cast<size_t>(s.n));
  std::iota(ids.begin(), ids.end(), 0);
  for (int64_t q = 0; q < s.m; ++q) {
    std::vector<double> keys(all.begin() + q * s.n, all.begin() + (q + 1) * s.n);
    if (s.metric == Metric::inner_product)
      for (double& key : keys) key = -key;
    const auto expected = plain::best(keys, ids, k, [&](int64_t i) { return f.filter.is_allowed(q, i); });
    for (int64_t e = 0; e < k; ++e) {
      const int64_t at = q * k + e;
      const double got = is_int_metric(s.metric) ? out.data<int32_t>()[at] : static_cast<double>(out.data<float>()[at]);
      const bool there = e < static_cast<int64_t>(expected.size());
      const int64_t id = there ? expected[static_cast<size_t>(e)] : -1;
      check_row("knn", q, e, got, indices.data<int64_t>()[at],
                there ? all[static_cast<size_t>(q * s.n + id)] : missing(s.metric), id);
    }
  }
}

// Rows that queries name: what pairwise gives, bit for bit.
inline void check_distances(const Shape& s, int64_t width) {
  const Inputs in(s);
  const Bytes ids(s.m * width * 8), out(s.m * width * 4);
  std::mt19937 random(11);
  for (int64_t i = 0; i < s.m * width; ++i)
    ids.data<int64_t>()[i] = s.n == 0 || random() % 6 == 0 ? -1 : static_cast<int64_t>(random()) % s.n;
  run(DistancesArgs{in.searched, in.queries.view, s.metric, ids.data<int64_t>(), width, out.data(), nullptr, {}},
      annk::distances, distances_workspace);
  const auto all = distances(in, s);
  for (int64_t i = 0; i < s.m * width; ++i) {
    const int64_t id = ids.data<int64_t>()[i];
    const double got = is_int_metric(s.metric) ? out.data<int32_t>()[i] : static_cast<double>(out.data<float>()[i]);
    check_row("distances", i / width, i % width, got, id,
              id < 0 ? missing(s.metric) : all[static_cast<size_t>(i / width * s.n + id)], id);
  }
}

// Fewer candidates than 2^31 in a selection, so that longer rows come in parts.
struct FewCandidates {
  const int64_t all = cuda::most_candidates;
  explicit FewCandidates(int64_t most) { cuda::most_candidates = most; }
  ~FewCandidates() { cuda::most_candidates = all; }
  FewCandidates(const FewCandidates&) = delete;
};

inline void check_radius(const Shape& s, Filter::Kind kind, bool shared) {
  const Inputs in(s);
  const FilterCase f(kind, shared, s.m, s.n);
  const auto all = distances(in, s);
  auto sorted = all;
  std::sort(sorted.begin(), sorted.end());
  const double radius = sorted.empty() ? 1 : sorted[sorted.size() / 3];  // equal to a distance, so that equality counts
  const Bytes lims((s.m + 1) * 8);
  RadiusArgs args{
      in.searched, in.queries.view, s.metric, static_cast<float>(radius), f.filter, lims.data<int64_t>(), nullptr,
      nullptr,     nullptr,         {}};
  run(args, radius_count, radius_count_workspace);
  const int64_t hits = lims.data<int64_t>()[s.m];
  if (hits < 0 || hits > s.m * s.n) wrong("radius counts " + std::to_string(hits) + " hits");
  const Bytes out(hits * 4), indices(hits * 8);
  args.distances = out.data();
  args.indices = indices.data<int64_t>();
  run(args, radius_fill, radius_fill_workspace);
  int64_t at = 0;
  for (int64_t q = 0; q < s.m; ++q) {
    if (lims.data<int64_t>()[q] != at)
      wrong("lims[" + std::to_string(q) + "] is " + std::to_string(lims.data<int64_t>()[q]));
    for (int64_t i = 0; i < s.n; ++i) {
      const double value = all[static_cast<size_t>(q * s.n + i)];
      const bool within = s.metric == Metric::inner_product ? value >= args.radius : value <= args.radius;
      if (!within || !f.filter.is_allowed(q, i)) continue;
      if (at >= hits) wrong("radius misses hits of query " + std::to_string(q));
      const double got = is_int_metric(s.metric) ? out.data<int32_t>()[at] : static_cast<double>(out.data<float>()[at]);
      check_row("radius", q, at, got, indices.data<int64_t>()[at], value, i);
      ++at;
    }
  }
  if (at != hits) wrong("radius finds " + std::to_string(hits) + " hits, not " + std::to_string(at));
}

enum class Ids { none, own, shared };
struct Selection {
  int64_t parts, m, n, k;
  bool largest;
  Ids ids = Ids::none;
  enum { ordinary, few, special, equal } values = ordinary;
  int64_t gap = 0;
};

inline float value_of(const Selection& s, std::mt19937& random) {
  const uint32_t r = random();
  if (s.values == Selection::equal) return 2.5f;
  if (s.values == Selection::few) return static_cast<float>(r % 5) - 2;
  if (s.values == Selection::special && r % 4 == 0) {
    const float odd[] = {NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 1e-42f, -1e-42f, 3e38f};
    return odd[r / 4 % 8];
  }
  return std::normal_distribution<float>()(random);
}

inline void check_select(const Selection& s) {
  std::mt19937 random(5);
  const int64_t pitch = s.n + s.gap, total = s.parts * s.m * pitch,
                ids_total = s.ids == Ids::shared ? s.parts * pitch : total;
  const Bytes values(total * 4), ids(s.ids == Ids::none ? 0 : ids_total * 8), out(s.m * s.k * 4), out_ids(s.m * s.k * 8);
  for (int64_t i = 0; i < total; ++i) values.data<float>()[i] = value_of(s, random);
  // Distinct, in no order, about one in eight missing.
  if (s.ids != Ids::none)
    for (int64_t i = 0; i < ids_total; ++i)
      ids.data<int64_t>()[i] = random() % 8 == 0 ? -1 : (i * 2654435761 % 4294967291) << 3;
  SelectKArgs args{values.data<float>(),    s.parts, s.m, s.n, s.m * pitch, pitch,
                   ids.data<int64_t>(),     0,       0,   s.k, s.largest,   out.data<float>(),
                   out_ids.data<int64_t>(), {}};
  args.ids_part_stride = s.ids == Ids::shared ? pitch : s.m * pitch;
  args.ids_row_stride = s.ids == Ids::shared ? 0 : pitch;
  run(args, select_k, select_k_workspace);
  for (int64_t r = 0; r < s.m; ++r) {
    std::vector<double> keys;
    std::vector<int64_t> of;
    for (int64_t p = 0; p < s.parts; ++p) {
      for (int64_t c = 0; c < s.n; ++c) {
        const double value = args.values[p * args.part_stride + r * args.row_stride + c];
        keys.push_back(s.largest ? -value : value);
        of.push_back(s.ids == Ids::none ? p * s.n + c : args.ids[p * args.ids_part_stride + r * args.ids_row_stride + c]);
      }
    }
    const auto expected = plain::best(keys, of, s.k, [&](int64_t i) { return of[static_cast<size_t>(i)] >= 0; });
    for (int64_t e = 0; e < s.k; ++e) {
      const bool there = e < static_cast<int64_t>(expected.size());
      const auto i = there ? static_cast<size_t>(expected[static_cast<size_t>(e)]) : 0;
      const double none = s.largest ? -INFINITY : INFINITY, value = there ? (s.largest ? -keys[i] : keys[i]) : none;
      check_row("select_k", r, e, out.data<float>()[r * s.k + e], out_ids.data<int64_t>()[r * s.k + e], value,
                there ? of[i] : -1);
    }
  }
}

}  // namespace check
