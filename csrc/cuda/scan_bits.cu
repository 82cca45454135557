// SPDX-License-Identifier: Apache-2.0
#include "cuda/scan.cuh"

namespace annk::cuda {

void scan_bits(const ScanArgs& a, bool wide, void* stream) {
  const auto run = [&]<class M>(M) {
    wide ? launch_scan<BitArith<M>, true>(a, stream) : launch_scan<BitArith<M>, false>(a, stream);
  };
  a.metric == Metric::hamming ? run(Hamming{}) : run(Jaccard{});
}

}  // namespace annk::cuda
