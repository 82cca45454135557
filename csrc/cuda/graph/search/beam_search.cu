// SPDX-License-Identifier: Apache-2.0
#include "cuda/graph/search/beam_search.h"

namespace annk::cuda {

void walk(const WalkLaunch& to, const WalkArgs& a, bool ahead) {
  switch (to.plan.family) {
    case Family::integer:
    case Family::hamming:
    case Family::jaccard:
      return walk_codes(to, a, ahead);
    case Family::store:
      return to.scan.base.kind == StoreKind::lvq ? walk_codes(to, a, ahead) : walk_stores(to, a, ahead);
    default:
      return to.scan.base.kind == StoreKind::array ? walk_floats(to, a, ahead) : walk_decoded(to, a, ahead);
  }
}

}  // namespace annk::cuda
