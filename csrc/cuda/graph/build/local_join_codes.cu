// SPDX-License-Identifier: Apache-2.0
#include "cuda/graph/build/local_join.cuh"

namespace annk::cuda {

void join_codes(Family family, const JoinArgs& a, void* stream) {
  const Dataset& base = a.scan.base;
  switch (family) {
    case Family::integer:
      return base.dtype == DType::i8 ? launch_join<IntArith<int8_t>>(a, stream) : launch_join<IntArith<uint8_t>>(a, stream);
    case Family::bits:
      return visit_list(MetricsOfFamily<Family::bits>{}, a.scan.metric,
                        [&]<class M>(M) { launch_join<BitArith<M>>(a, stream); });
    case Family::dot:
    case Family::l2:
    case Family::step:
    case Family::store:
      break;
  }
  no_kernel("family");
}

}  // namespace annk::cuda
