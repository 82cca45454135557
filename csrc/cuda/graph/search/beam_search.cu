// SPDX-License-Identifier: Apache-2.0
#include "cuda/graph/search/beam_search.h"

namespace annk::cuda {

void beam_search(const BeamSearchLaunch& to, const BeamSearchArgs& a, bool ahead) {
  switch (to.plan.family) {
    case Family::integer:
    case Family::bits:
      return beam_search_codes(to, a, ahead);
    case Family::store:
      return to.plan.store->beam_search(to, a, ahead);
    case Family::dot:
    case Family::l2:
    case Family::step:
      return to.scan.base.kind == StoreKind::array ? beam_search_floats(to, a, ahead) : beam_search_decoded(to, a, ahead);
  }
}

}  // namespace annk::cuda
