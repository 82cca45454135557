// SPDX-License-Identifier: Apache-2.0
#include "cuda/graph/build/local_join.cuh"
#include "cuda/stores/lvq_arith.cuh"

namespace annk::cuda {

void join_codes(Family family, const JoinArgs& a, void* stream) {
  const Dataset& base = a.scan.base;
  switch (family) {
    case Family::hamming:
      return launch_join<BitArith<Hamming>>(a, stream);
    case Family::jaccard:
      return launch_join<BitArith<Jaccard>>(a, stream);
    case Family::store:
      return base.numbers[0] == 8 ? launch_join<LvqArith<8>>(a, stream) : launch_join<LvqArith<4>>(a, stream);
    default:
      return base.dtype == DType::i8 ? launch_join<IntArith<int8_t>>(a, stream) : launch_join<IntArith<uint8_t>>(a, stream);
  }
}

}  // namespace annk::cuda
