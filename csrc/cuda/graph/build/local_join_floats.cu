// SPDX-License-Identifier: Apache-2.0
#include "cuda/device/elements.h"
#include "cuda/graph/build/local_join.cuh"

namespace annk::cuda {
namespace {

template <class Step>
void join_widened(const JoinArgs& a, void* stream) {
  visit_element(a.scan.base.dtype, [&]<class T>(T) { launch_join<FloatArith<Step, T>>(a, stream); });
}

}  // namespace

void join_floats(Family family, const JoinArgs& a, void* stream) {
  switch (family) {
    case Family::dot:
      return join_widened<InnerProduct>(a, stream);
    case Family::l2:
      return join_widened<SqEuclidean>(a, stream);
    case Family::step:
      return visit_list(MetricsOfFamily<Family::step>{}, a.scan.metric,
                        [&]<class M>(M) { join_widened<typename M::Step>(a, stream); });
    case Family::integer:
    case Family::bits:
    case Family::store:
      break;
  }
  no_kernel("family");
}

}  // namespace annk::cuda
