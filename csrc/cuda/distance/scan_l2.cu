// SPDX-License-Identifier: Apache-2.0
#include "cuda/distance/scan.cuh"

namespace annk::cuda {

void scan_l2(const ScanArgs& a, bool wide, void* stream) { scan_widened<SqEuclidean>(a, wide, stream); }

}  // namespace annk::cuda
