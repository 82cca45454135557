// SPDX-License-Identifier: Apache-2.0
// Operations that the Python layer offers for arrays in host memory alone: the binding source is one for all backends.
#include "core/check.h"
#include "ops/build_graph.h"
#include "ops/cluster_sums.h"
#include "ops/search_graph.h"

namespace annk {
namespace {

void refuse(const char* op) { check(false, op, ": expected arrays in host memory"); }

}  // namespace

void cluster_sums(const ClusterSumsArgs&) { refuse("cluster_sums"); }
void search_graph(const SearchGraphArgs&) { refuse("search_graph"); }
void build_graph(const BuildGraphArgs&) { refuse("build_graph"); }
void finish_graph(const BuildGraphArgs&) { refuse("finish_graph"); }

}  // namespace annk
