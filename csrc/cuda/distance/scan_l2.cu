// SPDX-License-Identifier: Apache-2.0
#include "cuda/distance/scan.cuh"

namespace annk::cuda {

const ScanKernels l2_kernels = kScanKernels<WidenedRows<SqEuclidean>>;

}  // namespace annk::cuda
