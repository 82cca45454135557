// SPDX-License-Identifier: Apache-2.0
#include "cuda/graph/search/beam_search.cuh"

namespace annk::cuda {

void beam_search_floats(const BeamSearchLaunch& to, const BeamSearchArgs& a, bool ahead) {
  launch_beam_search(FloatRows{to.scan, to.plan.family}, a, ahead, to.stream);
}

}  // namespace annk::cuda
