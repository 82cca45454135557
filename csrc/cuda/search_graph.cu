// SPDX-License-Identifier: Apache-2.0
// Graphs are searched in host memory; the Python layer says so before it comes here.
#include "core/check.h"
#include "ops/search_graph.h"

namespace annk {

void search_graph(const SearchGraphArgs&) { check(false, "search_graph: expected host memory, got device arrays"); }

}  // namespace annk
