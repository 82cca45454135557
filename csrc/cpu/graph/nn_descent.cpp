// SPDX-License-Identifier: Apache-2.0
#include "ops/nn_descent.h"

#include "cpu/graph/local_join.h"
#include "cpu/ops.h"

namespace annk::ANNK_ISA {
namespace {

constexpr int64_t kLeafRows = 128;
constexpr int64_t kRowsATask = 16;
constexpr int64_t kPassRows = 1024;  // of a task that compares nothing

// Adjacent rows of an order.
struct Span {
  int64_t first, end;
  int64_t size() const { return end - first; }
  // Into how many sets it is cut: half a leaf is wanted of each, for many will be larger.
  int sets() const { return static_cast<int>(std::min(LocalJoin::kQueries, (2 * size() + kLeafRows - 1) / kLeafRows)); }
};

// The rows in an order in which those of a leaf are adjacent, and the leaves.
class Leaves {
 public:
  Leaves(const NnDescentArgs& args, LocalJoins& local_joins)
      : rows_(args.order), sorted_(static_cast<size_t>(args.count)), nearest_(sorted_.size()) {
    Growing<Span> open, next;
    close_or_split({0, args.count}, open);
    while (open.size() > 0) {
      find_nearest(open, local_joins);
      for (size_t s = 0; s < open.size(); ++s) cut(open[s], next);
      open.clear();
      for (size_t s = 0; s < next.size(); ++s) open.push(next[s]);
      next.clear();
    }
  }
  int64_t size() const { return static_cast<int64_t>(leaves_.size()); }
  void join(int64_t leaf, LocalJoin& local_join) const {
    local_join.begin();
    for (int64_t at = leaves_[leaf].first; at < leaves_[leaf].end; ++at) local_join.add(rows_[at]);
    local_join.run(local_join.size());
  }

 private:
  void close_or_split(Span span, Growing<Span>& open) {
    if (span.size() > kLeafRows)
      open.push(span);
    else if (span.size() > 1)
      leaves_.push(span);
  }

  // nearest_[at]: which of the first sets() rows of its span the row at `at` is nearest to.
  void find_nearest(const Growing<Span>& spans, LocalJoins& local_joins) {
    struct Part {
      Span of, rows;
    };
    Growing<Part> parts;
    for (size_t s = 0; s < spans.size(); ++s)
      for (int64_t at = spans[s].first; at < spans[s].end; at += kPassRows)
        parts.push({spans[s], {at, std::min(spans[s].end, at + kPassRows)}});
    local_joins.each(static_cast<int64_t>(parts.size()), [&](LocalJoin& local_join, int64_t t) {
      const Part& part = parts[t];
      for (int64_t at = part.rows.first; at < part.rows.end; at += kLeafRows) {
        local_join.begin();
        for (int64_t i = at; i < std::min(part.rows.end, at + kLeafRows); ++i) local_join.add(rows_[i]);
        local_join.find_nearest(rows_ + part.of.first, part.of.sets(), nearest_.get() + at);
      }
    });
  }

  // Sorts the rows of a span by the row that they are nearest to. What nearly all are nearest to, rows that are equal for
  // example, is cut by number.
  void cut(Span span, Growing<Span>& open) {
    int64_t places[LocalJoin::kQueries] = {};
    for (int64_t at = span.first; at < span.end; ++at) ++places[nearest_[at]];
    int64_t to = span.first;
    for (int s = 0; s < span.sets(); ++s) {
      const Span rows{to, to + places[s]};
      const int64_t most = rows.size() > span.size() / 16 * 15 ? kLeafRows : rows.size();
      for (int64_t at = rows.first; at < rows.end; at += most) close_or_split({at, std::min(rows.end, at + most)}, open);
      places[s] = rows.first;
      to = rows.end;
    }
    for (int64_t at = span.first; at < span.end; ++at) sorted_[places[nearest_[at]]++] = rows_[at];
    for (int64_t at = span.first; at < span.end; ++at) rows_[at] = sorted_[at];
  }

  int32_t* const rows_;
  Buffer<int32_t> sorted_;
  Buffer<uint8_t> nearest_;
  Growing<Span> leaves_;
};

// What each row brings to the groups of a round.
class Samples {
 public:
  Samples(const NnDescentArgs& args, const NearestLists& lists)
      : n_(args.base.rows),
        sample_(args.sample),
        lists_(lists),
        own_(static_cast<size_t>(2 * n_ * sample_)),
        entries_{empty_lists(n_, sample_), empty_lists(n_, sample_)},
        others_{{entries_[0].get(), n_, sample_, args.exec}, {entries_[1].get(), n_, sample_, args.exec}} {
    auto task = [&](int, int64_t t) {
      for (int64_t row = t * kPassRows; row < std::min(n_, (t + 1) * kPassRows); ++row) take(row);
    };
    parallel_for(args.exec.threads, (n_ + kPassRows - 1) / kPassRows, args.exec.interrupted, task);
  }

  void join(int64_t row, LocalJoin& local_join) const {
    local_join.begin();
    gather(row, kNew, local_join);
    const int64_t fresh = local_join.size();
    if (fresh == 0) return;
    gather(row, kOld, local_join);
    local_join.run(fresh);
  }

 private:
  enum Age { kNew, kOld };

  int32_t* sample_of(int64_t row, Age age) const { return own_.get() + (2 * row + age) * sample_; }

  // The first of the row's list that were not taken yet, and the first that were.
  void take(int64_t row) {
    int64_t counts[2] = {0, 0};
    uint64_t* const list = lists_.list(row);
    for (int64_t i = 0; i < lists_.width() && list[i] != kNoKeyId; ++i) {
      const SearchNeighbor at{list[i]};
      const Age age = at.expanded() ? kOld : kNew;
      if (counts[age] == sample_) continue;
      const int64_t id = listed(row, list[i]);
      sample_of(row, age)[counts[age]++] = static_cast<int32_t>(id);
      const uint64_t entry = others_[age].entry(id, row, at.key());
      others_[age].update(id, &entry, 1);
      list[i] |= 1u;
    }
    for (const Age age : {kNew, kOld})
      if (counts[age] < sample_) sample_of(row, age)[counts[age]] = -1;
  }

  void gather(int64_t row, Age age, LocalJoin& local_join) const {
    const int32_t* const ids = sample_of(row, age);
    for (int64_t i = 0; i < sample_ && ids[i] >= 0; ++i) local_join.add_new(ids[i]);
    const uint64_t* const list = others_[age].list(row);
    for (int64_t i = 0; i < sample_ && list[i] != kNoKeyId; ++i) local_join.add_new(listed(row, list[i]));
  }

  const int64_t n_, sample_;
  const NearestLists& lists_;
  Buffer<int32_t> own_;
  Buffer<uint64_t> entries_[2];
  NearestLists others_[2];  // that have taken a row
};

int64_t count_new(const NnDescentArgs& args, const NearestLists& lists) {
  std::atomic<int64_t> all{0};
  auto task = [&](int, int64_t t) {
    int64_t count = 0;
    const uint64_t* const end = lists.list(std::min(args.base.rows, (t + 1) * kPassRows));
    for (const uint64_t* at = lists.list(t * kPassRows); at < end; ++at) count += (*at & 1u) == 0;
    all += count;
  };
  parallel_for(args.exec.threads, (args.base.rows + kPassRows - 1) / kPassRows, args.exec.interrupted, task);
  return all;
}

}  // namespace

void nn_descent_start(const NnDescentArgs& args) {
  BadRow bad(args.bad_row);
  if (args.empties) __builtin_memset(args.lists, 0xff, static_cast<size_t>(args.base.rows * args.width) * sizeof(uint64_t));
  NearestLists lists(args.lists, args.base.rows, args.width, args.exec);
  LocalJoins local_joins(args, lists, kLeafRows, bad);
  const Leaves leaves(args, local_joins);
  local_joins.each(leaves.size(), [&](LocalJoin& local_join, int64_t leaf) { leaves.join(leaf, local_join); });
  bad.report(args.base, args.exec);
}

void nn_descent_round(const NnDescentArgs& args) {
  BadRow bad(args.bad_row);
  const int64_t n = args.base.rows;
  NearestLists lists(args.lists, n, args.width, args.exec);
  LocalJoins local_joins(args, lists, 4 * args.sample, bad);
  const Samples samples(args, lists);
  local_joins.each((args.count + kRowsATask - 1) / kRowsATask, [&](LocalJoin& local_join, int64_t t) {
    for (int64_t i = t * kRowsATask; i < std::min(args.count, (t + 1) * kRowsATask); ++i)
      samples.join(args.order[i], local_join);
  });
  *args.still_new = count_new(args, lists);
  bad.report(args.base, args.exec);
}

}  // namespace annk::ANNK_ISA
