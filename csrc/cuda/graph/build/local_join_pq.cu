// SPDX-License-Identifier: Apache-2.0
#include "cuda/graph/build/local_join.cuh"
#include "cuda/stores/pq_arith.cuh"

namespace annk::cuda {

void join_pq(const JoinArgs& a, void* stream) { join_rows<PqRows>(a, stream); }

}  // namespace annk::cuda
