// SPDX-License-Identifier: Apache-2.0
#include "cuda/distance/scan.cuh"

namespace annk::cuda {

void scan_dot(const ScanArgs& a, bool wide, void* stream) { scan_widened<InnerProduct>(a, wide, stream); }

}  // namespace annk::cuda
