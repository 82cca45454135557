// SPDX-License-Identifier: Apache-2.0
// Graphs are built in host memory; the Python layer says so before it comes here.
#include "core/check.h"
#include "ops/build_graph.h"

namespace annk {

void build_graph(const BuildGraphArgs&) { check(false, "build_graph: expected host memory, got device arrays"); }
void finish_graph(const BuildGraphArgs&) { check(false, "build_graph: expected host memory, got device arrays"); }

}  // namespace annk
