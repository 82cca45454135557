// SPDX-License-Identifier: Apache-2.0
#include "cuda/device/elements.h"
#include "cuda/graph/build/local_join.cuh"

namespace annk::cuda {
namespace {

template <template <class> class Arith>
void join_widened(const JoinArgs& a, void* stream) {
  visit_element(a.scan.base.dtype, [&]<class T>(T) { launch_join<Arith<T>>(a, stream); });
}

}  // namespace

void join_floats(Family family, const JoinArgs& a, void* stream) {
  switch (family) {
    case Family::dot:
      return join_widened<DotArith>(a, stream);
    case Family::l2:
      return join_widened<L2Arith>(a, stream);
    case Family::l1:
      return join_widened<L1Arith>(a, stream);
    default:
      return join_widened<LinfArith>(a, stream);
  }
}

}  // namespace annk::cuda
