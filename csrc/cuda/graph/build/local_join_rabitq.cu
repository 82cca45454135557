// SPDX-License-Identifier: Apache-2.0
#include "cuda/graph/build/local_join.cuh"
#include "cuda/stores/rabitq_arith.cuh"

namespace annk::cuda {

void join_rabitq(const JoinArgs& a, void* stream) { join_rows<RabitqRows>(a, stream); }

}  // namespace annk::cuda
