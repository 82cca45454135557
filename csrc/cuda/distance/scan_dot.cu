// SPDX-License-Identifier: Apache-2.0
#include "cuda/distance/scan.cuh"

namespace annk::cuda {

const ScanKernels dot_kernels = kScanKernels<WidenedRows<InnerProduct>>;

}  // namespace annk::cuda
