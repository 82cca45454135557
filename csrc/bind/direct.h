// SPDX-License-Identifier: Apache-2.0
// Direct calls: an operation over plain NumPy arrays, stores and graphs, from argument check to result without a line of
// Python. A small kernel takes 1 to 10 us; the checks of the Python layer, which knows every library, stride and device,
// take 20 to 40. Each direct call takes the operation's usual arguments and returns None where one of them is not plain, or
// not as it should be: then the Python layer checks them all, and says what is wrong.
#pragma once
#include <pybind11/pybind11.h>

#include <memory>
#include <utility>
#include <vector>

#include "ops/search_graph.h"

namespace annk {

// What arrays lie in, as addresses [first, end): results of out= may not.
using Memory = std::vector<std::pair<uintptr_t, uintptr_t>>;

// One level of a store in host memory: its form for the kernels, and what its queries are multiplied by (of no rows:
// nothing).
struct StoreLevel {
  Dataset rows;
  Matrix projection;
  Memory memory;
};

// A graph that is searched directly, and the scratch of its last search: made for one base, rerank and metric, and kept
// with references to both, so that no other object can be taken for them.
struct GraphPlan {
  struct Kept {
    pybind11::object base, rerank;
    Metric metric = Metric::sqeuclidean;
    SearchScratch* scratch = nullptr;
    Kept() = default;
    Kept(const Kept&) = delete;
    Kept& operator=(const Kept&) = delete;
    ~Kept() {
      if (scratch != nullptr) scratch->release(scratch);
    }
  };
  GraphView graph;
  Memory memory;
  std::shared_ptr<Kept> kept;
};

// Adds knn_direct, pairwise_direct, ... to the module of the host.
void add_direct_calls(pybind11::module_& module);

}  // namespace annk
