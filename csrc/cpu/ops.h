// SPDX-License-Identifier: Apache-2.0
// The operations of one instruction set, which dispatch.cpp chooses from, and what they share at their ends.
#pragma once
#include "metric/all.h"
#include "ops/build_graph.h"
#include "ops/cluster_sums.h"
#include "ops/decode.h"
#include "ops/distances.h"
#include "ops/encode.h"
#include "ops/first_nonfinite.h"
#include "ops/knn.h"
#include "ops/merge_topk.h"
#include "ops/nn_descent.h"
#include "ops/pairwise.h"
#include "ops/radius.h"
#include "ops/search_graph.h"
#include "ops/select_k.h"

namespace annk::ANNK_ISA {

void pairwise(const PairwiseArgs&);
void knn(const KnnArgs&);
void radius_count(const RadiusArgs&);
void radius_fill(const RadiusArgs&);
void select_k(const SelectKArgs&);
void merge_topk(const MergeTopkArgs&);
void first_nonfinite(const FirstNonfiniteArgs&);
void encode(const EncodeArgs&);
void decode(const DecodeArgs&);
void distances(const DistancesArgs&);
void cluster_sums(const ClusterSumsArgs&);
void search_graph(const SearchGraphArgs&);
void build_graph(const BuildGraphArgs&);
void link_graph(const BuildGraphArgs&);
void finish_graph(const BuildGraphArgs&);
void nn_descent_start(const NnDescentArgs&);
void nn_descent_round(const NnDescentArgs&);
void nn_descent_prune(const NnDescentArgs&);

// Distances are float32, or int32 where the metric counts. A key that is not a number counts as infinite.
ANNK_HD void write_key(Metric metric, void* distances, int64_t at, float key) {
  if (is_int_metric(metric))
    static_cast<int32_t*>(distances)[at] = static_cast<int32_t>(key);
  else
    static_cast<float*>(distances)[at] = report(metric, key == key ? key : INFINITY);
}
ANNK_HD void write_missing_distance(Metric metric, void* distances, int64_t at) {
  if (is_int_metric(metric))
    static_cast<int32_t*>(distances)[at] = kMissingInt;
  else
    static_cast<float*>(distances)[at] = missing_distance(metric);
}

}  // namespace annk::ANNK_ISA
