// SPDX-License-Identifier: Apache-2.0
#include "cuda/graph/build/local_join.cuh"
#include "cuda/stores/pq_arith.cuh"
#include "cuda/stores/rabitq_arith.cuh"

namespace annk::cuda {

void join_stores(const JoinArgs& a, void* stream) {
  const Dataset& base = a.scan.base;
  if (base.kind == StoreKind::pq)
    return PqView::is_blocked(base) ? launch_join<PqArith<true>>(a, stream) : launch_join<PqArith<false>>(a, stream);
  const int bits = RabitqView::bits_of(base);
  if (bits == 1) return launch_join<RabitqArith<true, 1>>(a, stream);
  return rabitq_query_top(bits) > 127 ? launch_join<RabitqArith<false, 2>>(a, stream)
                                      : launch_join<RabitqArith<false, 1>>(a, stream);
}

}  // namespace annk::cuda
