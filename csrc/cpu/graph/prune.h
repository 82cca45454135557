// SPDX-License-Identifier: Apache-2.0
// Rows as queries of their own store, and the pruning of candidate lists by them (ops/build_graph.h).
#pragma once
#include <memory>

#include "core/buffer.h"
#include "cpu/codec/codec.h"
#include "cpu/distance/distance_computer.h"
#include "cpu/graph/beam_search.h"
#include "ops/build_graph.h"

namespace annk::ANNK_ISA {

// One thread's way to ask for the keys of a row against others.
class RowQueries {
 public:
  RowQueries(const Dataset& base, Metric metric)
      : codec_(base.kind == StoreKind::array ? nullptr : make_codec(base)),
        row_(codec_ == nullptr ? 0 : static_cast<size_t>(base.dims + codec_->scratch_floats)),
        dims_(base.dims),
        computer_(make_distance_computer(base, codec_ == nullptr ? static_cast<const Matrix&>(base) : decoded(base),
                                         metric == Metric::euclidean ? Metric::sqeuclidean : metric)) {}

  const DistanceComputer& computer() const { return *computer_; }
  PackedQueries pack(int64_t row, void* room) {
    if (codec_ == nullptr) return computer_->pack_query(row, 1, room);
    PackedQueries packed = PackedQueries::none();
    if (computer_->pack_row(row, room, packed)) return packed;
    codec_->decode(row, row_.get(), row_.get() + dims_);
    return computer_->pack_query(0, 1, room);
  }

 private:
  Matrix decoded(const Dataset& base) const {
    return {row_.get(), 1, base.dims, base.dims * static_cast<int64_t>(sizeof(float)), DType::f32};
  }
  std::unique_ptr<const Codec> codec_;
  Buffer<float> row_;
  int64_t dims_;
  std::unique_ptr<const DistanceComputer> computer_;
};

// A candidate of a pruning. Those that an earlier pruning of the same list has kept together need not be compared again.
struct PruneCandidate {
  SearchNeighbor at;
  bool kept_before;
  friend ANNK_HD bool operator<(const PruneCandidate& a, const PruneCandidate& b) { return a.at < b.at; }
};

class Pruner {
 public:
  Pruner(const BuildGraphArgs& args, RowQueries& rows)
      : rows_(rows),
        degree_(args.degree),
        alpha_(args.alpha),
        by_length_(is_similarity(args.metric)),
        query_(rows.computer().query_bytes * kQueryStep) {}

  bool finite() const { return finite_; }

  // Candidates of `row`, sorted and without equals or the row itself -> at most `degree` ids. Returns how many.
  int64_t prune(int64_t row, const PruneCandidate* near, int64_t count, int32_t* out) {
    if (left_.size() < static_cast<size_t>(count)) {
      left_.reset(static_cast<size_t>(count));
      ids_.reset(static_cast<size_t>(count));
      asked_.reset(static_cast<size_t>(count));
      keys_.reset(static_cast<size_t>(count + kLanes));
    }
    for (int64_t i = 0; i < count; ++i) left_[i] = static_cast<int32_t>(i);
    if (by_length_ && count > 1) {
      ids_[0] = row;
      ask(row, 1);
      own_ = keys_[0];
    }
    // Equal rows do not occlude each other, and would take every place.
    int64_t kept = 0, tied = 0;
    while (tied < count && near[tied].at.key() == near[0].at.key()) ++tied;
    for (int64_t left = count; left > 0 && kept < degree_;) {
      const PruneCandidate nearest = near[left_[0]];
      out[kept++] = static_cast<int32_t>(nearest.at.id());
      left = without_occluded(near, nearest, left);
      if (kept == (degree_ + 1) / 2 && left > 0 && left_[0] < tied) left = from(tied, left);
    }
    return kept;
  }

 private:
  // keys_[0, count) = those that `row` has with ids_[0, count).
  void ask(int64_t row, int count) {
    const PackedQueries query = rows_.pack(row, query_.get());
    finite_ = rows_.computer().score_rows(query, 1, {ids_.get(), 0, count}, keys_.get(), count) && finite_;
  }

  // left_ without what comes before `first`.
  int64_t from(int64_t first, int64_t left) {
    int64_t to = 0;
    for (int64_t i = 0; i < left; ++i) {
      left_[to] = left_[i];
      to += left_[i] >= first;
    }
    return to;
  }

  // left_[1, left) without those that `nearest` is too near to; returns how many there are.
  int64_t without_occluded(const PruneCandidate* near, const PruneCandidate& nearest, int64_t left) {
    int asked = 0;
    for (int64_t i = 1; i < left; ++i) {
      const PruneCandidate& other = near[left_[i]];
      ids_[asked] = other.at.id();
      asked_[asked] = static_cast<int32_t>(i);
      asked += !(nearest.kept_before && other.kept_before);
    }
    float scale = alpha_;
    if (asked > 0) {
      ids_[asked] = nearest.at.id();
      ask(nearest.at.id(), asked + by_length_);
      if (by_length_) scale = occluding_scale(alpha_, own_, keys_[asked]);
    }
    int64_t to = 0;
    int next = 0;
    for (int64_t i = 1; i < left; ++i) {
      const PruneCandidate& other = near[left_[i]];
      bool occluded = false;
      if (next < asked && asked_[next] == i) {
        const float between = scale * keys_[next++], key = other.at.key();
        occluded = between < key;
      }
      left_[to] = left_[i];
      to += !occluded;
    }
    return to;
  }

  RowQueries& rows_;
  const int64_t degree_;
  const float alpha_;
  const bool by_length_;  // similarities: the lengths of rows matter
  float own_ = 0.0f;      // the key of the pruned row with itself
  Buffer<char> query_;
  Buffer<int32_t> left_, asked_;
  Buffer<int64_t> ids_;
  Buffer<float> keys_;
  bool finite_ = true;
};

}  // namespace annk::ANNK_ISA
