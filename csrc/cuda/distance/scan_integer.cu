// SPDX-License-Identifier: Apache-2.0
#include "cuda/distance/scan.cuh"

namespace annk::cuda {

void scan_integer(const ScanArgs& a, bool wide, void* stream) {
  const auto run = [&]<class T>(T) { launch_job<IntArith<T>>(a, wide, stream); };
  a.base.dtype == DType::i8 ? run(int8_t{}) : run(uint8_t{});
}

}  // namespace annk::cuda
