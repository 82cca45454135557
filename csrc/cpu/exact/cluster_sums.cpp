// SPDX-License-Identifier: Apache-2.0
#include "ops/cluster_sums.h"

#include "core/buffer.h"
#include "core/parts.h"
#include "core/threads.h"
#include "cpu/ops.h"
#include "cpu/simd/elements.h"

namespace annk::ANNK_ISA {
namespace {

constexpr int64_t kLine = 16;               // float32 columns of a cache line: with fewer to a task, lines are read twice
constexpr int64_t kTableBytes = 256 << 10;  // of sums; half of a small L2
constexpr int64_t kAhead = 24;              // rows: a task reads a line or two of each, which hardware does not follow

// The columns of one task: some whole parts, or a piece of one.
struct Columns {
  int64_t first_part, parts;
  int64_t first, width;
};

class Cut {
 public:
  explicit Cut(const ClusterSumsArgs& args) : split_{args.x.dims, args.parts} {
    const int64_t workers = workers_for(args.exec.threads, args.x.dims);
    const int64_t fits = kTableBytes / static_cast<int64_t>(sizeof(double)) / (args.clusters < 1 ? 1 : args.clusters);
    const int64_t share = split_.dims / (2 * workers);
    const int64_t wanted = (fits < share ? fits : share) / kLine * kLine;
    columns_ = wanted < kLine ? kLine : wanted;
    parts_ = columns_ / split_.widest() > 1 ? columns_ / split_.widest() : 1;
    pieces_ = (split_.widest() + columns_ - 1) / columns_;  // of each part, where parts are wide
  }
  int64_t tasks() const { return (split_.parts + parts_ - 1) / parts_ * pieces_; }
  Columns of(int64_t task) const {
    const int64_t part = task / pieces_ * parts_, piece = task % pieces_;
    const int64_t parts = split_.parts - part < parts_ ? split_.parts - part : parts_;
    const int64_t end = split_.first(part + parts - 1) + split_.width(part + parts - 1);
    const int64_t first = split_.first(part) + piece * columns_;
    const int64_t most = pieces_ > 1 ? columns_ : end - first;
    return {part, parts, first, end - first < most ? (end > first ? end - first : 0) : most};
  }
  const Parts& split() const { return split_; }

 private:
  Parts split_;
  int64_t columns_, parts_, pieces_;
};

template <class T>
ANNK_HD void add(const T* x, int64_t width, double* sums) {
  for (int64_t j = 0; j < width; ++j) sums[j] += static_cast<double>(widen(x[j]));
}
// Widths of subspaces and of pieces, known to the compiler.
template <class T>
ANNK_HD void add_row(const T* x, int64_t width, double* sums) {
  if (width == 2) return add(x, 2, sums);
  if (width == 4) return add(x, 4, sums);
  if (width == 8) return add(x, 8, sums);
  for (; width >= kLine; width -= kLine, x += kLine, sums += kLine) add(x, kLine, sums);
  add(x, width, sums);
}

template <class T>
void sum_columns(const ClusterSumsArgs& args, const Columns& columns, const Parts& split) {
  const int64_t k = args.clusters;
  Buffer<double> sums(static_cast<size_t>(k * columns.width));  // [part][cluster][columns of the part]
  Buffer<int64_t> counts(static_cast<size_t>(columns.parts * k));
  __builtin_memset(sums.get(), 0, static_cast<size_t>(k * columns.width) * sizeof(double));
  __builtin_memset(counts.get(), 0, static_cast<size_t>(columns.parts * k) * sizeof(int64_t));
  const bool by_part = columns.parts > 1;
  for (int64_t i = 0; i < args.x.rows; ++i) {
    const T* const x = reinterpret_cast<const T*>(args.x.row(i)) + columns.first;
    if (i + kAhead < args.x.rows) __builtin_prefetch(reinterpret_cast<const T*>(args.x.row(i + kAhead)) + columns.first);
    int64_t at = 0;
    for (int64_t p = 0; p < columns.parts; ++p) {
      const int64_t part = columns.first_part + p, width = by_part ? split.width(part) : columns.width;
      const int64_t label = args.labels != nullptr ? args.labels[i] : args.codes[i * args.parts + part];
      add_row(x + at, width, sums.get() + at * k + label * width);
      ++counts[p * k + label];
      at += width;
    }
  }
  int64_t at = 0;
  for (int64_t p = 0; p < columns.parts; ++p) {
    const int64_t part = columns.first_part + p, width = by_part ? split.width(part) : columns.width;
    for (int64_t c = 0; c < k; ++c) {
      double* const to = args.sums + c * args.x.dims + columns.first + at;
      for (int64_t j = 0; j < width; ++j) to[j] = sums[at * k + c * width + j];
      if (columns.first + at == split.first(part)) args.counts[part * k + c] = counts[p * k + c];
    }
    at += width;
  }
}

}  // namespace

void cluster_sums(const ClusterSumsArgs& args) {
  if (args.x.dims == 0) {  // no column to share out
    for (int64_t c = 0; c < args.clusters; ++c) args.counts[c] = 0;
    for (int64_t i = 0; i < args.x.rows; ++i) ++args.counts[args.labels[i]];
    return;
  }
  const Cut cut(args);
  auto task = [&](int, int64_t t) {
    const Columns columns = cut.of(t);
    if (columns.width == 0) return;
    visit_elements(args.x.dtype, nullptr, [&]<class T>(const T*) { sum_columns<T>(args, columns, cut.split()); });
  };
  parallel_for(args.exec.threads, cut.tasks(), args.exec.interrupted, task);
}

}  // namespace annk::ANNK_ISA
