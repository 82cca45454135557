// SPDX-License-Identifier: Apache-2.0
#include "cuda/distance/scan.cuh"

namespace annk::cuda {

void scan_steps(const ScanArgs& a, bool wide, void* stream) {
  visit_list(MetricsOfFamily<Family::step>{}, a.metric,
             [&]<class M>(M) { scan_widened<typename M::Step>(a, wide, stream); });
}

}  // namespace annk::cuda
