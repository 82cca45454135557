// SPDX-License-Identifier: Apache-2.0
#include "cuda/device/elements.h"
#include "cuda/graph/build/local_join.cuh"

namespace annk::cuda {
namespace {

template <template <class> class Arith>
void meet_widened(const MeetingKeys& a, void* stream) {
  visit_element(a.scan.base.dtype, [&]<class T>(T) { launch_meet<Arith<T>>(a, stream); });
}

}  // namespace

void meet_floats(Family family, const MeetingKeys& a, void* stream) {
  switch (family) {
    case Family::dot:
      return meet_widened<DotArith>(a, stream);
    case Family::l2:
      return meet_widened<L2Arith>(a, stream);
    case Family::l1:
      return meet_widened<L1Arith>(a, stream);
    default:
      return meet_widened<LinfArith>(a, stream);
  }
}

}  // namespace annk::cuda
