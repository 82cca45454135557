// SPDX-License-Identifier: Apache-2.0
// All operations: the one list that the bindings, the dispatcher of instruction sets and the declarations of each
// instruction set are made from.
#pragma once
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
#include "ops/search_lists.h"
#include "ops/select_k.h"

// X(operation, its arguments). Those that may want device memory: beside each, int64_t <operation>_workspace(arguments).
#define ANNK_SIZED_OPS(X)            \
  X(pairwise, PairwiseArgs)          \
  X(knn, KnnArgs)                    \
  X(radius_count, RadiusArgs)        \
  X(radius_fill, RadiusArgs)         \
  X(distances, DistancesArgs)        \
  X(select_k, SelectKArgs)           \
  X(merge_topk, MergeTopkArgs)       \
  X(search_graph, SearchGraphArgs)   \
  X(search_lists, SearchListsArgs)   \
  X(build_graph, BuildGraphArgs)     \
  X(link_graph, BuildGraphArgs)      \
  X(finish_graph, BuildGraphArgs)    \
  X(nn_descent_start, NnDescentArgs) \
  X(nn_descent_round, NnDescentArgs) \
  X(nn_descent_prune, NnDescentArgs)
#define ANNK_OPS(X)                      \
  ANNK_SIZED_OPS(X)                      \
  X(first_nonfinite, FirstNonfiniteArgs) \
  X(encode, EncodeArgs)                  \
  X(decode, DecodeArgs)                  \
  X(cluster_sums, ClusterSumsArgs)
