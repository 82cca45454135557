// SPDX-License-Identifier: Apache-2.0
#include "cuda/graph/search/beam_search.cuh"

namespace annk::cuda {

void walk_decoded(const WalkLaunch& to, const WalkArgs& a, bool ahead) {
  visit_codec(to.scan.base, [&]<class Codec>(const Codec& codec) {
    launch_walk(DecodedRows<Codec>(codec, to.scan, to.plan.family), a, ahead, to.stream);
  });
}

}  // namespace annk::cuda
