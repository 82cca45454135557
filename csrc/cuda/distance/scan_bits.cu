// SPDX-License-Identifier: Apache-2.0
#include "cuda/distance/scan.cuh"

namespace annk::cuda {

void scan_bits(const ScanArgs& a, bool wide, void* stream) {
  const auto run = [&]<class M>(M) { launch_job<BitArith<M>>(a, wide, stream); };
  a.metric == Metric::hamming ? run(Hamming{}) : run(Jaccard{});
}

}  // namespace annk::cuda
