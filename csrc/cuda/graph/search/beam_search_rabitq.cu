// SPDX-License-Identifier: Apache-2.0
#include "cuda/graph/search/beam_search.cuh"
#include "cuda/stores/rabitq_arith.cuh"

namespace annk::cuda {

void beam_search_rabitq(const BeamSearchLaunch& to, const BeamSearchArgs& a, bool ahead) {
  launch_beam_search(StoreRows<RabitqRows>{to.scan}, a, ahead, to.stream);
}

}  // namespace annk::cuda
