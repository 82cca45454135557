// SPDX-License-Identifier: Apache-2.0
// Every operation of the device backend on small odd shapes: device_check SEEDS [FIRST [WORD...]]
// Runs the cases whose names hold one of the words (all, without any) and none of the words given with a minus in front,
// once a seed of the emulator. Prints what is wrong, and ends with status 1 after a seed with a failure, at once after
// DEVICE_CHECK_FAILURES of them. SEEDS = 0 lists the cases.
#include <cstdio>
#include <exception>

#include "document_checks.h"
#include "grow_checks.h"
#include "prefilter_checks.h"
#include "row_cases.h"

using namespace check;

namespace {

constexpr Metric kNumberMetrics[] = {Metric::sqeuclidean, Metric::inner_product, Metric::cosine,
                                     Metric::euclidean,   Metric::cityblock,     Metric::chebyshev};
constexpr std::pair<DType, DType> kTypes[] = {
    {DType::f32, DType::f32}, {DType::f16, DType::f16}, {DType::bf16, DType::f32},
    {DType::i8, DType::i8},   {DType::u8, DType::f32},  {DType::f16, DType::f32},
    {DType::u8, DType::u8},   {DType::i8, DType::f32},  {DType::bf16, DType::bf16}};
// Few queries (narrow tiles) and many (wide ones), around 1, the warp, the tile of 128 rows and of 64 queries; dimensions
// around a 16-byte piece and a chunk of any type.
constexpr int64_t kSizes[][3] = {{1, 129, 33}, {17, 130, 7},  {5, 1, 40},  {65, 33, 16}, {16, 300, 3}, {70, 128, 35},
                                 {3, 127, 64}, {33, 257, 17}, {1, 500, 1}, {64, 1, 129}, {4, 31, 130}, {18, 260, 8}};
// Aligned rows, rows of one element more, an odd start, rows in reverse.
constexpr Layout kLayouts[] = {{}, {0, 16, false}, {4, 4, false}, {0, 0, true}};

Shape shape(size_t i, Metric metric, std::pair<DType, DType> types) {
  const auto [m, n, d] = kSizes[i % std::size(kSizes)];
  Layout layout = kLayouts[i / 2 % std::size(kLayouts)];
  return {m, n, types.first == DType::bits ? (d + 7) / 8 * 8 : d, types.first, types.second, metric, layout, i % 5 == 0};
}

// Each metric with each pair of types, three sizes or more; sizes and layouts go round.
std::vector<Shape> all_shapes() {
  std::vector<Shape> shapes;
  size_t i = 0;
  for (const Metric metric : kNumberMetrics)
    for (const auto& types : kTypes)
      for (int repeat = 0; repeat < 3; ++repeat) shapes.push_back(shape(i++, metric, types));
  for (const Metric metric : {Metric::hamming, Metric::jaccard})
    for (size_t j = 0; j < std::size(kSizes); ++j) shapes.push_back(shape(i++, metric, {DType::bits, DType::bits}));
  return shapes;
}

std::vector<Case> pairwise_cases() {
  std::vector<Case> cases;
  for (const Shape& s : all_shapes()) cases.push_back({"pairwise " + text_of(s), [s] { check_pairwise(s); }});
  const auto add_cosine = [&](int64_t m, int64_t n, int64_t d, float magnitude) {
    const Shape s{m, n, d, DType::f32, DType::f32, Metric::cosine, {}, false, magnitude};
    cases.push_back({"pairwise " + text_of(s), [s] { check_pairwise(s); }});
  };
  add_cosine(0, 5, 3, 1);
  add_cosine(5, 0, 3, 1);
  add_cosine(3, 5, 0, 1);
  add_cosine(2, 3, 2100, 1);  // more dimensions than shared memory holds at a time
  // Sums of squares that float32 cannot hold.
  for (const float magnitude : {1e-22f, 1e17f})
    for (const int64_t m : {3, 18}) add_cosine(m, 131, 21, magnitude);
  return cases;
}

// Adds so much to every element of a float32 matrix.
void move(plain::Rows& x, float offset) {
  for (int64_t i = 0; i < x.view.rows * x.view.dims; ++i)
    reinterpret_cast<float*>(x.mutable_row(i / x.view.dims))[i % x.view.dims] += offset;
}

size_t row_bytes(const plain::Rows& x) { return static_cast<size_t>(plain::Rows::row_bytes(x.view.dims, x.view.dtype)); }

// Lists of one and two registers a lane, the first k beyond them, k near n and above it; every kind of filter.
std::vector<Case> knn_cases() {
  constexpr int64_t kNeighbors[] = {1, 10, 32, 33, 64, 65, 100, 0, 300};
  std::vector<Case> cases;
  const auto shapes = all_shapes();
  const auto add = [&](const Shape& s, int64_t k, Filter::Kind kind, bool shared, bool strict = false) {
    const std::string how =
        " k=" + std::to_string(k) + " filter=" + std::to_string(static_cast<int>(kind)) + (shared ? "s" : "");
    cases.push_back({"knn " + text_of(s) + how, [=] { check_knn(s, k, kind, shared, strict); }});
  };
  for (size_t i = 0; i < shapes.size(); i += 3)
    add(shapes[i], kNeighbors[i / 3 % std::size(kNeighbors)], static_cast<Filter::Kind>(i / 3 % 4 % 3), i % 2 == 0);
  for (const bool few : {false, true})
    for (const int64_t k : kNeighbors)
      for (const int64_t m : {2, 20})
        add({m, 700, 5, DType::f32, DType::f32, Metric::sqeuclidean, {}, few}, k, static_cast<Filter::Kind>(k % 3), m == 2);
  add({0, 5, 3, DType::f32, DType::f32, Metric::cosine}, 2, Filter::Kind::none, true);
  add({5, 0, 3, DType::f32, DType::f32, Metric::inner_product}, 2, Filter::Kind::none, true);
  add({5, 0, 8, DType::bits, DType::bits, Metric::hamming}, 70, Filter::Kind::none, true);
  add({4100, 3, 2, DType::f32, DType::f32, Metric::sqeuclidean}, 2, Filter::Kind::bits, false);
  // Keys that wait in two chunks, of which the second query has kept few; rows in parts, the last with fewer than k.
  add({2, 66000, 1, DType::f32, DType::f32, Metric::sqeuclidean}, 70, Filter::Kind::bytes, false, true);
  add({2, 2300, 1, DType::f32, DType::f32, Metric::sqeuclidean}, 2100, Filter::Kind::none,
      false);  // more than is sorted at once
  for (const auto& [n, most, k, metric, strict] : {std::tuple{650, 300, 80, Metric::inner_product, false},
                                                   {650, 300, 80, Metric::euclidean, false},
                                                   {330, 300, 90, Metric::sqeuclidean, true},  // fewer pass than are wanted
                                                   {501, 500, 249, Metric::cityblock, false}})
    cases.push_back({std::string("knn in parts ") + kMetricNames[static_cast<int>(metric)], [n, most, k, metric, strict] {
                       const FewCandidates few(most);
                       check_knn({3, n, 4, DType::f32, DType::f32, metric, {}, true}, k, Filter::Kind::bytes, true, strict);
                     }});
  return cases;
}

// Every kind of product and metric; more rows than a query's candidates have room, so that levels and limits matter; sizes
// beside the tile's and the chunk's; what all survives: equal rows, zero vectors, norms that squares cannot hold.
std::vector<Case> prefilter_cases() {
  using M = Metric;
  std::vector<Case> cases;
  const auto add = [&](const Shape& s, int64_t k, Filter::Kind kind, Fit fit, bool zeros = false, float offset = 0) {
    const std::string how = std::string(zeros ? " zeros" : "") + (offset != 0 ? " far" : "");
    cases.push_back({"prefilter " + text_of(s) + " k=" + std::to_string(k) + how, [=] {
                       Inputs in(s);
                       if (!zeros && s.n > 0) {  // the zero vectors of Inputs, which no norm bounds
                         std::memcpy(in.queries.mutable_row(s.m / 2), in.queries.view.row(0), row_bytes(in.queries));
                         std::memcpy(in.base.mutable_row(s.n / 2), in.base.view.row(0), row_bytes(in.base));
                       }
                       if (offset != 0) move(in.base, offset), move(in.queries, offset);
                       if (s.base == DType::f16 && s.queries == DType::f32)  // operands are scaled by the largest
                         for (int64_t q = 0; q < s.m; ++q) *reinterpret_cast<float*>(in.queries.mutable_row(q)) *= 64;
                       if (!zeros && !s.few) make_tight(in, s, k);
                       check_prefilter(in, s, k, kind, s.m % 2 == 0, fit);
                     }});
  };
  constexpr auto kNone = Filter::Kind::none, kBytes = Filter::Kind::bytes, kBits = Filter::Kind::bits;
  add({130, 1500, 36, DType::f32, DType::f32, M::sqeuclidean}, 10, kNone, Fit::all);
  add({5, 2100, 20, DType::f32, DType::f32, M::inner_product}, 1, kBits, Fit::all);
  add({17, 1300, 52, DType::f32, DType::f16, M::cosine}, 33, kNone, Fit::any);
  add({129, 1200, 8, DType::f32, DType::f32, M::euclidean}, 3, kBytes, Fit::all);
  add({3, 1100, 48, DType::f16, DType::f16, M::inner_product}, 10, kNone, Fit::all);
  add({31, 1400, 40, DType::f16, DType::f32, M::sqeuclidean}, 5, kBits, Fit::all);
  add({4, 1300, 40, DType::f16, DType::f32, M::inner_product, {}, false, 1e-6f}, 10, kNone, Fit::all);
  add({4, 1129, 136, DType::f16, DType::f32, M::cosine}, 10, kNone, Fit::all);
  add({6, 1300, 72, DType::bf16, DType::f32, M::inner_product, {0, 0, true}}, 16, kNone, Fit::all);
  add({5, 1200, 56, DType::bf16, DType::bf16, M::euclidean}, 64, kBytes, Fit::any);
  add({40, 1700, 80, DType::i8, DType::i8, M::cosine}, 10, kNone, Fit::all);
  add({7, 1300, 48, DType::i8, DType::i8, M::sqeuclidean, {0, 16, false}}, 2, kBits, Fit::all);
  add({6, 1400, 96, DType::u8, DType::u8, M::euclidean}, 10, kNone, Fit::all);
  add({3, 1200, 160, DType::u8, DType::u8, M::inner_product}, 7, kNone, Fit::all);
  // Rows that end within 16 bytes, aligned by a gap.
  add({9, 1100, 33, DType::f32, DType::f32, M::sqeuclidean, {0, 12, false}}, 4, kNone, Fit::all);
  add({2, 1100, 21, DType::f16, DType::f16, M::cosine, {0, 6, false}}, 4, kNone, Fit::all);
  add({2, 1100, 37, DType::u8, DType::u8, M::inner_product, {0, 11, false}}, 4, kNone, Fit::all);
  // Far from the origin: distances are small against the norms, and so against the bound.
  for (const float offset : {3.0f, 30.0f, 1000.0f})
    for (const Metric metric : {M::sqeuclidean, M::inner_product})
      add({3, 1100, 24, DType::f32, DType::f32, metric}, 10, kNone, offset < 4 ? Fit::all : Fit::any, false, offset);
  add({4100, 1030, 4, DType::f32, DType::f32, M::sqeuclidean}, 2, kNone, Fit::any);
  // Three levels and blocks of several tiles; one level; rows that hold fewer than k; none; keys of infinity.
  add({1, 66000, 4, DType::f32, DType::f32, M::sqeuclidean}, 10, kNone, Fit::all);
  add({3, 50, 12, DType::f32, DType::f32, M::cosine}, 60, kBits, Fit::all);
  add({3, 0, 12, DType::f32, DType::f32, M::inner_product}, 2, kNone, Fit::all);
  add({3, 50, 12, DType::f32, DType::f32, M::sqeuclidean, {}, false, 1e20f}, 4, kNone, Fit::all);
  // Ties and zero vectors, and magnitudes whose squares overflow or vanish.
  add({66, 4000, 1, DType::f32, DType::f32, M::sqeuclidean, {0, 12, false}, true}, 10, kNone, Fit::some_not);
  add({3, 1200, 16, DType::u8, DType::u8, M::cosine, {}, true}, 10, kBits, Fit::any, true);
  add({5, 1200, 16, DType::f32, DType::f32, M::cosine}, 3, kNone, Fit::some_not, true);
  add({128, 1100, 16, DType::f32, DType::f32, M::cosine}, 3, kNone, Fit::some_not, true);  // the first of a tile alone
  for (const float magnitude : {1e-22f, 1e17f})
    add({3, 1100, 16, DType::f32, DType::f32, M::inner_product, {}, false, magnitude}, 3, kNone, Fit::some_not);
  return cases;
}

std::vector<Case> radius_cases() {
  std::vector<Case> cases;
  const auto shapes = all_shapes();
  const auto add = [&](const Shape& s, Filter::Kind kind, bool shared) {
    const std::string how = " filter=" + std::to_string(static_cast<int>(kind)) + (shared ? "s" : "");
    cases.push_back({"radius " + text_of(s) + how, [=] { check_radius(s, kind, shared); }});
  };
  for (size_t i = 1; i < shapes.size(); i += 5) add(shapes[i], static_cast<Filter::Kind>(i % 4 % 3), i % 2 == 0);
  add({3, 1500, 4, DType::f32, DType::f32, Metric::sqeuclidean, {}, true}, Filter::Kind::bytes, true);
  add({0, 5, 3, DType::f32, DType::f32, Metric::cosine}, Filter::Kind::none, true);
  add({5, 0, 3, DType::f32, DType::f32, Metric::cosine}, Filter::Kind::none, true);
  add({4100, 3, 2, DType::f32, DType::f32, Metric::inner_product}, Filter::Kind::none, true);
  add({300, 3, 2, DType::f32, DType::f32, Metric::euclidean}, Filter::Kind::none, true);       // counts of several steps
  add({2, 66000, 1, DType::f32, DType::f32, Metric::sqeuclidean}, Filter::Kind::bits, false);  // two chunks of keys
  return cases;
}

std::vector<Case> distances_cases() {
  std::vector<Case> cases;
  const auto shapes = all_shapes();
  const auto add = [&](const Shape& s, int64_t width) {
    cases.push_back({"distances " + text_of(s) + " width=" + std::to_string(width), [=] { check_distances(s, width); }});
  };
  for (size_t i = 2; i < shapes.size(); i += 3) add(shapes[i], i % 2 == 0 ? 7 : 33);
  add({0, 5, 3, DType::f32, DType::f32, Metric::cosine}, 4);
  add({5, 0, 3, DType::f32, DType::f32, Metric::cosine}, 4);
  add({5, 4, 0, DType::f32, DType::f32, Metric::inner_product}, 4);
  add({4100, 3, 2, DType::f32, DType::f32, Metric::inner_product}, 2);
  return cases;
}

// Stores by their own kernels and by decoding, in every operation.
std::vector<Case> store_cases() {
  constexpr StoreSpec kStores[] = {{8, 0}, {4, 0}, {8, 0, true}, {4, 8}, {4, 4}, {8, 8}, {4, 0, true}, {8, 0, false, 5}};
  constexpr auto kRabitq = StoreKind::rabitq, kPq = StoreKind::pq;
  constexpr StoreSpec kOthers[] = {{1, 0, false, 0, kRabitq}, {5, 0, false, 0, kRabitq}, {8, 0, false, 0, kRabitq},
                                   {4, 0, false, 0, kPq, 21}, {8, 0, false, 0, kPq, 6},  {8, 0, false, 0, kPq, 20}};
  constexpr int64_t kNeighbors[] = {10, 70, 33};
  std::vector<Case> cases;
  const auto add = [&](const Shape& s, size_t i) {
    const int64_t k = kNeighbors[i % std::size(kNeighbors)];
    const auto kind = static_cast<Filter::Kind>(i % 3);
    cases.push_back({"store pairwise " + text_of(s), [=] { check_pairwise(s); }});
    cases.push_back({"store knn " + text_of(s) + " k=" + std::to_string(k), [=] { check_knn(s, k, kind, i % 2 == 0); }});
    if (i % 2 == 0) cases.push_back({"store radius " + text_of(s), [=] { check_radius(s, kind, i % 4 == 0); }});
    cases.push_back({"store distances " + text_of(s), [=] { check_distances(s, 5); }});
  };
  size_t i = 0;
  for (const StoreSpec& store : kOthers) {
    const Layout layout{i % 2 == 0 ? size_t{4} : 0, 0, false};
    for (const auto& [m, n, d, metric] : {std::tuple{3, 200, 40, Metric::sqeuclidean},
                                          {20, 130, 130, Metric::inner_product},
                                          {66, 33, 65, Metric::cosine}}) {
      add({m, n, d, DType::f32, i % 3 == 0 ? DType::f16 : DType::f32, metric, layout, false, 1, store}, i);
      ++i;
    }
  }
  for (const StoreSpec& store : kStores) {
    for (const Metric metric : kNumberMetrics) {
      if (i % 2 == 0 && metric == Metric::cityblock) continue;
      Shape s = shape(i, metric, {DType::f32, i % 3 == 2 ? DType::f16 : DType::f32});
      ++i;
      s.store = store;
      s.few = false;
      add(s, i);
    }
  }
  // Each width of codes, and what else a store may have.
  constexpr StoreSpec kMore[] = {{2, 0, false, 0, kRabitq},
                                 {3, 0, false, 0, kRabitq},
                                 {6, 0, false, 0, kRabitq},
                                 {7, 0, false, 0, kRabitq},
                                 {1, 0, false, 0, kRabitq, 0, true},
                                 {1, 0, false, 1, kRabitq, 0, true},
                                 {4, 0, false, 0, kPq, 9, true},
                                 {8, 0, false, 0, kPq, 7, true},
                                 {8, 0, false, 0, StoreKind::lvq, 0, true},
                                 {4, 8, false, 0, StoreKind::lvq, 0, true}};
  for (const StoreSpec& store : kMore)
    for (const auto& [m, n, d, metric] : {std::tuple{3, 70, 70, Metric::sqeuclidean}, {18, 40, 33, Metric::cosine}})
      add({m, n, d, DType::f32, DType::f32, metric, {}, false, 1, store}, i++);
  for (const StoreSpec& store : {kStores[0], kOthers[0], kOthers[3], kOthers[4]})
    add({3, 0, 5, DType::f32, DType::f32, Metric::sqeuclidean, {}, false, 1, store}, 0);
  add({3, 4, 0, DType::f32, DType::f32, Metric::sqeuclidean, {}, false, 1, {4, 4}}, 0);
  for (const StoreSpec& store : {kStores[0], kStores[3], kOthers[1], kOthers[3]}) {
    const Shape s{0, 70, 37, DType::f32, DType::f32, Metric::sqeuclidean, {}, false, 1, store};
    if (store.kind != StoreKind::lvq)  // whose scales are float16
      cases.push_back({"store cancels" + text_of(store), [s] { check_cancelling(s); }});
    cases.push_back({"store refuses" + text_of(store), [s] { check_refusal(s); }});
  }
  return cases;
}

// Each way of making keys; a block a query (m > 32, or windows below 32) and several; each way of a filter: few rows pass,
// some do and are looked through to, most do; pools in memory; lists longer than a batch; fewer rows than k.
std::vector<Case> graph_cases() {
  using M = Metric;
  constexpr auto kBytes = Filter::Kind::bytes, kBits = Filter::Kind::bits;
  constexpr DType f32 = DType::f32, f16 = DType::f16, i8 = DType::i8, u8 = DType::u8, bits = DType::bits;
  std::vector<Case> cases;
  const auto add = [&](const GraphCase& c) {
    const std::string how = " k=" + std::to_string(c.k) + " window=" + std::to_string(c.window) +
                            " degree=" + std::to_string(c.degree) + " filter=" + std::to_string(static_cast<int>(c.kind)) +
                            (c.shared ? "s" : "") + " rerank=" + std::to_string(c.rerank_k);
    cases.push_back({"graph " + text_of(c.s) + how, [c] { check_graph(c); }});
  };
  add({{34, 300, 9, f32, f32, M::sqeuclidean, {}, true}, 10, 20, 8, 3});
  add({{3, 300, 33, f32, f32, M::inner_product, {0, 16, false}}, 7, 40, 8, 70});
  add({{2, 400, 5, f16, f32, M::cityblock, {}, true}, 50, 50, 40, 1});
  add({{2, 200, 20, i8, i8, M::cosine}, 5, 33, 150, 2});
  add({{5, 200, 24, u8, u8, M::euclidean, {4, 4, false}}, 5, 12, 7, 2});
  add({{3, 200, 40, bits, bits, M::hamming}, 5, 34, 9, 2});
  add({{2, 150, 16, bits, bits, M::jaccard}, 5, 8, 9, 2});
  add({{2, 1300, 3, f32, f32, M::chebyshev}, 9, 1100, 5, 4});
  add({{4, 7, 3, f32, f32, M::cosine}, 9, 33, 3, 1});
  add({{1, 1, 3, f32, f32, M::cosine}, 2, 3, 1, 1});
  add({{3, 250, 130, f32, f32, M::sqeuclidean, {}, false, 1, {8, 0}}, 5, 32, 8, 2, {}, true, 0, 20});
  add({{3, 250, 35, f32, f32, M::cosine, {}, false, 1, {4, 0}}, 5, 14, 8, 2, {}, true, 0, 5});
  add({{3, 7, 4, f32, f32, M::sqeuclidean, {}, false, 1, {8, 0}}, 9, 14, 3, 1, {}, true, 0, 12});  // more than there are
  add({{2, 250, 35, f32, f32, M::inner_product, {}, false, 1, {4, 8}}, 5, 32, 8, 2});
  add({{2, 250, 35, f32, f32, M::cosine, {}, false, 1, {4, 8}}, 5, 32, 40, 50});  // more rows than are decoded at once
  add({{36, 90, 16, f32, f32, M::cityblock, {}, false, 1, {8, 0}}, 5, 12, 8, 2});
  for (const uint32_t percent : {0u, 10u, 14u, 50u, 80u, 100u}) {
    const auto kind = percent % 20 == 10 ? kBits : kBytes;
    add({{3, 40000, 4, f32, f32, M::sqeuclidean, {}, true}, 1, 1, 12, 2, kind, true, percent});
    add({{2, 40000, 6, f32, f32, M::inner_product}, 2, 2, 40, 5, kind, false, percent, percent == 14 ? 2 : 0});
  }
  add({{2, 9000, 2, f32, f32, M::sqeuclidean}, 3, 33, 6, 5, kBits, false, 90});
  add({{2, 3000, 4, f32, f32, M::sqeuclidean}, 10, 40, 700, 2, {}, true, 0, 0, true});  // lists of several batches
  cases.push_back({"graph rounds", [] {
                     check_rounds({{5, 900, 6, f32, f32, M::sqeuclidean}, 10, 64, 12, 3}, 48);
                     check_rounds({{2, 3000, 6, f32, f32, M::cosine}, 10, 256, 24, 3}, 128);
                   }});
  return cases;
}

std::vector<Case> build_cases() {
  std::vector<Case> cases;
  for (const DescentCase& c : descent_cases()) cases.push_back({"descent " + text_of(c), [c] { check_descent(c); }});
  for (const GrowCase& c : grow_cases()) cases.push_back({"grow " + text_of(c), [c] { check_grow(c); }});
  for (const FinishCase& c : finish_cases()) cases.push_back({"finish " + text_of(c), [c] { check_finish(c); }});
  return cases;
}

// Any of the words, and none of those behind a minus.
bool wanted(const std::string& name, int count, char** words) {
  bool any = false, asked = false;
  for (int i = 0; i < count; ++i) {
    const bool out = words[i][0] == '-', here = name.find(words[i] + out) != std::string::npos;
    if (out && here) return false;
    asked = asked || !out;
    any = any || (!out && here);
  }
  return any || !asked;
}

int run_all(const std::vector<Case>& cases, long seed) {
  setenv("EMU_SEED", std::to_string(seed).c_str(), 1);
  const char* most = std::getenv("DEVICE_CHECK_FAILURES");
  int failures = 0;
  for (const Case& c : cases) {
    if (failures >= (most ? std::atoi(most) : 20)) break;
    try {
      c.run();
    } catch (const Failure& failure) {
      std::printf("%s: WRONG-RESULT: %s seed %ld\n", c.name.c_str(), failure.text.c_str(), seed);
      ++failures;
    } catch (const std::exception& error) {
      std::printf("%s: %s\n", c.name.c_str(), error.what());
      ++failures;
    }
    std::fflush(stdout);
  }
  return failures;
}

}  // namespace

int main(int count, char** words) {
  std::vector<Case> cases;
  for (auto* list : {pairwise_cases, document_cases, knn_cases, prefilter_cases, radius_cases, distances_cases, store_cases,
                     graph_cases, build_cases, select_cases, nonfinite_cases, cluster_cases})
    for (Case& c : list())
      if (wanted(c.name, count - 3, words + 3)) cases.push_back(std::move(c));
  const long seeds = count > 1 ? std::atol(words[1]) : 1, first = count > 2 ? std::atol(words[2]) : 0;
  if (seeds == 0)
    for (const Case& c : cases) std::puts(c.name.c_str());
  for (long seed = first; seed < first + seeds; ++seed)
    if (run_all(cases, seed) != 0) return 1;
  if (seeds != 0) std::printf("%zu cases, %ld seeds: all right\n", cases.size(), seeds);
  return 0;
}
