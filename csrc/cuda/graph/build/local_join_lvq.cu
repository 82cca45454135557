// SPDX-License-Identifier: Apache-2.0
#include "cuda/graph/build/local_join.cuh"
#include "cuda/stores/lvq_arith.cuh"

namespace annk::cuda {

void join_lvq(const JoinArgs& a, void* stream) { join_rows<LvqRows>(a, stream); }

}  // namespace annk::cuda
