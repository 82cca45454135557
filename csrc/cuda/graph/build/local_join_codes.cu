// SPDX-License-Identifier: Apache-2.0
#include "cuda/graph/build/local_join.cuh"
#include "cuda/stores/lvq_arith.cuh"

namespace annk::cuda {

void meet_codes(Family family, const MeetingKeys& a, void* stream) {
  const Base& base = a.scan.base;
  switch (family) {
    case Family::hamming:
      return launch_meet<BitArith<Hamming>>(a, stream);
    case Family::jaccard:
      return launch_meet<BitArith<Jaccard>>(a, stream);
    case Family::store:
      return base.numbers[0] == 8 ? launch_meet<LvqArith<8>>(a, stream) : launch_meet<LvqArith<4>>(a, stream);
    default:
      return base.dtype == DType::i8 ? launch_meet<IntArith<int8_t>>(a, stream) : launch_meet<IntArith<uint8_t>>(a, stream);
  }
}

}  // namespace annk::cuda
