// SPDX-License-Identifier: Apache-2.0
// The compressed stores of one instruction set. Products with rows are near those with what the rows decode to; few queries,
// many, and chosen rows give the same keys; and what must be equal on all levels is hashed, and the hash is known.
#include "isa_check.h"
#include "store/lvq.h"
#include "store/pq.h"
#include "store/rabitq.h"

using annk::Dataset, annk::StoreKind;

namespace {

constexpr int64_t kRows = 75, kQueries = 37;
// FNV-1a over codes, decoded rows and keys of every store below whose kernels are of integers, or not fused.
constexpr uint64_t kKnownHash = 0x263ad436dc218f7e;

// mt19937's numbers are the same everywhere; what the library's distributions make of them is not.
struct Numbers {
  std::mt19937 rng{7};
  float next() { return static_cast<float>(static_cast<int>(rng() % 2001) - 1000) / 731.0f; }
  std::vector<float> floats(int64_t count, float scale = 1.0f) {
    std::vector<float> x(count);
    for (float& number : x) number = scale * next();
    return x;
  }
};

struct Store {
  std::string name;
  Dataset base;
  bool shared_bits;  // all levels give the same keys
  std::vector<std::vector<unsigned char>> memory;

  Store(std::string name_, StoreKind kind, int64_t dims, std::vector<int64_t> numbers, bool shared)
      : name(std::move(name_)), base(Matrix{nullptr, kRows, dims, 0, DType::f32}), shared_bits(shared) {
    base.kind = kind;
    std::copy(numbers.begin(), numbers.end(), base.numbers);
  }
  template <class T>
  void put(int place, const std::vector<T>& values) {
    memory.emplace_back(values.size() * sizeof(T));
    memcpy(memory.back().data(), values.data(), memory.back().size());
    base.arrays[place] = memory.back().data();
  }
  void room(int place, int64_t bytes) { put(place, std::vector<unsigned char>(bytes)); }
};

struct Hash {
  uint64_t value = 0xcbf29ce484222325u;
  void add(const void* data, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) value = (value ^ static_cast<const unsigned char*>(data)[i]) * 0x100000001b3u;
  }
  void add(const std::vector<float>& x) { add(x.data(), x.size() * sizeof(float)); }
};

Store lvq(Numbers& numbers, int64_t dims, int bits, int residual, int centroids, bool shared_scale) {
  const std::string name = (shared_scale ? "sq" : "lvq") + std::to_string(bits) + "x" + std::to_string(residual) + " of " +
                           std::to_string(centroids);
  Store s(name, StoreKind::lvq, dims, {bits, residual, 0, shared_scale ? 0 : 1, centroids > 1 ? centroids : 0},
          residual == 0 && centroids == 1);
  s.room(0, kRows * isa::turbo_bytes(dims, bits));
  s.put(1, std::vector<isa::LvqScales>(shared_scale ? 1 : kRows, isa::LvqScale::of(-1.4f, 1.4f, bits)));
  s.room(2, kRows * 8);
  s.put(3, numbers.floats(centroids * dims, shared_scale ? 0.0f : 0.3f));
  if (residual != 0) s.room(4, kRows * isa::turbo_bytes(dims, residual));
  if (centroids > 1) s.room(5, kRows);
  return s;
}

Store pq(Numbers& numbers, int64_t dims, int64_t m, int bits, bool rotated) {
  Store s((rotated ? "opq" : "pq") + std::to_string(m) + "x" + std::to_string(bits), StoreKind::pq, dims,
          {m, bits, 0, bits == 4}, true);
  const annk::Parts parts{dims, m};
  s.room(0, bits == 4 ? (kRows + 31) / 32 * ((m + 3) / 4 * 4) * 16 : kRows * m);
  std::vector<float> book;
  for (int64_t part = 0; part < m; ++part)
    for (int64_t j = 0; j < parts.widest(); ++j)
      for (const float x : numbers.floats(int64_t{1} << bits)) book.push_back(j < parts.width(part) ? x : 0.0f);
  s.put(1, book);
  s.room(2, kRows * 4);
  if (!rotated) return s;
  // The reflection I - 2 u u^T / |u|^2.
  const std::vector<float> u = numbers.floats(dims);
  double squared = 0.0;
  for (float x : u) squared += static_cast<double>(x) * x;
  std::vector<float> rotation(dims * dims);
  for (int64_t i = 0; i < dims; ++i)
    for (int64_t j = 0; j < dims; ++j) rotation[i * dims + j] = static_cast<float>((i == j) - 2.0 * u[i] * u[j] / squared);
  s.put(3, rotation);
  return s;
}

Store rabitq(Numbers& numbers, int64_t dims, int bits, bool binary) {
  Store s((binary ? "bin" : "rabitq") + std::to_string(bits), StoreKind::rabitq, dims, {bits, 4, binary, 1}, true);
  const int64_t padded = isa::rabitq_dims(dims);
  s.room(0, kRows * (padded * bits / 8 + 16));
  s.put(1, std::vector<float>{1.6f, 0.0f, static_cast<float>(dims) * 0.64f, 0.1f});
  const std::vector<float> mean = numbers.floats(dims, 0.2f);
  double squared = 0.0;
  for (float x : mean) squared += static_cast<double>(x) * x;
  std::vector<float> axis(dims, 0.0f);
  for (int64_t j = 0; j < dims && !binary; ++j) axis[j] = static_cast<float>(mean[j] / std::sqrt(squared));
  s.put(2, mean);
  s.put(3, axis);
  std::vector<int8_t> signs(4 * padded);
  for (int8_t& sign : signs) sign = numbers.rng() & 1 ? 1 : -1;
  s.put(4, signs);
  return s;
}

std::vector<float> keys(const Store& s, const Matrix& queries, Metric metric) {
  std::vector<float> out(queries.rows * s.base.rows);
  isa::pairwise({queries, s.base, metric, out.data(), nullptr, {}});
  return out;
}

// Rounding queries (to 63 levels at the fewest) moves a product by less than a quarter of |q| |x|, in up to 256 dimensions.
bool near_decoded(const std::vector<float>& products, const Table& queries, const Table& decoded) {
  bool near = true;
  for (int64_t q = 0; q < queries.matrix.rows; ++q)
    for (int64_t i = 0; i < kRows; ++i) {
      double size = 1.0;
      for (const auto& [table, row] : {std::pair{&queries, q}, {&decoded, i}}) {
        double squared = 0.0;
        for (int64_t j = 0; j < table->matrix.dims; ++j) squared += table->at(row, j) * table->at(row, j);
        size *= std::sqrt(squared);
      }
      near &= std::abs(products[q * kRows + i] - plain_distance(Metric::inner_product, queries, q, decoded, i).value) <
              0.25 * size;
    }
  return near;
}

// knn's ten are those that sorting all distances gives.
bool nearest_first(const Store& s, const Matrix& queries, Metric metric, const std::vector<float>& all) {
  constexpr int64_t kWanted = 10;
  const float sign = metric == Metric::inner_product ? -1.0f : 1.0f;
  std::vector<float> distances(queries.rows * kWanted);
  std::vector<int64_t> ids(queries.rows * kWanted);
  isa::knn({s.base, queries, metric, kWanted, {}, distances.data(), ids.data(), nullptr, {.threads = 2}});
  bool same = true;
  for (int64_t q = 0; q < queries.rows; ++q) {
    std::vector<std::pair<float, int64_t>> order;
    for (int64_t i = 0; i < s.base.rows; ++i) order.push_back({sign * all[q * s.base.rows + i], i});
    std::sort(order.begin(), order.end());
    for (int64_t j = 0; j < kWanted; ++j)
      same &= ids[q * kWanted + j] == order[j].second && sign * distances[q * kWanted + j] == order[j].first;
  }
  return same;
}

void check_one(Store s, Numbers& numbers, Hash& hash) {
  const int64_t dims = s.base.dims;
  const auto rows = [&](int64_t count) {
    const std::vector<float> x = numbers.floats(count * dims);
    Table t{std::vector<unsigned char>(x.size() * 4), std::vector<double>(x.begin(), x.end()), {}};
    memcpy(t.bytes.data(), x.data(), t.bytes.size());
    t.matrix = {t.bytes.data(), count, dims, dims * 4, DType::f32};
    return t;
  };
  const Table x = rows(kRows), queries = rows(kQueries);
  int64_t bad = 0;
  isa::encode({x.matrix, s.base, 0, &bad, {.threads = 2}});
  const std::string what = s.name + " d " + std::to_string(dims);
  expect(bad == -1, "encode " + what);
  for (const auto& array : s.memory) hash.add(array.data(), array.size());
  std::vector<float> values(kRows * dims);
  isa::decode({s.base, nullptr, kRows, values.data(), {}});
  hash.add(values);
  const Table decoded{{}, std::vector<double>(values.begin(), values.end()), {nullptr, kRows, dims, 0, DType::f32}};
  expect(near_decoded(keys(s, queries.matrix, Metric::inner_product), queries, decoded), "inner_product " + what);

  for (Metric metric : {Metric::sqeuclidean, Metric::euclidean, Metric::inner_product, Metric::cosine}) {
    const std::string which = std::string(annk::kMetricNames[static_cast<int>(metric)]) + " " + what;
    const std::vector<float> many = keys(s, queries.matrix, metric);
    if (s.shared_bits) hash.add(many);
    for (int64_t count : {1, 2}) {
      Matrix few = queries.matrix;
      few.rows = count;
      expect(memcmp(keys(s, few, metric).data(), many.data(), count * kRows * 4) == 0, "few queries " + which);
    }
    expect(nearest_first(s, queries.matrix, metric, many), "knn " + which);
    std::vector<int64_t> ids(kQueries * 5);
    for (int64_t& id : ids) id = numbers.rng() % kRows;
    std::vector<float> chosen(ids.size());
    isa::distances({s.base, queries.matrix, metric, ids.data(), 5, chosen.data(), nullptr, {}});
    bool same = true;
    for (size_t i = 0; i < ids.size(); ++i) same &= chosen[i] == many[i / 5 * kRows + ids[i]];
    expect(same, "chosen rows " + which);
  }
}

// Rows enough for a scan to leave some out by a bound (pq_prefilter.h), with any codes.
void check_scan(Store s, Numbers& numbers, int64_t rows) {
  const int64_t parts = isa::PqView::part_count(s.base);
  std::vector<uint8_t> codes(rows * parts);
  for (uint8_t& code : codes) code = static_cast<uint8_t>(numbers.rng());
  std::vector<float> norms = numbers.floats(rows, 0.1f);
  for (float& norm : norms) norm = std::abs(norm);
  s.base.rows = rows;
  s.put(0, codes);
  s.put(2, norms);
  for (Metric metric : {Metric::sqeuclidean, Metric::euclidean, Metric::inner_product, Metric::cosine})
    for (int64_t count : {int64_t{1}, kQueries}) {
      const std::vector<float> x = numbers.floats(count * s.base.dims);
      const Matrix queries{x.data(), count, s.base.dims, s.base.dims * 4, DType::f32};
      expect(nearest_first(s, queries, metric, keys(s, queries, metric)), "scan of " + std::to_string(rows) + " " + s.name);
    }
}

}  // namespace

void check_stores() {
  Numbers numbers;
  Hash hash;
  for (int64_t dims : {7, 33, 130}) {
    for (int bits : {4, 8}) {
      for (int residual : {0, 4, 8}) check_one(lvq(numbers, dims, bits, residual, 1, false), numbers, hash);
      check_one(lvq(numbers, dims, bits, 0, 3, false), numbers, hash);
      check_one(lvq(numbers, dims, bits, 0, 1, true), numbers, hash);
      for (int64_t m : {5, 7})
        for (bool rotated : {false, true}) check_one(pq(numbers, dims, m, bits, rotated), numbers, hash);
    }
    for (int bits = 1; bits <= 8; ++bits) check_one(rabitq(numbers, dims, bits, false), numbers, hash);
    check_one(rabitq(numbers, dims, 1, true), numbers, hash);
  }
  Numbers more;
  for (int64_t m : {7, 33}) check_scan(pq(more, 33, m, 8, false), more, 700);
  if (hash.value != kKnownHash) printf("bytes of the stores: 0x%016llx\n", static_cast<unsigned long long>(hash.value));
  expect(hash.value == kKnownHash, "bytes that all levels share");
}
