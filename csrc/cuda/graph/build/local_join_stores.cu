// SPDX-License-Identifier: Apache-2.0
#include "cuda/graph/build/local_join.cuh"
#include "cuda/stores/pq_arith.cuh"
#include "cuda/stores/rabitq_arith.cuh"

namespace annk::cuda {

void meet_stores(const MeetingKeys& a, void* stream) {
  const Base& base = a.scan.base;
  if (base.kind == StoreKind::pq)
    return base.numbers[3] != 0 ? launch_meet<PqArith<true>>(a, stream) : launch_meet<PqArith<false>>(a, stream);
  const int bits = static_cast<int>(base.numbers[0]);
  if (bits == 1) return launch_meet<RabitqArith<true, 1>>(a, stream);
  return rabitq_query_top(bits) > 127 ? launch_meet<RabitqArith<false, 2>>(a, stream)
                                      : launch_meet<RabitqArith<false, 1>>(a, stream);
}

}  // namespace annk::cuda
