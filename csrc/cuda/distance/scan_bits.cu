// SPDX-License-Identifier: Apache-2.0
#include "cuda/distance/scan.cuh"

namespace annk::cuda {

void scan_bits(const ScanArgs& a, bool wide, void* stream) {
  visit_list(MetricsOfFamily<Family::bits>{}, a.metric, [&]<class M>(M) { launch_job<BitArith<M>>(a, wide, stream); });
}

}  // namespace annk::cuda
