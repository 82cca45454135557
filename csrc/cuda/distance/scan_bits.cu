// SPDX-License-Identifier: Apache-2.0
#include "cuda/distance/scan.cuh"

namespace annk::cuda {

namespace {
struct BitRows {
  template <class Body>
  static void visit(const ScanArgs& a, Body&& body) {
    visit_list(MetricsOfFamily<Family::bits>{}, a.metric, [&]<class M>(M) { body(std::type_identity<BitArith<M>>()); });
  }
};
}  // namespace

const ScanKernels bit_kernels = kScanKernels<BitRows>;

}  // namespace annk::cuda
