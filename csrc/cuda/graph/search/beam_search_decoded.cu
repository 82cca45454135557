// SPDX-License-Identifier: Apache-2.0
#include "cuda/graph/search/beam_search.cuh"

namespace annk::cuda {

void beam_search_decoded(const BeamSearchLaunch& to, const BeamSearchArgs& a, bool ahead) {
  visit_codec(to.scan.base, [&]<class Codec>(const Codec& codec) {
    launch_beam_search(DecodedRows<Codec>(codec, to.scan, to.plan.family), a, ahead, to.stream);
  });
}

}  // namespace annk::cuda
