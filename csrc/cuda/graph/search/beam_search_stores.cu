// SPDX-License-Identifier: Apache-2.0
#include "cuda/graph/search/beam_search.cuh"

namespace annk::cuda {

void walk_stores(const WalkLaunch& to, const WalkArgs& a, bool ahead) {
  launch_walk(StoreRows{to.scan}, a, ahead, to.stream);
}

}  // namespace annk::cuda
