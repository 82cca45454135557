// SPDX-License-Identifier: Apache-2.0
#include "cuda/graph/search/beam_search.cuh"

namespace annk::cuda {

void walk_floats(const WalkLaunch& to, const WalkArgs& a, bool ahead) {
  launch_walk(FloatRows{to.scan, to.plan.family}, a, ahead, to.stream);
}

}  // namespace annk::cuda
