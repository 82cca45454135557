// SPDX-License-Identifier: Apache-2.0
#include "cuda/distance/scan.cuh"

namespace annk::cuda {

namespace {
struct RowsOfSteps {
  template <class Body>
  static void visit(const ScanArgs& a, Body&& body) {
    visit_list(MetricsOfFamily<Family::step>{}, a.metric,
               [&]<class M>(M) { WidenedRows<typename M::Step>::visit(a, body); });
  }
};
}  // namespace

const ScanKernels step_kernels = kScanKernels<RowsOfSteps>;

}  // namespace annk::cuda
