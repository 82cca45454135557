// SPDX-License-Identifier: Apache-2.0
// Graphs are built in host memory; the Python layer says so before it comes here.
#include "core/check.h"
#include "ops/nn_descent.h"

namespace annk {

void nn_descent_start(const NnDescentArgs&) { check(false, "nn_descent: expected host memory, got device arrays"); }
void nn_descent_round(const NnDescentArgs&) { check(false, "nn_descent: expected host memory, got device arrays"); }
void nn_descent_prune(const NnDescentArgs&) { check(false, "nn_descent: expected host memory, got device arrays"); }

}  // namespace annk
